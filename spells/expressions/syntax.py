"""Reading an expression: Jinja's grammar, of which an allow-list of nodes is left.

Jinja parses; nothing is compiled to Python and no attribute of a Python object is ever looked up. What is not listed
here does not exist: statements, comments, assignments, calls, macros, imports.
"""

import math
import re
from collections.abc import Collection, Iterator

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from spells.problems import shown, suggestion
from spells.schemas import MAX_INTEGER, MIN_INTEGER

from .errors import EvaluationError
from .filters import FILTERS
from .predicates import PREDICATES
from .signatures import check_arguments

MAX_TEMPLATE_CHARS = 65_536
MAX_TOKENS = 5_000
MAX_NODES = 2_000
MAX_DEPTH = 40
MAX_BRACKETS = 20

NAMES = frozenset({"inputs", "steps", "item", "item_index"})

_GRAMMAR = Environment(keep_trailing_newline=True, autoescape=False, optimized=False)  # noqa: S701 - nothing is rendered, least of all HTML

_STATEMENTS = {
    "block_begin": "statements ({% … %}) are not allowed; write an expression in {{ … }}, or {{ '{%' }} for the text itself",
    "comment_begin": "comments ({# … #}) are not allowed; write {{ '{#' }} for the text itself",
    "raw_begin": "raw blocks are not allowed; write {{ '{{' }} for two braces",
}
_ESCAPES = re.compile(r"\\(?!['\"\\abfnrtvN0-7xuU\n])")

_OPERATORS = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg, nodes.Pos)
_PLAIN = (*_OPERATORS, nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.Concat, nodes.List, nodes.Dict, nodes.Pair)

Part = str | nodes.Expr


def parse(source: str, *, names: Collection[str] = NAMES) -> tuple[Part, ...]:
    """Return the texts and expressions that a template consists of. Raises EvaluationError, in milliseconds, for anything else."""
    if len(source) > MAX_TEMPLATE_CHARS:
        raise EvaluationError(f"is longer than the {MAX_TEMPLATE_CHARS:,} characters that are allowed")
    _check_text(source)
    if not any(mark in source for mark in ("{{", "{%", "{#")):
        return (source,)
    try:
        _check_tokens(source)
        template = Parser(_GRAMMAR, source).parse()
        parts = tuple(_parts(template))
    except TemplateSyntaxError as error:
        raise EvaluationError(f"is no expression: {error.message} (line {error.lineno})") from error
    except RecursionError as error:
        raise EvaluationError("is nested too deeply") from error
    except ValueError as error:  # Python refuses to read a number of thousands of digits
        raise EvaluationError("contains a number that is too large") from error
    for part in parts:
        if not isinstance(part, str):
            _check_tree(part, names)
    return parts


