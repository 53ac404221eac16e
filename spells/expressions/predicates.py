"""Tests, the words after `is`. Each takes the budget, the value, and what its user gives."""

from collections.abc import Callable
from typing import Any

from .budget import Budget
from .errors import EvaluationError
from .operators import COMPARISONS
from .values import is_integer, is_number, want_integer


def _kind(check: Callable[[Any], bool]) -> Callable[[Budget, Any], bool]:
    def predicate(_budget: Budget, value: Any) -> bool:
        return check(value)

    return predicate


def _comparison(name: str) -> Callable[[Budget, Any, Any], bool]:
    compare = COMPARISONS[name]

    def predicate(budget: Budget, value: Any, other: Any) -> bool:
        return compare(budget, value, other)

    return predicate


def divisibleby(_budget: Budget, value: Any, divisor: Any) -> bool:
    if want_integer(divisor, what="divisibleby") == 0:
        raise EvaluationError("nothing is divisible by zero")
    return want_integer(value, what="divisibleby") % int(divisor) == 0


def odd(_budget: Budget, value: Any) -> bool:
    return want_integer(value, what="odd") % 2 == 1


def even(_budget: Budget, value: Any) -> bool:
    return want_integer(value, what="even") % 2 == 0


PREDICATES: dict[str, Callable[..., bool]] = {
    # of what is missing the evaluation itself knows
    "defined": _kind(lambda _value: True),
    "undefined": _kind(lambda _value: False),
    "none": _kind(lambda value: value is None),
    "boolean": _kind(lambda value: isinstance(value, bool)),
    "true": _kind(lambda value: value is True),
    "false": _kind(lambda value: value is False),
    "number": _kind(is_number),
    "integer": _kind(is_integer),
    "float": _kind(lambda value: isinstance(value, float)),
    "string": _kind(lambda value: isinstance(value, str)),
    "mapping": _kind(lambda value: isinstance(value, dict)),
    "sequence": _kind(lambda value: isinstance(value, list)),
    "divisibleby": divisibleby,
    "odd": odd,
    "even": even,
    "eq": _comparison("eq"),
    "equalto": _comparison("eq"),
    "ne": _comparison("ne"),
    "lt": _comparison("lt"),
    "lessthan": _comparison("lt"),
    "le": _comparison("lteq"),
    "gt": _comparison("gt"),
    "greaterthan": _comparison("gt"),
    "ge": _comparison("gteq"),
    "in": _comparison("in"),
}
