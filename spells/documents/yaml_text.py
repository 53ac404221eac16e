"""YAML as spell documents use it: plain data, read strictly and written readably.

Read from the parser's events, so that depth is bounded and each error has its line. What is no plain data is refused:
anchors and aliases (bombs), tags (objects), names given twice. Only true, false, null and decimal numbers are anything
but text: no `yes`, no dates, no octal or base-60 numbers.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from spells.problems import Problem, shown
from spells.schemas import MAX_DEPTH

from .document import DocumentError

# libyaml where PyYAML was built with it; the same events either way
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS = {"null": None, "~": None, "": None, "true": True, "false": False}
_WORD = re.compile(r"(?:~|null|Null|NULL|true|True|TRUE|false|False|FALSE|)\Z")
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_NOT_TEXT = re.compile("|".join(pattern.pattern for pattern in (_WORD, _INTEGER, _FLOAT, _NO_NUMBER)))
_BREAKS = re.compile("[\\r\\x85\\u2028\\u2029]")
_MAX_DIGITS = 40


def load(text: str) -> Any:
    """Return the data of a YAML document. Raises DocumentError with line and column."""
    try:
        return _Builder().build(yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error(mark, f"is no YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise _error(None, f"is no YAML: {str(error).splitlines()[0]}") from error


def _error(mark: Any, message: str) -> DocumentError:
    place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return DocumentError([Problem(place, message)])


class _Builder:
    """Puts values together from events. `open` are the lists and objects that have begun, `names` their pending names."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.open: list[Any] = []
        self.names: list[str | None] = []
        self.roots: list[Any] = []

    def build(self, events: Iterator[Any]) -> Any:
        for event in events:
            self._refuse(event)
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._begin({} if isinstance(event, yaml.MappingStartEvent) else [], event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self.open.pop()
                self.names.pop()
        if not self.roots:
            raise _error(None, "is empty")
        return self.roots[0]

    def _refuse(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _error(event.start_mark, "anchors (&) and aliases (*) are not allowed; quote a text that begins so")
        if getattr(event, "tag", None):
            raise _error(event.start_mark, "tags (!) are not allowed; quote a text that begins so")
        if isinstance(event, yaml.DocumentStartEvent) and self.roots:
            raise _error(event.start_mark, "a second document begins here; one spell, one document")

    def _scalar(self, event: Any) -> None:
        if self._wants_name():
            if event.value in self.open[-1]:
                raise _error(event.start_mark, f"{shown(event.value)} is given twice")
            self.names[-1] = event.value
        else:
            self._add(_value(event) if event.implicit[0] else event.value)

    def _begin(self, container: Any, event: Any) -> None:
        if self._wants_name():
            raise _error(event.start_mark, "a name must be text")
        if len(self.open) >= MAX_DEPTH:
            raise _error(event.start_mark, f"is nested deeper than {MAX_DEPTH} levels")
        self._add(container)
        self.open.append(container)
        self.names.append(None)

    def _wants_name(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1], dict) and self.names[-1] is None

    def _add(self, value: Any) -> None:
        if not self.open:
            self.roots.append(value)
        elif isinstance(self.open[-1], dict):
            self.open[-1][self.names[-1]] = value
            self.names[-1] = None
        else:
            self.open[-1].append(value)


def _value(event: Any) -> Any:
    """Return what an unquoted scalar stands for."""
    text: str = event.value
    if _WORD.match(text):
        return _WORDS[text.lower()]
    if not _NOT_TEXT.match(text):
        return text
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits.isdecimal() and digits.startswith("0"):
        raise _error(
            event.start_mark, f"{text[:_MAX_DIGITS]} may be read in two ways: write it without leading zeros, or in quotes for a text"
        )
    if len(text) > _MAX_DIGITS and _INTEGER.match(text):
        raise _error(event.start_mark, "is an integer beyond 64 bits")
    number = math.inf if _NO_NUMBER.match(text) else int(text) if _INTEGER.match(text) else float(text)
    if math.isinf(number):
        raise _error(event.start_mark, f"{text[:_MAX_DIGITS]} is not a finite number")
    return number


class _Dumper(yaml.SafeDumper):
    """Writes lists indented, texts of several lines as blocks, and nothing twice by reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - the base's signature
        super().increase_indent(flow, False)  # noqa: FBT003 - likewise


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # breaks of lines that are none in JSON: only an escape brings them back as they were
    style = '"' if _BREAKS.search(text) else "|" if _is_block(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_block(text: str) -> bool:
    """Tell whether a text reads best as a block: several lines, none of which hides white space at its end."""
    lines = text.split("\n")
    return len(lines) > 1 and text.strip() == text.rstrip("\n") and not any(line != line.rstrip() for line in lines) and text[-2:] != "\n\n"


_Dumper.add_representer(str, _represent_text)
# Quotes whatever `load` would not read back as text, beside what other readers of YAML would not.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NOT_TEXT, None)


def dump(data: Any) -> str:
    """Return the YAML text of JSON data."""
    text: str = yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=math.inf, default_flow_style=False)
    return text
