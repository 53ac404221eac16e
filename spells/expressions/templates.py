"""Templates: texts with expressions in them, and JSON values with such texts in them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import nodes

from spells.problems import join_path
from spells.schemas import check_json

from .budget import Budget
from .errors import EvaluationError, ExpressionError
from .evaluation import Evaluation, joined
from .references import Reference, guarded, references, way_of
from .syntax import NAMES, Part, parse

MAX_RESULT_BYTES = 2 * 1024 * 1024

# Expressions in one value, and in one spell: reading one takes some 100 µs.
MAX_EXPRESSIONS = 5_000


@dataclass(frozen=True, slots=True)
class Template:
    """A text that may contain expressions, read and checked.

    `references` is what they read, `guarded` that of it for whose absence they provide. `parts` are its texts and
    expressions in order; one expression alone keeps the type of its value, anything else becomes text.
    """

    path: str
    source: str
    references: frozenset[Reference]
    guarded: frozenset[Reference]
    parts: tuple[Part, ...]

    @property
    def is_literal(self) -> bool:
        """Tell whether there is no expression in it."""
        return all(isinstance(part, str) for part in self.parts)

    @property
    def is_expression(self) -> bool:
        """Tell whether it is one expression and nothing else, whose value keeps its type."""
        return len(self.parts) == 1 and not isinstance(self.parts[0], str)

    @property
    def expressions(self) -> int:
        """Count the expressions in it."""
        return sum(not isinstance(part, str) for part in self.parts)

    @property
    def way(self) -> Reference | None:
        """Return what it reads when that is all it does: when its value is a value of the namespace, or a part of one."""
        only = self.parts[0] if self.is_expression else None
        return way_of(only) if isinstance(only, nodes.Node) else None

    def evaluate(self, namespace: Mapping[str, Any], *, budget: Budget | None = None) -> Any:
        """Return the value as JSON. It may share objects with the namespace. Raises ExpressionError."""
        if self.is_literal:
            return self.source
        run = Evaluation(namespace, budget or Budget())
        try:
            value = _value(self.parts, run)
        except EvaluationError as error:
            raise ExpressionError(str(error), path=self.path) from error
        except RecursionError as error:
            raise ExpressionError("goes through a value that is nested too deeply", path=self.path) from error
        for problem in check_json(value, path="the result", max_bytes=MAX_RESULT_BYTES):
            raise ExpressionError(f"{problem.path} {problem.message}", path=self.path)
        return value


def _value(parts: tuple[Part, ...], run: Evaluation) -> Any:
    if len(parts) == 1 and not isinstance(parts[0], str):
        value = run.value(parts[0])
    else:
        value = joined([part if isinstance(part, str) else run.text(part) for part in parts], run.budget)
    # one small list may stand at a thousand places of the result
    run.budget.weigh(value)
    return value


@dataclass(frozen=True, slots=True)
class TemplateTree:
    """A JSON value whose texts are templates. `value` has a `Template` in place of each text that contains an expression."""

    path: str
    value: Any
    references: frozenset[Reference]

    def evaluate(self, namespace: Mapping[str, Any]) -> Any:
        """Return the value with the templates evaluated, new in all its lists and objects. Raises ExpressionError."""
        return _evaluated(self.value, namespace, Budget())

    def templates(self) -> Iterator[Template]:
        """Yield all templates in it."""
        yield from _templates(self.value)


def compile_template(source: str, *, path: str, names: Collection[str] = NAMES) -> Template:
    """Read a text that may contain expressions.

    `path` is its place, for error messages; `names` are the roots that it may read. Raises ExpressionError for anything
    but a text within the limits, with expressions of the language in docs/spells.md.
    """
    try:
        parts = parse(source, names=names)
        trees = [part for part in parts if not isinstance(part, str)]
        read = frozenset(reference for tree in trees for reference in references(tree))
    except EvaluationError as error:
        raise ExpressionError(str(error), path=path) from error
    provided = frozenset(reference for tree in trees for reference in guarded(tree))
    return Template(path=path, source=source, references=read, guarded=provided, parts=parts)


def compile_expression(source: str, *, path: str, names: Collection[str] = NAMES) -> Template:
    """Read a text that must be one expression, like `{{ steps.story.scenes }}`; white space around it is ignored."""
    template = compile_template(source.strip(), path=path, names=names)
    if not template.is_expression:
        raise ExpressionError("must be one expression, like {{ inputs.theme }}, and nothing else", path=path)
    return template


def compile_value(value: Any, *, path: str, names: Collection[str] = NAMES) -> TemplateTree:
    """Read a JSON value whose texts, at any depth, may contain expressions. Raises ExpressionError."""
    for problem in check_json(value, path=path):
        raise ExpressionError(problem.message, path=problem.path)
    tree = _Compiler(names).compiled(value, path)
    found = frozenset(reference for template in _templates(tree) for reference in template.references)
    return TemplateTree(path=path, value=tree, references=found)


class _Compiler:
    """Reads the templates in one value, and counts their expressions."""

    def __init__(self, names: Collection[str]) -> None:
        """Take the roots that they may read."""
        self.names = names
        self.left = MAX_EXPRESSIONS

    def compiled(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            return self._template(value, path)
        if isinstance(value, list):
            return [self.compiled(item, join_path(path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            for key in value:
                if "{{" in key:
                    raise ExpressionError("expressions stand in values, not in names", path=join_path(path, key))
            return {key: self.compiled(item, join_path(path, key)) for key, item in value.items()}
        return value

    def _template(self, source: str, path: str) -> Template | str:
        template = compile_template(source, path=path, names=self.names)
        self.left -= template.expressions
        if self.left < 0:
            raise ExpressionError(f"is one too many: a value has at most {MAX_EXPRESSIONS:,} expressions", path=path)
        return source if template.is_literal else template


def _evaluated(value: Any, namespace: Mapping[str, Any], budget: Budget) -> Any:
    if isinstance(value, Template):
        return value.evaluate(namespace, budget=budget)
    if isinstance(value, list):
        return [_evaluated(item, namespace, budget) for item in value]
    if isinstance(value, dict):
        return {key: _evaluated(item, namespace, budget) for key, item in value.items()}
    return value


def _templates(value: Any) -> Iterator[Template]:
    if isinstance(value, Template):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _templates(item)
