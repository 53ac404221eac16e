"""JSON values as an expression sees them: their kinds, their parts, their text."""

import json
from collections.abc import Callable
from typing import Any

from spells.problems import shown

from .budget import Budget
from .errors import EvaluationError, MissingError

_MAX_NAMES = 12


def kind(value: Any) -> str:
    """Return what a value is, in words."""
    if isinstance(value, bool):
        return "true or false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def want_text(value: Any, *, what: str) -> str:
    if not isinstance(value, str):
        raise EvaluationError(f"{what} needs text, not {kind(value)}")
    return value


def want_list(value: Any, *, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise EvaluationError(f"{what} needs a list, not {kind(value)}")
    return value


def want_integer(value: Any, *, what: str) -> int:
    if not is_integer(value):
        raise EvaluationError(f"{what} needs a whole number, not {kind(value)}")
    return int(value)


def text_of(value: Any, *, budget: Budget, name: str = "the value") -> str:
    """Return the text of a value: text as it is, all else as compact JSON. Null has none.

    Raises:
        EvaluationError: null, which in a text is a mistake nearly always; or a text beyond the limits.
    """
    if isinstance(value, str):
        budget.text(len(value))
        return value
    if value is None:
        raise EvaluationError(f"{name} is null, which has no text; write {{{{ {name} or '' }}}} if that is meant")
    budget.text(budget.weigh(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def part_of(owner: Any, key: str | int, *, name: Callable[[], str]) -> Any:
    """Return what stands in an object under a name, or in a list at an index; a negative one counts from the end.

    Raises:
        MissingError: there is no such part; the message says what there is.
        EvaluationError: the owner is of a kind that has no such parts.
    """
    if owner is None:
        raise MissingError(_of_null(name(), key))
    if isinstance(key, str):
        return _named_part(owner, key, name)
    if not isinstance(owner, list | str):
        raise EvaluationError(f"{name()} is {kind(owner)}, which has no items")
    try:
        return owner[key]
    except IndexError:
        raise MissingError(f"{name()} has {len(owner)} items, so there is no {name()}[{key}]") from None


def _named_part(owner: Any, key: str, name: Callable[[], str]) -> Any:
    if isinstance(owner, dict):
        if key in owner:
            return owner[key]
        listed = ", ".join(list(owner)[:_MAX_NAMES]) + (", …" if len(owner) > _MAX_NAMES else "")
        raise MissingError(f"{name()} has no {shown(key)}; it has: {listed or 'nothing'}")
    if isinstance(owner, list):
        raise EvaluationError(
            f"{name()} is a list, which has no {shown(key)}; its items may: {name()}[0].{key}, or {name()} | map(attribute={shown(key)})"
        )
    raise EvaluationError(f"{name()} is {kind(owner)}, which has no {shown(key)}")


def _of_null(name: str, key: str | int) -> str:
    part = f"{name}.{key}" if isinstance(key, str) else f"{name}[{key}]"
    step = name.removeprefix("steps.")
    if step != name and step.isidentifier():
        return (
            f"step {shown(step)} was skipped, or failed and the cast went on, so there is no {part}; "
            f"write {{{{ {part} if {name} else … }}}} or {{{{ {part} | default(…) }}}}"
        )
    return f"{name} is null, so there is no {part}"


def check_attribute(attribute: Any) -> None:
    """Refuse what is no dotted path of attributes and indices. Raises EvaluationError."""
    if isinstance(attribute, int) and not isinstance(attribute, bool):
        return
    if not isinstance(attribute, str) or not attribute or any(not part or part.startswith("_") for part in attribute.split(".")):
        raise EvaluationError(f"{shown(attribute)} is no attribute: write names joined by dots, none of which begins with an underscore")


def plucked(item: Any, attribute: str | int, *, name: str) -> Any:
    """Return the part of an item at a dotted path, as filters take it in `attribute=`. Raises as `part_of` does."""
    check_attribute(attribute)
    if isinstance(attribute, int):
        return part_of(item, attribute, name=lambda: name)
    current = item
    for part in attribute.split("."):
        key = int(part) if part.isdecimal() and part.isascii() and isinstance(current, list) else part
        current = part_of(current, key, name=lambda: name)
    return current
