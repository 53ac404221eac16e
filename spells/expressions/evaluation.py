"""The value of an expression: a walk over its tree, paid for as it goes."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import nodes

from .budget import Budget
from .errors import EvaluationError, MissingError
from .filters import FILTERS
from .list_filters import counted_range
from .operators import BINARY, COMPARISONS, negate
from .predicates import PREDICATES
from .syntax import described, is_chain
from .values import is_number, kind, part_of, text_of

_MISSING = object()


class Evaluation:
    """One evaluation in one namespace. The tree has passed `syntax.parse`."""

    __slots__ = ("budget", "namespace")

    def __init__(self, namespace: Mapping[str, Any], budget: Budget) -> None:
        """Take the names that the expression may read, and what is left of the work that it may do."""
        self.namespace = namespace
        self.budget = budget

    def value(self, node: nodes.Node) -> Any:
        """Return the value of a node. Raises EvaluationError."""
        self.budget.spend(1)
        return _RULES[type(node)](self, node)

    def text(self, node: nodes.Node) -> str:
        return text_of(self.value(node), budget=self.budget, name=described(node))

    def value_if_there(self, node: nodes.Node) -> Any:
        """Return the value of a way to one, or `_MISSING` when a part of the way does not exist."""
        if not is_chain(node):
            return self.value(node)
        try:
            return self.value(node)
        except MissingError:
            return _MISSING

    def certain(self, node: nodes.Node) -> Any:
        """Return the value of an argument: what is missing there is a mistake, whoever stands in for the rest."""
        try:
            return self.value(node)
        except MissingError as error:
            raise EvaluationError(str(error)) from error

    def arguments(self, node: nodes.Filter | nodes.Test | nodes.Call) -> tuple[list[Any], dict[str, Any]]:
        return [self.certain(argument) for argument in node.args], {str(pair.key): self.certain(pair.value) for pair in node.kwargs}


def _name(run: Evaluation, node: nodes.Name) -> Any:
    if node.name not in run.namespace:
        hint = "; it exists only under for_each" if node.name in {"item", "item_index"} else ""
        raise MissingError(f"there is no {node.name} here{hint}")
    return run.namespace[node.name]


def _attribute(run: Evaluation, node: nodes.Getattr) -> Any:
    return part_of(run.value(node.node), node.attr, name=lambda: described(node.node))


def _item(run: Evaluation, node: nodes.Getitem) -> Any:
    owner = run.value(node.node)
    if isinstance(node.arg, nodes.Slice):
        return _sliced(run, owner, node.arg)
    key = run.certain(node.arg)
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise EvaluationError(f"{kind(key)} is neither a name nor an index")
    return part_of(owner, key, name=lambda: described(node.node))


def _sliced(run: Evaluation, owner: Any, bounds: nodes.Slice) -> Any:
    values = [None if bound is None else run.certain(bound) for bound in (bounds.start, bounds.stop, bounds.step)]
    if not isinstance(owner, str | list):
        raise EvaluationError(f"{kind(owner)} cannot be cut: [start:stop] is for lists and texts")
    if not all(value is None or (isinstance(value, int) and not isinstance(value, bool)) for value in values) or values[2] == 0:
        raise EvaluationError("[start:stop:step] needs whole numbers, and a step other than 0")
    (run.budget.text if isinstance(owner, str) else run.budget.items)(len(owner))
    return owner[slice(*values)]


def _filter(run: Evaluation, node: nodes.Filter) -> Any:
    assert node.node is not None
    if node.name in {"default", "d"}:
        return _default(run, node)
    value = run.value(node.node) if is_chain(node.node) else run.certain(node.node)
    arguments, keywords = run.arguments(node)
    return FILTERS[node.name](run.budget, value, *arguments, **keywords)


def _default(run: Evaluation, node: nodes.Filter) -> Any:
    assert node.node is not None
    value = run.value_if_there(node.node)
    arguments, keywords = run.arguments(node)
    if value is _MISSING or (value is None and _is_step(node.node)):
        value, keywords["boolean"], arguments = None, True, arguments[:1]
    return FILTERS["default"](run.budget, value, *arguments, **keywords)


def _is_step(node: nodes.Node) -> bool:
    """Tell whether a node names a whole step, whose output is null when it was skipped."""
    owner = node.node if isinstance(node, nodes.Getattr | nodes.Getitem) else None
    return isinstance(owner, nodes.Name) and owner.name == "steps"


def _test(run: Evaluation, node: nodes.Test) -> bool:
    if node.name in {"defined", "undefined"}:
        return (run.value_if_there(node.node) is not _MISSING) == (node.name == "defined")
    value = run.value(node.node)
    arguments, keywords = run.arguments(node)
    return PREDICATES[node.name](run.budget, value, *arguments, **keywords)


def _compare(run: Evaluation, node: nodes.Compare) -> bool:
    left = run.value(node.expr)
    for operand in node.ops:
        right = run.value(operand.expr)
        if not COMPARISONS[operand.op](run.budget, left, right):
            return False
        left = right
    return True


def _binary(run: Evaluation, node: nodes.BinExpr) -> Any:
    return BINARY[node.operator](run.budget, run.value(node.left), run.value(node.right))


def _concat(run: Evaluation, node: nodes.Concat) -> str:
    return joined([run.text(part) for part in node.nodes], run.budget)


def joined(texts: list[str], budget: Budget) -> str:
    budget.text(sum(map(len, texts)))
    return "".join(texts)


def _choice(run: Evaluation, node: nodes.CondExpr) -> Any:
    assert node.expr2 is not None
    return run.value(node.expr1 if run.value(node.test) else node.expr2)


def _object(run: Evaluation, node: nodes.Dict) -> dict[str, Any]:
    result = {}
    for pair in node.items:
        key = run.value(pair.key)
        if not isinstance(key, str):
            raise EvaluationError(f"the names of an object are text, not {kind(key)}")
        result[key] = run.value(pair.value)
    return result


def _positive(run: Evaluation, node: nodes.Pos) -> Any:
    value = run.value(node.node)
    if not is_number(value):
        raise EvaluationError(f"+ {kind(value)} is not possible")
    return value


_RULES: dict[type[nodes.Node], Callable[[Evaluation, Any], Any]] = {
    nodes.Const: lambda _run, node: node.value,
    nodes.Name: _name,
    nodes.Getattr: _attribute,
    nodes.Getitem: _item,
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.Compare: _compare,
    nodes.And: lambda run, node: run.value(node.left) and run.value(node.right),
    nodes.Or: lambda run, node: run.value(node.left) or run.value(node.right),
    nodes.Not: lambda run, node: not run.value(node.node),
    nodes.CondExpr: _choice,
    nodes.Concat: _concat,
    nodes.List: lambda run, node: [run.value(item) for item in node.items],
    nodes.Dict: _object,
    nodes.Call: lambda run, node: counted_range(run.budget, *run.arguments(node)[0]),
    nodes.Neg: lambda run, node: negate(run.value(node.node)),
    nodes.Pos: _positive,
    **dict.fromkeys((nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow), _binary),
}
