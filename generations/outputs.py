"""What a tool may return: JSON that every database stores and every client reads.

An adapter is not trusted with that, least of all one that hands on what a provider said. The engine passes each
output through `clean_output` before it stores it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from generations.tools.contract import RemoteFile, ToolError
from spells.schemas import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER

MAX_OUTPUT_BYTES = 1024 * 1024
# Less deep than params may be: an output stands inside of them.
MAX_OUTPUT_DEPTH = MAX_DEPTH - 8
MAX_NAME_CHARACTERS = 50
MAX_PATH_CHARACTERS = 200

_REPAIRS = dict.fromkeys([0, *range(0xD800, 0xE000)], "\N{REPLACEMENT CHARACTER}")


def clean_text(text: str) -> str:
    """Return text with each NUL and lone surrogate, which no database stores, replaced by U+FFFD."""
    return text.translate(_REPAIRS)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A place in the clean copy of an output that waits for the reference to a file: in `holder`, under `name`.

    `at` is the way there from the output: names of members and indices of lists.
    """

    holder: Any
    name: Any
    file: RemoteFile
    at: tuple[Any, ...]

    def fill(self, reference: Mapping[str, Any]) -> None:
        self.holder[self.name] = dict(reference)


@dataclass(frozen=True, slots=True)
class FileSearch:
    """What to do with the files in an output: `swap` gives what stands for a value, `places` collects where remote ones stand."""

    swap: Callable[[object], object]
    places: list[FilePlace] = field(default_factory=list)

    def look(self, within: "Sequence[_Container]", name: Any, value: object) -> object:
        """Return what stands for a value in the copy of the innermost container: for a remote file nothing yet."""
        value = self.swap(value)
        if isinstance(value, RemoteFile):
            self.places.append(FilePlace(within[-1].copy, name, value, (*(each.name for each in within[1:]), name)))
            return None
        return value


def clean_output(output: object, *, max_bytes: int = MAX_OUTPUT_BYTES, files: FileSearch | None = None) -> dict[str, Any]:
    """Return a plain copy of an adapter's output: dicts, lists, strings, numbers, booleans and null.

    `max_bytes` bounds the output as compact JSON in UTF-8. Walks without recursion, so depth cannot exhaust the stack.
    Files are looked for only with `files`; else they are refused.

    Raises:
        ToolError: permanent, `bad_output`; it names the path of what cannot be stored. Bytes belong into an artefact.
    """
    if not isinstance(output, Mapping):
        raise _bad_output(["output"], f"must be a JSON object, not {type(output).__name__}")
    cleaned: dict[str, Any] = {}
    containers = [_Container("output", cleaned, iter(output.items()))]
    size = 2
    while containers:
        name, value = next(containers[-1].members, (None, _END))
        if value is _END:
            containers.pop()
            continue
        copy = containers[-1].copy
        if files is not None:
            value = files.look(containers, name, value)
        try:
            size += (1 if isinstance(copy, list) else _key_size(name)) + _value_size(value, depth=len(containers))
        except _Unstorable as error:
            raise _bad_output([*(container.name for container in containers), name], str(error)) from None
        if size > max_bytes:
            why = f"is larger than {max_bytes} bytes; a tool that makes so much must keep it as an artefact"
            raise _bad_output(["output"], why)
        if isinstance(value, Mapping):
            containers.append(_Container(name, {}, iter(value.items())))
            value = containers[-1].copy
        elif isinstance(value, list | tuple):
            containers.append(_Container(name, [], iter(enumerate(value))))
            value = containers[-1].copy
        _put(copy, name, value)
    return cleaned


def _put(copy: Any, name: Any, value: Any) -> None:
    if isinstance(copy, list):
        copy.append(value)
    else:
        copy[name] = value


class _Unstorable(Exception):
    """Why a value cannot be stored."""


class _Container(NamedTuple):
    """An object or list whose copy is being filled: its name in the one around it, and what is left of the original."""

    name: Any
    copy: Any
    members: Iterator[tuple[Any, Any]]


_END = object()


def _key_size(name: object) -> int:
    if not isinstance(name, str):
        raise _Unstorable("has a key that is no string")
    return _string_size(name) + 2


def _value_size(value: object, *, depth: int) -> int:
    """Return about how many bytes of JSON a value adds, without what it holds, after a check that it can be stored."""
    match value:
        case Mapping() | list() | tuple():
            if depth >= MAX_OUTPUT_DEPTH:
                raise _Unstorable(f"is nested deeper than {MAX_OUTPUT_DEPTH} levels")
            return 2
        case None | bool():
            return 4
        case str():
            return _string_size(value)
        case int():
            if not MIN_INTEGER <= value <= MAX_INTEGER:
                raise _Unstorable("is an integer of more than 64 bits")
            return value.bit_length() // 3 + 1
        case float():
            if not math.isfinite(value):
                raise _Unstorable(f"is {value}, which is no JSON number")
            return 20
    raise _Unstorable(f"is of type {type(value).__name__}, which is no JSON")


def _string_size(value: str) -> int:
    if "\0" in value:
        raise _Unstorable("contains a NUL character")
    try:
        return len(value.encode()) + 2
    except UnicodeEncodeError:
        raise _Unstorable("contains half of a surrogate pair, which is no text") from None


def _bad_output(names: list[Any], why: str) -> ToolError:
    """Return the error of a value, by the names on the way to it. They are the tool's and may be as bad as the value."""
    path = "".join(f"[{name}]" if isinstance(name, int) else f".{str(name)[:MAX_NAME_CHARACTERS]}" for name in names)
    if len(path) > MAX_PATH_CHARACTERS:
        path = f"{path[:MAX_PATH_CHARACTERS]}..."
    return ToolError(f"The tool's output is unusable: {clean_text(path[1:])} {why}.", code="bad_output", permanent=True)
