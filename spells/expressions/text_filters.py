"""Filters on texts and numbers. Each takes the budget, the value, and what its user gives."""

import json
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from jinja2.filters import do_title

from .budget import MAX_LIST_ITEMS, Budget
from .errors import EvaluationError
from .operators import number
from .values import is_number, kind, text_of, want_integer, want_text

# The longest text that is read as a number.
_MAX_DIGITS = 400
_NO_DEFAULT = object()


def _plain(name: str, convert: Callable[[str], str]) -> Callable[[Budget, Any], str]:
    def apply(budget: Budget, value: Any) -> str:
        text = want_text(value, what=name)
        budget.text(len(text))
        return convert(text)

    return apply


def title(budget: Budget, value: Any) -> str:
    budget.spend(len(want_text(value, what="title")) // 8)  # goes from word to word
    return do_title(value)


def trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    budget.text(len(want_text(value, what="trim")))
    return str(value).strip(None if chars is None else want_text(chars, what="trim"))


def replace(budget: Budget, value: Any, old: str, new: str, count: int | None = None) -> str:
    text, old, new = want_text(value, what="replace"), want_text(old, what="replace"), want_text(new, what="replace")
    budget.text(len(text))
    found = text.count(old)
    if count is not None:
        found = min(found, max(0, want_integer(count, what="replace")))
    budget.text(len(text) + found * (len(new) - len(old)))
    return text.replace(old, new, found)


def truncate(budget: Budget, value: Any, length: int = 255, killwords: bool = False, end: str = "…") -> str:
    """Cut a text to at most `length` characters, `end` included, at a space unless `killwords`."""
    text, end = want_text(value, what="truncate"), want_text(end, what="truncate")
    budget.text(len(text))
    room = want_integer(length, what="truncate") - len(end)
    if room < 0:
        raise EvaluationError(f"truncate cannot cut to {length} characters and append {len(end)}")
    if len(text) <= length:
        return text
    cut = text[:room]
    return (cut if killwords else cut.rsplit(" ", 1)[0]) + end


def wordcount(budget: Budget, value: Any) -> int:
    budget.spend(len(want_text(value, what="wordcount")) // 8)
    return len(str(value).split())


def split(budget: Budget, value: Any, separator: str | None = None, maxsplit: int = -1) -> list[str]:
    text = want_text(value, what="split")
    if separator is not None and not want_text(separator, what="split"):
        raise EvaluationError("split needs a separator that is not empty")
    budget.text(len(text))
    most = want_integer(maxsplit, what="split")
    # one more than may be: what is allowed is told by its number, not found out by making it
    pieces = text.split(separator, MAX_LIST_ITEMS if most < 0 else min(most, MAX_LIST_ITEMS))
    budget.items(len(pieces))
    return pieces


def urlencode(budget: Budget, value: Any) -> str:
    text = text_of(value, budget=budget)
    budget.text(12 * len(text))  # four bytes of three characters each, at most
    return quote(text, safe="")


def string(budget: Budget, value: Any) -> str:
    return text_of(value, budget=budget)


def tojson(budget: Budget, value: Any, indent: int | None = None) -> str:
    weight = budget.weigh(value)
    if indent is not None and not 0 <= want_integer(indent, what="tojson") <= 8:  # noqa: PLR2004 - more is no indentation
        raise EvaluationError("tojson indents by 0 to 8 spaces")
    budget.text(weight * (1 if indent is None else 4))
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)


def to_integer(_budget: Budget, value: Any, default: Any = _NO_DEFAULT) -> Any:
    """Return a whole number: of a text that reads as one, or of a number by cutting its fraction."""
    try:
        if isinstance(value, float):
            return number(math.trunc(value))
        if isinstance(value, str | int) and len(str(value)) <= _MAX_DIGITS:
            return number(int(value))
    except ValueError as error:
        if default is _NO_DEFAULT:
            raise EvaluationError(f"int cannot read {value[:40]!r} as a whole number; int(0) would give 0 instead") from error
        return default
    if default is _NO_DEFAULT:
        raise EvaluationError(f"int cannot read {kind(value)} as a whole number")
    return default


def to_float(_budget: Budget, value: Any, default: Any = _NO_DEFAULT) -> Any:
    try:
        if is_number(value) or (isinstance(value, str) and len(value) <= _MAX_DIGITS):
            return number(float(value))
    except ValueError as error:
        if default is _NO_DEFAULT:
            raise EvaluationError(f"float cannot read {value[:40]!r} as a number; float(0.0) would give 0.0 instead") from error
        return default
    if default is _NO_DEFAULT:
        raise EvaluationError(f"float cannot read {kind(value)} as a number")
    return default


_ROUNDINGS: dict[str, Callable[[float], float]] = {"ceil": math.ceil, "floor": math.floor}


def round_number(_budget: Budget, value: Any, precision: int = 0, method: str = "common") -> float:
    if not is_number(value):
        raise EvaluationError(f"round needs a number, not {kind(value)}")
    places = want_integer(precision, what="round")
    if abs(places) > 15:  # noqa: PLR2004 - the digits that a float has
        raise EvaluationError("round keeps at most 15 digits")
    if method == "common":
        return float(number(round(float(value), places)))
    if method not in _ROUNDINGS:
        raise EvaluationError("round's method is common, ceil or floor")
    factor = 10.0**places
    return float(number(_ROUNDINGS[method](number(value * factor)) / factor))


def absolute(_budget: Budget, value: Any) -> Any:
    if not is_number(value):
        raise EvaluationError(f"abs needs a number, not {kind(value)}")
    return number(abs(value))


TEXT_FILTERS: dict[str, Callable[..., Any]] = {
    "abs": absolute,
    "capitalize": _plain("capitalize", str.capitalize),
    "float": to_float,
    "int": to_integer,
    "lower": _plain("lower", str.lower),
    "replace": replace,
    "round": round_number,
    "split": split,
    "string": string,
    "title": title,
    "tojson": tojson,
    "trim": trim,
    "truncate": truncate,
    "upper": _plain("upper", str.upper),
    "urlencode": urlencode,
    "wordcount": wordcount,
}
