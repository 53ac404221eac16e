"""Files that a provider made: where they are in an output of any shape."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from generations.outputs import clean_text

from .contract import RemoteFile
from .definition import artifact_schema, object_schema

_URL = re.compile(r"https?://[^\s<>\"{}|\\^`]{1,8180}", re.IGNORECASE)
_DATA_URI = re.compile(r"data:[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}(;[a-z0-9=._-]{1,60}){0,3},", re.IGNORECASE)

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp", ".tiff", ".svg")

KEEP_PROPERTIES: Mapping[str, Any] = {
    "keep_files": {
        "type": "boolean",
        "description": "Fetch and keep what the URLs in an output lead to. Off: they stay URLs.",
        "default": True,
    },
    "file_hosts": {
        "type": "array",
        "description": "The hosts whose URLs are files, each with its subdomains, in lower case. Empty: every URL is one.",
        "items": {"type": "string", "pattern": "^[a-z0-9.:-]+$", "maxLength": 253},
        "maxItems": 50,
        "default": [],
    },
}


def files_schema(what: str) -> dict[str, Any]:
    """Return the schema of an output with files: `output` as the provider gave it, and the files beside it."""
    return object_schema(
        {
            "output": {"description": what},
            "files": {
                "type": "array",
                "description": "All files of the output, in order.",
                "items": artifact_schema("A file.", kind="file"),
                "maxItems": 10_000,
            },
            "file": artifact_schema("The file, when there is exactly one.", kind="file"),
            "image": artifact_schema("The picture, when there is exactly one file and it is one.", kind="image"),
        },
        required=("output", "files"),
    )


@dataclass(slots=True, kw_only=True)
class FileFinder:
    """Finds files in what a provider gave. A text is one if all of it is an http(s) URL or a `data:` URI.

    `hosts` are those whose URLs are files, none: any. `only` are the texts that may be files, None: all.
    """

    keeps: bool = True
    hosts: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    found: dict[str, RemoteFile] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "FileFinder":
        return cls(keeps=config["keep_files"], hosts=tuple(config["file_hosts"]))

    @property
    def count(self) -> int | None:
        """How many files were found; None if nobody knows how many there are: not all were looked for, or none was seen."""
        return len(self.found) or None if self.keeps else None

    def replaced(self, value: Any, *, beside: Mapping[str, Any] | None = None) -> Any:
        """Return a copy of a JSON value with each file as a RemoteFile, of which `found` has each once.

        `beside` is the object in which a text stands: it may tell the name and type of the file.
        """
        # What a provider answers has passed a bound on its depth.
        if isinstance(value, str):
            return self._file(value, beside or {}) if self._is_file(value) else value
        if isinstance(value, Mapping):
            return {name: self.replaced(inner, beside=value) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.replaced(inner) for inner in value]
        return value

    def output(self, value: Any) -> dict[str, Any]:
        """Return an output with its files, as `files_schema` has it."""
        told: dict[str, Any] = {"output": self.replaced(value), "files": list(self.found.values())}
        if len(self.found) == 1:
            (only,) = self.found.values()
            told |= {"file": only, "image": only} if _is_picture(only) else {"file": only}
        return told

    def _is_file(self, text: str) -> bool:
        if self.only is not None and text not in self.only:
            return False
        if _DATA_URI.match(text):
            return True
        return self.keeps and _URL.fullmatch(text) is not None and self._is_at_home(text)

    def _is_at_home(self, text: str) -> bool:
        try:
            host = httpx2.URL(text).host
        except (httpx2.InvalidURL, ValueError):
            return False
        return bool(host) and (not self.hosts or any(host == home or host.endswith(f".{home}") for home in self.hosts))

    def _file(self, text: str, beside: Mapping[str, Any]) -> RemoteFile:
        if text not in self.found:
            name, mime_type = _told(beside, "file_name", "filename"), _told(beside, "content_type", "mime_type")
            self.found[text] = RemoteFile(url=text, name=name, mime_type=mime_type)
        return self.found[text]


def _told(beside: Mapping[str, Any], *keys: str) -> str:
    return next((clean_text(beside[key][:200]) for key in keys if isinstance(beside.get(key), str)), "")


def _is_picture(file: RemoteFile) -> bool:
    """Tell whether a file is a picture by what is said of it, or by its name: it has not been fetched yet."""
    if file.mime_type:
        return file.mime_type.lower().startswith("image/")
    if file.url[:5].lower() == "data:":
        return file.url[5:11].lower() == "image/"
    return httpx2.URL(file.url).path.lower().endswith(_PICTURES)
