"""Documents as text, in YAML or JSON."""

import json
from typing import Any, Literal

from spells.problems import Problem, shown

from . import yaml_text
from .document import MAX_DOCUMENT_BYTES, Document, DocumentError, from_data, to_data

Format = Literal["yaml", "json"]


def parse(text: str | bytes, *, format: Format) -> Document:  # noqa: A002 - the word that fits; the built-in is not needed here
    """Read a document from text. Bytes must be UTF-8. Raises DocumentError, where it can with line and column."""
    return from_data(load(text, format=format))


def load(text: str | bytes, *, format: Format, max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:  # noqa: A002 - as above
    """Read the JSON data of a document from text, whatever form it has. Raises DocumentError, as `parse` does."""
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if len(data) > max_bytes:
        raise DocumentError([Problem("", f"is larger than the {max_bytes:,} bytes that are allowed")])
    decoded = _decoded(data)
    return yaml_text.load(decoded) if format == "yaml" else _load_json(decoded)


def dump(document: Document, *, format: Format) -> str:  # noqa: A002 - as above
    """Write a document as text, so that `parse` gives it back. Equal documents give the same text."""
    data = to_data(document)
    if format == "yaml":
        return yaml_text.dump(data)
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError([Problem(f"line {line}", f"is not UTF-8: byte {data[error.start]:#04x} at offset {error.start}")]) from error


def _load_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise DocumentError([Problem(f"line {error.lineno}, column {error.colno}", f"is no JSON: {error.msg}")]) from error
    except RecursionError as error:
        raise DocumentError([Problem("", "is nested too deeply")]) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise DocumentError([Problem("", f"{shown(name)} is given twice in one object")])
        found[name] = value
    return found


def _constant(name: str) -> Any:
    raise DocumentError([Problem("", f"{name} is not a finite number, and no JSON")])


def _integer(digits: str) -> int:
    if len(digits) > 40:  # noqa: PLR2004 - twice what 64 bits need, and far below what takes time
        raise DocumentError([Problem("", "contains an integer beyond 64 bits")])
    return int(digits)
