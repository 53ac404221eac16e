"""Files that stand inside JSON as text: `data:` URIs (RFC 2397), and bare base64 of a type that first bytes tell."""

import base64
import binascii
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from .tools.file_fetch import UNKNOWN_TYPE, mime_type_of

# Shorter ones do no harm where they are.
SMALLEST_EMBEDDED = 8 * 1024
_HEAD = re.compile(r"data:(?P<type>[^;,]{0,127})(?P<parameters>(?:;[^;,]{0,100}){0,8}),", re.IGNORECASE)
_BASE64_START = re.compile(r"[A-Za-z0-9+/]{64}")


class EmbeddedFile(NamedTuple):
    """What a text holds: the bytes, and the MIME type that they have or are said to have."""

    data: bytes
    mime_type: str


class NotEmbedded(ValueError):
    """A text that is no file, told for its author."""


def is_data_uri(text: str) -> bool:
    return text[:5].lower() == "data:"


def read_data_uri(text: str) -> EmbeddedFile:
    """Return the file in a `data:` URI. Raises NotEmbedded for one that is not exactly as it should be."""
    head = _HEAD.match(text)
    if head is None:
        raise NotEmbedded("it does not begin like data:image/png;base64,...")
    rest = text[head.end() :]
    if head["parameters"].lower().endswith(";base64"):
        data = _decoded(rest)
    else:
        try:
            data = unquote_to_bytes(rest.encode("ascii"))
        except UnicodeEncodeError:
            raise NotEmbedded("it contains characters that no URI has") from None
    return EmbeddedFile(data, mime_type_of(data, claimed=head["type"] or "text/plain"))


def embedded_file(text: str) -> EmbeddedFile | None:
    """Return the file that a long text is; None when it is just text, or short."""
    if len(text) < SMALLEST_EMBEDDED:
        return None
    try:
        if is_data_uri(text):
            return read_data_uri(text)
        if not _BASE64_START.match(text) or mime_type_of(_decoded(text[:64]), claimed="") == UNKNOWN_TYPE:
            return None
        data = _decoded(text)
    except NotEmbedded:
        return None
    return EmbeddedFile(data, mime_type_of(data, claimed=""))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise NotEmbedded(f"its base64 is broken ({error})") from error
