"""The inputs of a cast as people type them: `key=value`, and JSON from a file."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import CommandError

MAX_BYTES = 5 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def read_inputs(*, given: Sequence[str], file: str | None, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a file, if there is one, and over them those that were typed. Raises CommandError."""
    inputs = _from_file(file) if file else {}
    for argument in given:
        name, equals, text = argument.partition("=")
        if not equals or not _NAME.match(name):
            raise CommandError(f"{argument!r} is no input. Write NAME=VALUE, like theme='a lighthouse keeper'.")
        inputs[name] = _value(name, text, schema.get("properties", {}).get(name, {}))
    return inputs


def _from_file(file: str) -> dict[str, Any]:
    try:
        with Path(file).open("rb") if file != "-" else sys.stdin.buffer as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise CommandError(f"{file} is larger than {MAX_BYTES} bytes.")
    try:
        inputs = _json(data.decode())
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file} is no JSON: {error}.") from error
    if not isinstance(inputs, dict):
        raise CommandError(f"{file} must hold a JSON object, a value for each input.")
    return inputs


def _value(name: str, text: str, schema: Any) -> Any:
    """Read a value as JSON where its schema asks for anything but text."""
    kinds = schema.get("type", []) if isinstance(schema, Mapping) else []
    if not kinds or "string" in kinds:  # one name, or a list of names
        return text
    try:
        return _json(text)
    except (ValueError, RecursionError) as error:
        wanted = kinds if isinstance(kinds, str) else " or ".join(kinds)
        raise CommandError(f"{name}={text[:80]!r} is no {wanted}, in JSON: {error}.") from error


def _json(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number of JSON")

    return json.loads(text, parse_constant=refuse)
