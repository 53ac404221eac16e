"""The bytes of artefacts as responses. They are strangers' work: a browser must show no more of them than a picture."""

import mimetypes
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Protocol

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, parse_etags, quote_etag

from generations.artifacts import open_stored
from generations.models import Artifact
from generations.ranges import requested_part

# What browsers show and never run. All else, HTML and SVG before all, is for saving only.
SHOWN_TYPES = frozenset(
    {
        "application/json",
        "audio/mpeg",
        "audio/ogg",
        "audio/wav",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/plain",
        "video/mp4",
        "video/webm",
    }
)
CHUNK_BYTES = 256 * 1024
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    # An artefact never changes; whose it is, a shared cache does not know.
    "Cache-Control": "private, max-age=86400, immutable",
    "Accept-Ranges": "bytes",
}


class Readable(Protocol):
    """What gives bytes from where it stands, and is closed at the end."""

    def read(self, count: int, /) -> bytes:
        """Return up to so many bytes, none at the end."""

    def close(self) -> None:
        """Let go of what is behind it."""


def respond(request: HttpRequest, artifact: Artifact) -> HttpResponseBase:
    """Return the bytes of an artefact or the part that was asked for, or 304 when the client has them.

    Raises UnsatisfiableRangeError when there is no such part, FileNotFoundError when the storage lost the bytes.
    """

    def open_at(start: int) -> Readable:
        file = open_stored(artifact.sha256)
        file.seek(start)
        return file

    charset = "; charset=utf-8" if artifact.mime_type.startswith("text/") else ""
    headers = {"Content-Type": f"{artifact.mime_type}{charset}", "Content-Disposition": _disposition(artifact)}
    return stream(request, size=artifact.size, etag=quote_etag(artifact.sha256), headers=headers, open_at=open_at)


def stream(
    request: HttpRequest, *, size: int, etag: str, headers: Mapping[str, str], open_at: Callable[[int], Readable]
) -> HttpResponseBase:
    """Return bytes that never change, `size` of them, or the part that was asked for, or 304 when the client has them.

    Nothing is opened unless it is sent. Raises UnsatisfiableRangeError when there is no such part.
    """
    all_headers = {**HEADERS, "ETag": etag}
    if _has_already(request, etag):
        return HttpResponseNotModified(headers=all_headers)
    part = _requested_part(request, size=size, etag=etag)
    wanted = range(size) if part is None else part
    all_headers |= {**headers, "Content-Length": str(len(wanted))}
    if part is not None:
        all_headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    file = open_at(wanted.start)
    # a plain iterator would be read to its end before an ASGI server sends its first byte
    chunks = AsyncChunks(file, len(wanted)) if isinstance(request, ASGIRequest) else Chunks(file, len(wanted))
    return StreamingHttpResponse(chunks, status=200 if part is None else 206, headers=all_headers)


def _requested_part(request: HttpRequest, *, size: int, etag: str) -> range | None:
    """Return the part that is asked for. `If-Range` with another ETag, or with a date, asks for the whole file."""
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return None
    return requested_part(request.headers.get("Range", ""), size=size)


def _has_already(request: HttpRequest, etag: str) -> bool:
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return etag in known or f"W/{etag}" in known or known == ["*"]


class _Closing:
    """A part of a file, from where it stands. The file is closed with the response, also when nobody reads it."""

    def __init__(self, file: Readable, count: int) -> None:
        """Take the open file, and how many bytes of it to read."""
        self.file = file
        self.left = count
        self.close = file.close

    def read(self) -> bytes:
        """Return the next piece, empty at the end."""
        chunk = self.file.read(min(CHUNK_BYTES, self.left))
        self.left -= len(chunk)
        return chunk


class Chunks(_Closing):
    """Reads a file for WSGI."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the part piece by piece."""
        return iter(self.read, b"")


class AsyncChunks(_Closing):
    """Reads a file for ASGI, on threads."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the part piece by piece."""
        while chunk := await sync_to_async(self.read, thread_sensitive=False)():
            yield chunk


def _disposition(artifact: Artifact) -> str:
    name = "".join(character for character in artifact.name if character.isprintable() and character not in "/\\")
    name = name or f"{artifact.pk}{mimetypes.guess_extension(artifact.mime_type) or ''}"
    header = content_disposition_header(artifact.mime_type not in SHOWN_TYPES, name)
    assert header is not None  # it has a name
    return header
