"""Operators on JSON values. Each is bounded before it makes anything."""

import math
from collections.abc import Callable
from typing import Any

from spells.schemas import MAX_INTEGER, MIN_INTEGER

from .budget import Budget
from .errors import EvaluationError
from .values import is_integer, is_number, kind

_MAX_BITS = 64


def number(value: Any) -> Any:
    """Return a number if it is one that JSON and 64 bits can hold. Raises EvaluationError."""
    if isinstance(value, float) and not math.isfinite(value):
        raise EvaluationError("the result is not a finite number")
    if isinstance(value, complex):
        raise EvaluationError("the result is no real number")
    if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise EvaluationError("the result is an integer beyond 64 bits")
    return value


def _numbers(sign: str, left: Any, right: Any) -> None:
    if not (is_number(left) and is_number(right)):
        hint = "; join texts with ~" if sign == "+" and (isinstance(left, str) or isinstance(right, str)) else ""
        raise EvaluationError(f"{kind(left)} {sign} {kind(right)} is not possible{hint}")


def _arithmetic(sign: str, operation: Callable[[Any, Any], Any]) -> Callable[[Budget, Any, Any], Any]:
    def operate(_budget: Budget, left: Any, right: Any) -> Any:
        _numbers(sign, left, right)
        try:
            return number(operation(left, right))
        except ZeroDivisionError as error:
            raise EvaluationError(f"division by zero: {left} {sign} {right}") from error
        except OverflowError as error:
            raise EvaluationError("the result is too large a number") from error

    return operate


def add(budget: Budget, left: Any, right: Any) -> Any:
    """Add numbers, or put two texts or two lists together."""
    if isinstance(left, str) and isinstance(right, str):
        budget.text(len(left) + len(right))
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        budget.items(len(left) + len(right))
        return left + right
    return _plus(budget, left, right)


def multiply(budget: Budget, left: Any, right: Any) -> Any:
    """Multiply numbers, or repeat a text or a list."""
    if is_integer(left) and isinstance(right, str | list):
        left, right = right, left
    if isinstance(left, str | list) and is_integer(right):
        count = len(left) * max(right, 0)
        (budget.text if isinstance(left, str) else budget.items)(count)
        return left * right
    return _times(budget, left, right)


def power(budget: Budget, left: Any, right: Any) -> Any:
    """Raise a number to a power, unless the result would not fit into 64 bits."""
    if is_integer(left) and is_integer(right) and abs(left) > 1 and abs(right) * (left.bit_length() - 1) > _MAX_BITS:
        raise EvaluationError("the result is an integer beyond 64 bits" if right > 0 else "the result is too small a number")
    return _to_the(budget, left, right)


_plus = _arithmetic("+", lambda left, right: left + right)
_times = _arithmetic("*", lambda left, right: left * right)
_to_the = _arithmetic("**", lambda left, right: left**right)

BINARY: dict[str, Callable[[Budget, Any, Any], Any]] = {
    "+": add,
    "-": _arithmetic("-", lambda left, right: left - right),
    "*": multiply,
    "/": _arithmetic("/", lambda left, right: left / right),
    "//": _arithmetic("//", lambda left, right: left // right),
    "%": _arithmetic("%", lambda left, right: left % right),
    "**": power,
}


def negate(value: Any) -> Any:
    if not is_number(value):
        raise EvaluationError(f"- {kind(value)} is not possible")
    return number(-value)


def equal(budget: Budget, left: Any, right: Any) -> bool:
    """Tell whether two values are the same JSON: true is not 1, and 1 is 1.0."""
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, str | dict | list) and type(left) is type(right):
        budget.weigh(left)
        budget.weigh(right)
    return bool(left == right)


def ordered(sign: str) -> Callable[[Budget, Any, Any], bool]:
    """Return the comparison behind one of `< <= > >=`: of two numbers or two texts."""
    compare = _ORDER[sign]

    def operate(budget: Budget, left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            budget.text(min(len(left), len(right)))
        elif not (is_number(left) and is_number(right)):
            raise EvaluationError(f"{kind(left)} {sign} {kind(right)} is not possible: only two numbers or two texts have an order")
        return compare(left, right)

    return operate


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
}


def contains(budget: Budget, item: Any, container: Any) -> bool:
    """Tell whether an item is in a list, a name in an object, or a text in a text."""
    if isinstance(container, str):
        if not isinstance(item, str):
            raise EvaluationError(f"{kind(item)} in text is not possible")
        budget.text(len(item) + len(container))
        return item in container
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    if isinstance(container, list):
        budget.weigh(container)
        budget.weigh(item)
        budget.items(len(container))
        return any(isinstance(item, bool) == isinstance(each, bool) and item == each for each in container)
    raise EvaluationError(f"{kind(container)} contains nothing; `in` needs a list, an object or a text")


COMPARISONS: dict[str, Callable[[Budget, Any, Any], bool]] = {
    "eq": equal,
    "ne": lambda budget, left, right: not equal(budget, left, right),
    "gt": ordered(">"),
    "gteq": ordered(">="),
    "lt": ordered("<"),
    "lteq": ordered("<="),
    "in": contains,
    "notin": lambda budget, left, right: not contains(budget, left, right),
}