def _check_text(text: str) -> None:
    if "\0" in text:
        raise EvaluationError("contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EvaluationError("contains half of a surrogate pair, which is no character") from error


def _check_tokens(source: str) -> None:
    """Refuse what must not reach the parser, which recurses with each bracket."""
    depth = 0
    for count, (_line, token, value) in enumerate(_GRAMMAR.lexer.tokeniter(source, None)):
        if count > MAX_TOKENS:
            raise EvaluationError(f"has more than {MAX_TOKENS:,} words and signs")
        if token in _STATEMENTS:
            raise EvaluationError(_STATEMENTS[token])
        if token == "operator":  # noqa: S105 - a kind of token, no password
            depth += (value in "([{") - (value in ")]}")
            if depth > MAX_BRACKETS:
                raise EvaluationError(f"has more than {MAX_BRACKETS} brackets inside each other")
        elif token == "string" and _ESCAPES.search(value.replace("\\\\", "")):  # noqa: S105 - likewise
            raise EvaluationError("contains a text with an unknown escape; write \\\\ for a backslash")


def _parts(template: nodes.Template) -> Iterator[Part]:
    for output in template.body:
        if not isinstance(output, nodes.Output):
            raise EvaluationError(f"{type(output).__name__} is not allowed in an expression")
        for node in output.nodes:
            yield node.data if isinstance(node, nodes.TemplateData) else node


def _check_tree(root: nodes.Expr, names: Collection[str]) -> None:
    stack: list[tuple[nodes.Node, int]] = [(root, 1)]
    count = 0
    while stack:
        node, depth = stack.pop()
        count += 1
        if depth > MAX_DEPTH:
            raise EvaluationError(f"is nested more than {MAX_DEPTH} levels deep")
        if count > MAX_NODES:
            raise EvaluationError(f"has more than {MAX_NODES:,} parts")
        _check_node(node, names)
        children = node.iter_child_nodes(exclude=("node",)) if isinstance(node, nodes.Call) else node.iter_child_nodes()
        stack.extend((child, depth + 1) for child in children)


def _check_node(node: nodes.Node, names: Collection[str]) -> None:  # noqa: C901, PLR0912 - one allow-list, read in one place
    match node:
        case nodes.Const():
            _check_constant(node.value)
        case nodes.Name():
            if node.name not in names:
                raise EvaluationError(_unknown(node.name, names))
        case nodes.Getattr():
            if node.attr.startswith("_"):
                raise EvaluationError(f"{shown(node.attr)} is not allowed: no name begins with an underscore")
        case nodes.Getitem():
            if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) and node.arg.value.startswith("__"):
                raise EvaluationError(f"{shown(node.arg.value)} is not allowed: no name begins with two underscores")
        case nodes.Call():
            if not (isinstance(node.node, nodes.Name) and node.node.name == "range") or node.kwargs or node.dyn_args or node.dyn_kwargs:
                raise EvaluationError(
                    "calls are not allowed, only range(n); what else there is are filters, like {{ inputs.theme | upper }}"
                )
            if not 1 <= len(node.args) <= 3:  # noqa: PLR2004 - start, stop and step
                raise EvaluationError("range takes (stop), (start, stop) or (start, stop, step)")
        case nodes.Filter():
            check_arguments("filter", FILTERS, node)
        case nodes.Test():
            check_arguments("test", PREDICATES, node)
        case nodes.CondExpr():
            if node.expr2 is None:
                raise EvaluationError("`if` without `else` has no value when its condition is false; write the else")
        case nodes.Tuple():
            raise EvaluationError("a list is written in square brackets: [a, b]")
        case nodes.Slice() | nodes.Keyword():
            pass
        case _ if not isinstance(node, _PLAIN):
            raise EvaluationError(f"{type(node).__name__} is not allowed in an expression")


def _unknown(name: str, names: Collection[str]) -> str:
    if name in {"null", "nil", "undefined"}:
        return f"there is no {name} here; the empty value is none"
    hint = suggestion(name, names)
    if "inputs" in names and not hint.startswith("; did"):
        hint = f"; an input is written inputs.{name[:60]}, the output of a step steps.{name[:60]}"
    return f"there is no {shown(name)} here{hint}"


def _check_constant(value: object) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise EvaluationError("contains an integer beyond 64 bits")
    elif not (isinstance(value, float) and math.isfinite(value)):
        raise EvaluationError("contains a number that is too large")


# Filters that give one item of a list, which may be missing.
ONE_OF_LIST = frozenset({"first", "last", "max", "min"})


def is_chain(node: nodes.Node) -> bool:
    """Tell whether a node is a way to a value, of which any part may be missing: names, attributes, items, `first` and its like."""
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        node = node.node
    return isinstance(node, nodes.Name) or (isinstance(node, nodes.Filter) and node.name in ONE_OF_LIST)


def described(node: nodes.Node) -> str:
    """Return a way to a value as it was written, like `steps.story.scenes[0]`."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return f"{described(node.node)}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=value)):
            return f"{described(node.node)}[{shown(value)}]"
        case nodes.Getitem():
            return f"{described(node.node)}[…]"
        case nodes.Filter(node=nodes.Node() as inner):
            return f"{described(inner)} | {node.name}"
        case _:
            return "the value"
