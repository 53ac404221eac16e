"""What an expression reads, found without evaluating it."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import EllipsisType

from jinja2 import nodes

from .errors import EvaluationError

# Lists that are made of the items of another list: what is read of their items is read of its items.
_KEEPING = frozenset({"reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"})
_PROVIDING = frozenset({"d", "default", "defined", "undefined"})
_ONE_ITEM = frozenset({"first", "last"})

Path = tuple[str | int | EllipsisType, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that an expression reads.

    `root` is a name of the namespace. `path` leads on from there by names and indices, as far as they are written out;
    `...` stands for some item. `{{ steps.art | map(attribute='image') }}` reads `steps`, `("art", ..., "image")`.
    """

    root: str
    path: Path = ()

    def __str__(self) -> str:
        parts = ("[…]" if part is ... else f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return self.root + "".join(parts)


def references(node: nodes.Node) -> Iterator[Reference]:
    """Yield what a tree reads. Raises EvaluationError when it reads a step that is not named."""
    reference = way_of(node)
    if reference is not None:
        if reference.root == "steps" and not (reference.path and isinstance(reference.path[0], str)):
            raise EvaluationError("a step must be named: steps.KEY; which steps are read has to be known before the cast")
        yield reference
    elif isinstance(node, nodes.Filter):
        yield from _of_items(node)
    if reference is None or not isinstance(node, nodes.Name):
        yield from _inner(node, whole=reference is not None)


def _inner(node: nodes.Node, *, whole: bool) -> Iterator[Reference]:
    """Yield what the parts of a node read; of a way that was read as a whole only its indices and arguments."""
    current: nodes.Node | None = node
    while whole and current is not None and not isinstance(current, nodes.Name):
        for child in current.iter_child_nodes(exclude=("node",)):
            yield from references(child)
        current = getattr(current, "node", None)
    if whole:
        return
    for child in node.iter_child_nodes(exclude=("node",) if isinstance(node, nodes.Call) else None):
        yield from references(child)


def guarded(node: nodes.Node) -> Iterator[Reference]:
    """Yield what a tree reads in such a way that it may be missing: before `default`, and before `is defined`."""
    for found in (node, *node.find_all((nodes.Filter, nodes.Test))):
        if isinstance(found, nodes.Filter | nodes.Test) and found.name in _PROVIDING and found.node is not None:
            way = way_of(found.node)
            if way is not None:
                yield way


def way_of(node: nodes.Node) -> Reference | None:
    """Return the way that a node is, or None when it is something else."""
    way = None
    match node:
        case nodes.Name():
            way = Reference(node.name)
        case nodes.Getattr():
            way = _longer(way_of(node.node), node.attr)
        case nodes.Getitem(arg=nodes.Slice()):
            way = way_of(node.node)
        case nodes.Getitem(arg=nodes.Const(value=str() | int() as key)) if not isinstance(key, bool):
            way = _longer(way_of(node.node), key)
        case nodes.Getitem():
            way = _longer(way_of(node.node), ...)
        case nodes.Filter(node=nodes.Node() as inner) if node.name in _KEEPING:
            way = way_of(inner)
        case nodes.Filter(node=nodes.Node() as inner) if node.name in _ONE_ITEM:
            way = _longer(way_of(inner), ...)
    return way


def _longer(way: Reference | None, part: str | int | EllipsisType) -> Reference | None:
    return way and Reference(way.root, (*way.path, part))


def _of_items(node: nodes.Filter) -> Iterator[Reference]:
    """Yield what `attribute=` reads of each item of a list."""
    way = way_of(node.node) if node.node is not None else None
    attributes = [pair.value for pair in node.kwargs if pair.key == "attribute"]
    for attribute in attributes:
        if way is not None and isinstance(attribute, nodes.Const):
            parts = attribute.value.split(".") if isinstance(attribute.value, str) else [attribute.value]
            yield Reference(way.root, (*way.path, ..., *(int(part) if str(part).isdecimal() else part for part in parts)))
