"""What a Gradio function returned, and in which words it failed."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from generations.outputs import clean_text

from .contract import RemoteFile, ToolError
from .definition import artifact_schema, object_schema
from .http_client import origin

OUTPUT_SCHEMA = object_schema(
    {
        "output": {
            "type": "array",
            "description": "What the function returned, in order, with files in their places.",
            "items": {},
            "maxItems": 1000,
        },
        "files": {
            "type": "array",
            "description": "All files of the output.",
            "items": artifact_schema("A file.", kind="file"),
            "maxItems": 200,
        },
        "file": artifact_schema("The file, when there is exactly one.", kind="file"),
        "image": artifact_schema("The first picture, if there is one.", kind="image"),
    },
    required=("output", "files"),
)

_TAG = re.compile(r"<[^<>]{0,500}>")
_CLOCK = re.compile(
    r"(?:try again|retry) in (?:(?P<days>\d{1,3}) days?,? )?(?P<hours>\d{1,3}):(?P<minutes>\d\d):(?P<seconds>\d\d)", re.IGNORECASE
)
_COUNT = re.compile(r"(?:try again|retry) in (?P<count>\d{1,5}) ?(?P<unit>s|second|m|minute|h|hour)", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600}
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp")

FileUrl = Callable[[str], str]


def output(returned: list[Any], *, file_url: FileUrl, base_url: str) -> dict[str, Any]:
    """Return the output of a call. What stands for a file there becomes the file; `file_url` tells where one is by its path."""
    found: list[RemoteFile] = []
    told: dict[str, Any] = {"output": [_replaced(value, found, file_url, base_url) for value in returned], "files": found}
    if len(found) == 1:
        told["file"] = found[0]
    pictures = [file for file in found if _is_picture(file)]
    return {**told, "image": pictures[0]} if pictures else told


def _replaced(value: Any, found: list[RemoteFile], file_url: FileUrl, base_url: str) -> Any:
    # What was read as JSON has a bound on its depth.
    if isinstance(value, list):
        return [_replaced(inner, found, file_url, base_url) for inner in value]
    if not isinstance(value, Mapping):
        return value
    if not _is_file(value):
        return {name: _replaced(inner, found, file_url, base_url) for name, inner in value.items()}
    name, mime_type = (clean_text(str(value.get(key) or "")[:200]) for key in ("orig_name", "mime_type"))
    file = RemoteFile(url=_address(value, file_url, base_url), name=name, mime_type=mime_type)
    if file not in found:
        found.append(file)
    return file


def _is_file(value: Mapping[str, Any]) -> bool:
    """Tell whether an object stands for a file, also as older apps write it: without `meta`."""
    meta = value.get("meta")
    named = isinstance(meta, Mapping) and meta.get("_type") == "gradio.FileData"
    return isinstance(value.get("path"), str) and bool(value["path"]) and (named or {"orig_name", "url", "is_stream"} <= value.keys())


def _address(value: Mapping[str, Any], file_url: FileUrl, base_url: str) -> str:
    """Return where a file is. An app behind a proxy names itself wrongly; its path is right."""
    path, url = value["path"], value.get("url")
    if path.startswith(("http://", "https://")):
        return str(path)
    if isinstance(url, str) and _same_place(url, base_url):
        return url
    return file_url(path)


def _same_place(url: str, base_url: str) -> bool:
    try:
        return origin(httpx2.URL(url)) == origin(httpx2.URL(base_url))
    except (httpx2.InvalidURL, ValueError):
        return False


def _is_picture(file: RemoteFile) -> bool:
    told = file.mime_type.lower()
    return told.startswith("image/") if told else (file.name or file.url).lower().endswith(_PICTURES)


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
