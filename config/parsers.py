"""How bodies of the API are read: JSON as its standard has it, bounded in size and depth, and no other."""

import codecs
import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser

from spells.problems import Problem, shown
from spells.requests import UnreadableRequestError
from spells.schemas import MAX_DEPTH, check_json

# Inputs stand one level inside a body. What they may hold is judged by whoever takes them.
MAX_BODY_DEPTH = MAX_DEPTH + 2
_MAX_DIGITS = 40


class StrictJSONParser(BaseParser):
    """Reads UTF-8 JSON. Refused are duplicate names, NaN and infinities, NUL, lone surrogates, and deep nesting."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002 - the framework's signature
    ) -> Any:
        """Return the value. Raises UnreadableRequestError, RequestDataTooBig, UnsupportedMediaType."""
        _check_charset(media_type)
        limit = int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        data = stream.read(limit + 1)
        if len(data) > limit:
            raise RequestDataTooBig(f"The body is larger than {limit:,} bytes.")
        value = _loaded(_decoded(data))
        problems = check_json(value, path="", max_bytes=limit, max_depth=MAX_BODY_DEPTH)
        if problems:
            raise UnreadableRequestError(*problems)
        return value


def _check_charset(media_type: str | None) -> None:
    charset = str(parse_header_parameters(media_type or "")[1].get("charset", "utf-8"))
    try:
        is_read = codecs.lookup(charset).name in {"utf-8", "ascii"}
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        is_read = False
    if not is_read:
        raise UnsupportedMediaType(media_type or "", f"JSON is read as UTF-8, not as {shown(charset)}.")


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableRequestError(
            Problem("", f"The body is not UTF-8: byte {data[error.start]:#04x} at offset {error.start}.")
        ) from error


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnreadableRequestError(Problem("", f"The body is no JSON: {error.msg} at {place}.")) from error
    except RecursionError as error:
        raise UnreadableRequestError(Problem("", "The body is nested too deeply.")) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise UnreadableRequestError(Problem("", f"The name {shown(name)} is given twice in one object."))
        found[name] = value
    return found


def _constant(name: str) -> Any:
    raise UnreadableRequestError(Problem("", f"{name} is not a finite number, and no JSON."))


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise UnreadableRequestError(Problem("", "The body contains an integer beyond 64 bits."))
    return int(digits)
