"""What a Gradio function returned, and in which words it failed."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from generations.outputs import clean_text

from .contract import RemoteFile, ToolError
from .http_client import origin
from .made_files import FileFinder, files_schema

_TAG = re.compile(r"<[^<>]{0,500}>")
_CLOCK = re.compile(
    r"(?:try again|retry) in (?:(?P<days>\d{1,3}) days?,? )?(?P<hours>\d{1,3}):(?P<minutes>\d\d):(?P<seconds>\d\d)", re.IGNORECASE
)
_COUNT = re.compile(r"(?:try again|retry) in (?P<count>\d{1,5}) ?(?P<unit>s|second|m|minute|h|hour)", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600}

OUTPUT_SCHEMA = files_schema("What the function returned, in order, with files in their places.")


class ReturnedFiles(FileFinder):
    """Finds files in what a function returned: objects that stand for one. A text is a text, also when it is a URL."""

    def __init__(self, *, base_url: str, file_url: Callable[[str], str]) -> None:
        """Take where the app is, and what tells the address of a file by its path there."""
        super().__init__()
        self._base_url = base_url
        self._file_url = file_url

    def replaced(self, value: Any, *, beside: Mapping[str, Any] | None = None) -> Any:
        if isinstance(value, str):
            return value
        if not isinstance(value, Mapping) or not _is_file(value):
            return super().replaced(value, beside=beside)
        url = self._address(value)
        name, mime_type = (clean_text(str(value.get(key) or "")[:200]) for key in ("orig_name", "mime_type"))
        return self.found.setdefault(url, RemoteFile(url=url, name=name, mime_type=mime_type))

    def _address(self, value: Mapping[str, Any]) -> str:
        """Return where a file is. An app behind a proxy names itself wrongly; its path is right."""
        path, url = value["path"], value.get("url")
        if path.startswith(("http://", "https://")):
            return str(path)
        return url if isinstance(url, str) and _same_place(url, self._base_url) else self._file_url(path)


def _is_file(value: Mapping[str, Any]) -> bool:
    """Tell whether an object stands for a file, also as older apps write it: without `meta`."""
    meta = value.get("meta")
    named = isinstance(meta, Mapping) and meta.get("_type") == "gradio.FileData"
    return isinstance(value.get("path"), str) and bool(value["path"]) and (named or {"orig_name", "url", "is_stream"} <= value.keys())


def _same_place(url: str, base_url: str) -> bool:
    try:
        return origin(httpx2.URL(url)) == origin(httpx2.URL(base_url))
    except (httpx2.InvalidURL, ValueError):
        return False


def failure(told: Any) -> ToolError:
    """Return the error of a call that failed, in the words of the app, if it has any."""
    words = told.get("error") if isinstance(told, Mapping) else told
    title = told.get("title") if isinstance(told, Mapping) else None
    text = clean_text(_TAG.sub("", words)).strip()[:1000] if isinstance(words, str) else ""
    if not text:
        message = "The function failed; its app does not say why. Apps hide their errors unless they are started with show_error."
        return ToolError(message, code="function_failed")
    shown = f"{clean_text(str(title))[:100]}: {text}" if isinstance(title, str) and title not in ("", "Error") else text
    everything = shown.lower()
    if "quota" in everything or "rate limit" in everything:
        wait = _wait(everything)
        return ToolError(f"The app refuses by its quota: {shown}", code="quota_exceeded", permanent=wait is None, retry_after=wait)
    if "no gpu was available" in everything or "queue is full" in everything:
        return ToolError(f"The app is busy: {shown}", code="busy", retry_after=_wait(everything))
    return ToolError(f"The function failed: {shown}", code="function_failed", permanent=True)


def _wait(words: str) -> float | None:
    """Return the seconds after which to try again, if the words name a time."""
    if found := _CLOCK.search(words):
        days, hours, minutes, seconds = (int(found[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    if found := _COUNT.search(words):
        return float(int(found["count"]) * _UNITS[found["unit"][0]])
    return None
