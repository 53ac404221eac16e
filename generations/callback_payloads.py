"""What a webhook says, read with care: its sender is a stranger until it is verified, and its payload one for ever."""

import json
from typing import Any

from .embedded import embedded_file, is_data_uri
from .outputs import FileSearch, clean_output
from .tools.contract import ToolError

# Larger bodies are refused before they are read.
MAX_BODY_BYTES = 2**20
# What is kept in a row. Of more, only that it came is kept.
MAX_KEPT_BYTES = 64 * 1024


class BadPayloadError(Exception):
    """The body of a callback is no JSON object in UTF-8."""


class _HoldsFileError(ToolError):
    """A text in the payload is a file, which does not belong into a row."""


def read_payload(body: bytes) -> dict[str, Any] | None:
    """Return the payload; None when it must not be kept: too large, too deep, with files in it, or with what no database stores.

    Raises:
        BadPayloadError: it is no JSON object. The message repeats nothing of it.
    """
    try:
        payload = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)
    except RecursionError:
        return None
    except ValueError as error:
        raise BadPayloadError("The body of the callback is no JSON in UTF-8.") from error
    if not isinstance(payload, dict):
        raise BadPayloadError("The body of the callback is no JSON object.")
    try:
        return clean_output(payload, max_bytes=MAX_KEPT_BYTES, files=FileSearch(swap=_no_file))
    except ToolError:
        return None


def _refuse(name: str) -> None:
    raise ValueError(name)


def _no_file(value: object) -> object:
    if isinstance(value, str) and (is_data_uri(value) or embedded_file(value) is not None):
        raise _HoldsFileError("A file stands in the payload.")
    return value
