"""The limits of a JSON value, in one place: what may be stored, sent to a tool, or come out of an expression."""

import math
from collections.abc import Iterator
from typing import Any

from spells.problems import MAX_PROBLEMS, Problem, join_path

MAX_BYTES = 256 * 1024
MAX_DEPTH = 64

# Signed 64 bits, and the unsigned ones that image models use as seeds.
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**64 - 1

Parts = tuple[str | int, ...]


class _TooLargeError(Exception):
    """The value has more bytes than are allowed."""


class _Meter:
    """Counts the bytes that a value has as compact JSON."""

    def __init__(self, max_bytes: int) -> None:
        """Take the bytes that are allowed."""
        self.left = max_bytes

    def add(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise _TooLargeError


def check_json(value: Any, *, path: str, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> list[Problem]:
    """Return what keeps a value from being JSON that every part of the system can hold.

    Size is in bytes of compact UTF-8 JSON, not counting escapes; depth in nested lists and objects. Refused are also NUL characters and lone
    surrogates (no database stores them), NaN and infinities (no JSON), integers beyond 64 bits, and anything that is
    no JSON type. Never recurses: a value nested 10,000 deep is a problem, not a crash.
    """
    problems: list[Problem] = []
    try:
        for problem in _problems(value, path=path, meter=_Meter(max_bytes), max_depth=max_depth):
            problems.append(problem)
            if len(problems) >= MAX_PROBLEMS:
                break
    except _TooLargeError:
        problems.append(Problem(path, f"is larger than the {max_bytes:,} bytes that are allowed"))
    return problems


def _problems(value: Any, *, path: str, meter: _Meter, max_depth: int) -> Iterator[Problem]:
    stack: list[tuple[Any, Parts]] = [(value, ())]
    while stack:
        current, parts = stack.pop()
        if isinstance(current, dict | list):
            if len(parts) >= max_depth:
                # the first levels are enough to find the place; all of them would fill a page
                yield Problem(join_path(path, *parts[:3]), f"is nested deeper than {max_depth} levels")
                return
            meter.add(2 + len(current))
            if isinstance(current, dict):
                for key in current:
                    message = _text_message(key, meter) if isinstance(key, str) else "is no text"
                    if message:
                        yield Problem(join_path(path, *parts), f"has a name that {message}")
                        return
                stack.extend((item, (*parts, key)) for key, item in reversed(current.items()))
            else:
                stack.extend((current[index], (*parts, index)) for index in range(len(current) - 1, -1, -1))
        else:
            message = _scalar_message(current, meter)
            if message:
                yield Problem(join_path(path, *parts), message)


def _scalar_message(value: Any, meter: _Meter) -> str | None:
    if isinstance(value, str):
        return _text_message(value, meter)
    if value is None or isinstance(value, bool):
        meter.add(4)
        return None
    if isinstance(value, int):
        # 64 bits have 20 digits; the digits of a far larger number would take long to count
        meter.add(1 + min(20, value.bit_length() * 3 // 10))
        return None if MIN_INTEGER <= value <= MAX_INTEGER else "is an integer beyond 64 bits"
    if isinstance(value, float):
        meter.add(len(repr(value)))
        return None if math.isfinite(value) else "is not a finite number"
    return f"is a {type(value).__name__}, which JSON does not have"


def _text_message(text: str, meter: _Meter) -> str | None:
    meter.add(len(text) + 2)  # before the copy that encoding makes
    if "\0" in text:
        return "contains a NUL character"
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair, which is no character"
    meter.add(len(encoded) - len(text))
    return None
