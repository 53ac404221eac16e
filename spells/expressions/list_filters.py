"""Filters on lists and objects. Each takes the budget, the value, and what its user gives."""

from collections.abc import Callable
from typing import Any

from spells.problems import shown

from .budget import CHARS_PER_UNIT, MAX_LIST_ITEMS, Budget
from .errors import EvaluationError, MissingError
from .operators import add
from .values import is_integer, is_number, kind, plucked, text_of, want_integer, want_list

_NONE_GIVEN = object()

Attribute = str | int | None


def pluck_all(budget: Budget, items: list[Any], attribute: Attribute, default: Any = _NONE_GIVEN) -> list[Any]:
    """Return that part of each item, or the items themselves without an attribute."""
    budget.items(len(items))
    if attribute is None:
        return items
    parts = []
    for index, item in enumerate(items):
        if item is None and default is _NONE_GIVEN:
            raise EvaluationError(f"item {index} is null, so it has no {shown(attribute)}; leave such items out with | select")
        try:
            parts.append(plucked(item, attribute, name=f"item {index}"))
        except MissingError as error:
            if default is _NONE_GIVEN:
                raise EvaluationError(str(error)) from error
            parts.append(default)
    return parts


def length(_budget: Budget, value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise EvaluationError(f"{kind(value)} has no length")
    return len(value)


def first(_budget: Budget, value: Any) -> Any:
    return _end(value, 0, "first")


def last(_budget: Budget, value: Any) -> Any:
    return _end(value, -1, "last")


def _end(value: Any, index: int, name: str) -> Any:
    if not isinstance(value, str | list):
        raise EvaluationError(f"{name} needs a list, not {kind(value)}")
    if not value:
        raise MissingError(f"{name} of an empty list does not exist")
    return value[index]


def join(budget: Budget, value: Any, separator: str = "", attribute: Attribute = None) -> str:
    items = pluck_all(budget, want_list(value, what="join"), attribute)
    texts = [text_of(item, budget=budget, name=f"item {index}") for index, item in enumerate(items)]
    between = text_of(separator, budget=budget)
    budget.text(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def as_list(budget: Budget, value: Any) -> list[Any]:
    if not isinstance(value, str | list | dict):
        raise EvaluationError(f"{kind(value)} cannot become a list")
    budget.items(len(value))
    return list(value)


def reverse(budget: Budget, value: Any) -> Any:
    if not isinstance(value, str):
        budget.items(len(want_list(value, what="reverse")))
    else:
        budget.text(len(value))
    return value[::-1]


def _sort_keys(budget: Budget, items: list[Any], attribute: Attribute, case_sensitive: bool) -> list[Any]:
    keys = pluck_all(budget, items, attribute)
    for key in keys:
        if isinstance(key, str):
            budget.text(len(key))
    if all(isinstance(key, str) for key in keys):
        return keys if case_sensitive else [key.lower() for key in keys]
    if all(is_number(key) for key in keys):
        return keys
    raise EvaluationError(f"only numbers, or only texts, have an order; these are {', '.join(sorted(set(map(kind, keys))))}")


def sort(budget: Budget, value: Any, reverse: bool = False, case_sensitive: bool = False, attribute: Attribute = None) -> list[Any]:
    items = want_list(value, what="sort")
    keys = _sort_keys(budget, items, attribute, case_sensitive)
    # each item is compared about as often as the length has bits
    rounds = len(items).bit_length()
    budget.spend(rounds * (len(items) + sum(len(key) for key in keys if isinstance(key, str)) // CHARS_PER_UNIT))
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))
    return [items[index] for index in order]


def _extreme(name: str, choose: Callable[..., int]) -> Callable[..., Any]:
    def apply(budget: Budget, value: Any, case_sensitive: bool = False, attribute: Attribute = None) -> Any:
        items = want_list(value, what=name)
        if not items:
            raise MissingError(f"{name} of an empty list does not exist")
        keys = _sort_keys(budget, items, attribute, case_sensitive)
        return items[choose(range(len(items)), key=keys.__getitem__)]

    return apply


def unique(budget: Budget, value: Any, case_sensitive: bool = False, attribute: Attribute = None) -> list[Any]:
    items = want_list(value, what="unique")
    seen: set[Any] = set()
    kept = []
    for item, part in zip(items, pluck_all(budget, items, attribute), strict=True):
        budget.weigh(part)
        key = _hashable(part.lower() if isinstance(part, str) and not case_sensitive else part)
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return ("object", frozenset((key, _hashable(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(map(_hashable, value)))
    return (isinstance(value, bool), value)


def total(budget: Budget, value: Any, attribute: Attribute = None, start: int = 0) -> Any:
    result: Any = start
    for item in pluck_all(budget, want_list(value, what="sum"), attribute):
        if not (is_number(item) and is_number(result)):
            raise EvaluationError(f"sum adds numbers, not {kind(item)}")
        result = add(budget, result, item)
    return result


def batch(budget: Budget, value: Any, linecount: int, fill_with: Any = None) -> list[list[Any]]:
    items, size = want_list(value, what="batch"), want_integer(linecount, what="batch")
    if size < 1:
        raise EvaluationError("batch needs a size of at least 1")
    budget.items(len(items) + (size if fill_with is not None else 0))
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    if batches and fill_with is not None:
        batches[-1] = batches[-1] + [fill_with] * (size - len(batches[-1]))
    return batches


def flatten(budget: Budget, value: Any) -> list[Any]:
    """Put the lists inside a list together; what is no list stays an item."""
    flat: list[Any] = []
    for item in want_list(value, what="flatten"):
        inner = item if isinstance(item, list) else [item]
        budget.items(len(inner))
        if len(flat) + len(inner) > MAX_LIST_ITEMS:
            budget.items(len(flat) + len(inner))
        flat.extend(inner)
    return flat


def pairs(budget: Budget, value: Any) -> list[list[Any]]:
    """Return the names and values of an object as a list of pairs, in the order of the names."""
    if not isinstance(value, dict):
        raise EvaluationError(f"items needs an object, not {kind(value)}")
    budget.items(len(value))
    return [[key, value[key]] for key in sorted(value)]


def counted_range(budget: Budget, *bounds: Any) -> list[int]:
    """Return the whole numbers from start (0) up to, not including, stop, as a list."""
    if not all(is_integer(bound) for bound in bounds):
        raise EvaluationError("range needs whole numbers")
    try:
        numbers = range(*bounds)
        budget.items(len(numbers))
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"range cannot count so: {error}") from error
    return list(numbers)


LIST_FILTERS: dict[str, Callable[..., Any]] = {
    "batch": batch,
    "count": length,
    "first": first,
    "flatten": flatten,
    "items": pairs,
    "join": join,
    "last": last,
    "length": length,
    "list": as_list,
    "max": _extreme("max", max),
    "min": _extreme("min", min),
    "reverse": reverse,
    "sort": sort,
    "sum": total,
    "unique": unique,
}
