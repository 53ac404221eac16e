"""All filters by name, and those that apply another filter or test to each item of a list.

What Jinja has beyond these is left out for a reason: it needs Python objects (`attr`, `format`), makes HTML, is not
the same twice (`random`), or grows without use.
"""

from collections.abc import Callable
from typing import Any

from .budget import Budget
from .errors import EvaluationError
from .list_filters import LIST_FILTERS, Attribute, pluck_all
from .predicates import PREDICATES
from .text_filters import TEXT_FILTERS
from .values import want_list

_NONE_GIVEN = object()


def default(_budget: Budget, value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """Stand in for what is missing (the evaluation knows), and with `boolean` also for what is empty, 0 or false."""
    return default_value if boolean and not value else value


def map_items(budget: Budget, value: Any, *arguments: Any, attribute: Attribute = None, default: Any = _NONE_GIVEN) -> list[Any]:
    """Return that part of each item, or each item through the filter that is named."""
    items = want_list(value, what="map")
    if attribute is not None:
        if arguments:
            raise EvaluationError("map takes the name of a filter or an attribute, not both")
        given = () if default is _NONE_GIVEN else (default,)
        return pluck_all(budget, items, attribute, *given)
    if not arguments or default is not _NONE_GIVEN:
        raise EvaluationError("map needs the name of a filter and its arguments in order, or attribute='…'")
    budget.items(len(items))
    apply = FILTERS[arguments[0]]
    return [apply(budget, item, *arguments[1:]) for item in items]


def _selecting(name: str, *, keep: bool, by_attribute: bool) -> Callable[..., list[Any]]:
    def apply(budget: Budget, value: Any, *arguments: Any) -> list[Any]:
        items = want_list(value, what=name)
        parts = items
        if by_attribute:
            if not arguments:
                raise EvaluationError(f"{name} needs an attribute")
            parts, arguments = pluck_all(budget, items, arguments[0], None), arguments[1:]
        budget.items(len(items))
        passes = _predicate(budget, arguments)
        return [item for item, part in zip(items, parts, strict=True) if passes(part) == keep]

    return apply


def _predicate(budget: Budget, arguments: tuple[Any, ...]) -> Callable[[Any], bool]:
    if not arguments:
        return bool
    test = PREDICATES[arguments[0]]
    return lambda part: test(budget, part, *arguments[1:])


FILTERS: dict[str, Callable[..., Any]] = {
    **TEXT_FILTERS,
    **LIST_FILTERS,
    "d": default,
    "default": default,
    "map": map_items,
    "reject": _selecting("reject", keep=False, by_attribute=False),
    "rejectattr": _selecting("rejectattr", keep=False, by_attribute=True),
    "select": _selecting("select", keep=True, by_attribute=False),
    "selectattr": _selecting("selectattr", keep=True, by_attribute=True),
}
