"""What a filter or test may be given, checked when an expression is read."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import nodes

from spells.problems import shown, suggestion

from .errors import EvaluationError
from .filters import FILTERS
from .predicates import PREDICATES
from .values import check_attribute

Function = Callable[..., Any]

_TABLES: Mapping[str, Mapping[str, Function]] = {"filter": FILTERS, "test": PREDICATES}

# Filters that apply another filter, or a test, which stands at this place among their arguments.
_APPLYING = {
    "map": ("filter", 0),
    "reject": ("test", 0),
    "rejectattr": ("test", 1),
    "select": ("test", 0),
    "selectattr": ("test", 1),
}


@lru_cache(maxsize=256)
def _signature(function: Function) -> inspect.Signature:
    """Return the parameters that are the user's to give: all but the budget and the value."""
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[2:])


def check_arguments(kind: str, known: Mapping[str, Function], node: nodes.Filter | nodes.Test) -> None:
    """Refuse an unknown filter or test, or one with arguments that it does not take. Raises EvaluationError."""
    if node.name not in known:
        raise EvaluationError(f"there is no {kind} {shown(node.name)}{suggestion(node.name, known)}")
    if node.dyn_args or node.dyn_kwargs or node.node is None:
        raise EvaluationError(f"{kind} {shown(node.name)}: arguments are written one by one")
    # Jinja's annotations call them pairs of expressions; they are keywords
    keywords: dict[str, nodes.Expr] = {str(pair.key): pair.value for pair in node.kwargs}
    _bind(kind, node.name, known[node.name], node.args, keywords)
    _check_names(node, keywords)


def _bind(kind: str, name: str, function: Function, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> None:
    signature = _signature(function)
    try:
        signature.bind(*arguments, **keywords)
    except TypeError as error:
        wanted = ", ".join(parameter.name for parameter in signature.parameters.values())
        raise EvaluationError(f"{kind} {shown(name)} takes ({wanted}): {error}") from error


def _check_names(node: nodes.Filter | nodes.Test, keywords: Mapping[str, nodes.Expr]) -> None:
    """Refuse the name of an attribute, a filter or a test that is computed: it could not be checked before the cast."""
    attributes = [keywords["attribute"]] if "attribute" in keywords else []
    if node.name in {"selectattr", "rejectattr"}:
        attributes += node.args[:1]
    for attribute in attributes:
        check_attribute(_constant(attribute, f"filter {shown(node.name)}: the attribute"))
    if isinstance(node, nodes.Filter) and node.name in _APPLYING:
        kind, place = _APPLYING[node.name]
        for applied in node.args[place : place + 1]:
            name = _constant(applied, f"filter {shown(node.name)}: the {kind}")
            known = _TABLES[kind]
            if name not in known:
                raise EvaluationError(f"there is no {kind} {shown(name)}{suggestion(str(name), known)}")
            _bind(kind, name, known[name], node.args[place + 1 :], {})


def _constant(node: nodes.Expr, what: str) -> Any:
    if not isinstance(node, nodes.Const):
        raise EvaluationError(f"{what} must be written as a text, not computed")
    return node.value
