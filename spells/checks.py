"""Everything about a spell that can be known to be wrong before it is cast."""

import graphlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spells.documents import (
    OPTIONAL,
    Document,
    StepDocument,
    input_problems,
    input_schema_of,
    key_problems,
    shape_problems,
    to_data,
    tool_problems,
)
from spells.expressions import (
    MAX_EXPRESSIONS,
    Budget,
    ExpressionError,
    Reference,
    Template,
    TemplateTree,
    compile_expression,
    compile_value,
)
from spells.models import Tool
from spells.problems import MAX_PROBLEMS, Problem, shown, suggestion
from spells.reach import ANYTHING, DeadEndError, Schema, follow, list_of, types_of
from spells.schemas import Unknown, check, check_schema, complete


@dataclass(slots=True)
class Examination:
    """What was found: problems, and by key which steps each step reads."""

    problems: list[Problem] = field(default_factory=list)
    edges: dict[str, set[str]] = field(default_factory=dict)


# Work, in units of `expressions.Budget`, on expressions that read nothing; what is left after it is judged by its cast.
_MAX_WORK = 2_000_000


@dataclass(slots=True)
class _Place:
    """Where expressions stand: in a step (`key`) or in the outputs, and what `item` is there, if it is anything.

    `asked` are the inputs whose absence the step's condition provides for. `budget` is what all params of one call
    share, here as in a cast.
    """

    key: str | None = None
    item: Schema | None = None
    asked: frozenset[str] = frozenset()
    budget: Budget = field(default_factory=Budget)


class _Examiner:
    """Goes through one document."""

    def __init__(self, document: Document, tools: Mapping[str, Tool]) -> None:
        """Take the document, which has its form, and those of its tools that exist, by slug."""
        self.document = document
        self.tools = tools
        self.inputs = input_schema_of(document)
        self.optional = {name for name, schema in document.inputs.items() if schema.get(OPTIONAL)}
        self.outputs = {step.key: self._output_schema(step) for step in document.steps}
        self.edges: dict[str, set[str]] = {step.key: set() for step in document.steps}
        self.expressions = 0
        self.work = 0

    def _output_schema(self, step: StepDocument) -> Schema:
        """Return the schema of what later steps see of a step."""
        schema = self.tools[step.tool].output_schema if step.tool in self.tools else ANYTHING
        return list_of(schema) if step.for_each else schema

    def problems(self) -> Iterator[Problem]:
        yield from self._input_schemas()
        for step in self.document.steps:
            yield from self._step(step)
        outputs = _Place()
        for name, value in self.document.outputs.items():
            yield from self._value(value, f"outputs.{name}", outputs)[0]
        yield from self._cycle()

    def _input_schemas(self) -> Iterator[Problem]:
        yield from input_problems(self.document)
        for problem in check_schema(self.inputs, path="inputs"):
            yield Problem(problem.path.replace("inputs.properties.", "inputs.", 1), problem.message)

    def _step(self, step: StepDocument) -> Iterator[Problem]:
        path = f"steps.{step.key}"
        place = _Place(key=step.key)
        asked: frozenset[str] = frozenset()
        if step.for_each:
            found, place.item = self._for_each(step.for_each, f"{path}.for_each", _Place(key=step.key))
            yield from found
        if step.when:
            found, condition = self._expression(step.when, f"{path}.when", place)
            yield from found
            asked = _inputs_among(condition.guarded) if condition else asked
        place.asked = asked
        params = {}
        for name, value in step.params.items():
            found, params[name] = self._value(value, f"{path}.params.{name}", place)
            yield from found
        tool = self.tools.get(step.tool)
        if tool is not None:
            if not tool.enabled:
                yield Problem(f"{path}.tool", f"the tool {tool.slug} is disabled")
            yield from check(complete(params, tool.input_schema), tool.input_schema, path=f"{path}.params")

    def _for_each(self, source: str, path: str, place: _Place) -> tuple[list[Problem], Schema]:
        """Check the list of items. Returns the problems, and the schema of one item."""
        problems, template = self._expression(source, path, place)
        schema = self._schema_at_end(template, place) if template and not problems else ANYTHING
        types = types_of(schema)
        if types and "array" not in types:
            problems.append(Problem(path, "gives no list; for an object write | items, for one value [ … ]"))
        items = schema.get("items", ANYTHING)
        return problems, items if isinstance(items, Mapping) else ANYTHING

    def _expression(self, source: str, path: str, place: _Place) -> tuple[list[Problem], Template | None]:
        try:
            template = compile_expression(source, path=path)
        except ExpressionError as error:
            return [Problem(error.path, error.message)], None
        return list(self._references(template, place)), template

    def _value(self, value: Any, path: str, place: _Place) -> tuple[list[Problem], Any]:
        """Check a value with expressions. Returns the problems, and the value with `Unknown` where only a cast will know."""
        try:
            tree = compile_value(value, path=path)
        except ExpressionError as error:
            return [Problem(error.path, error.message)], Unknown()
        problems = [problem for template in tree.templates() for problem in self._references(template, place)]
        if problems:
            return problems, Unknown()
        return self._foreseen(tree, place)

    def _foreseen(self, tree: TemplateTree, place: _Place) -> tuple[list[Problem], Any]:
        problems = []

        def foresee(value: Any) -> Any:
            if isinstance(value, Template):
                try:
                    return self._outlook(value, place)
                except ExpressionError as error:
                    problems.append(Problem(error.path, error.message))
                    return Unknown()
            if isinstance(value, dict):
                return {key: foresee(item) for key, item in value.items()}
            return [foresee(item) for item in value] if isinstance(value, list) else value

        return problems, foresee(tree.value)

    def _outlook(self, template: Template, place: _Place) -> Any:
        """Return the value of a template that reads nothing, else what is known of it."""
        if not template.references:
            return self._constant(template, place.budget)
        if not template.is_expression:
            return Unknown(frozenset({"string"}))
        return Unknown(types_of(self._schema_at_end(template, place)))

    def _constant(self, template: Template, budget: Budget) -> Any:
        if budget.left < 0 or self.work > _MAX_WORK:
            return Unknown()
        before = budget.left
        try:
            return template.evaluate({}, budget=budget)
        finally:
            self.work += before - budget.left

    def _schema_at_end(self, template: Template, place: _Place) -> Schema:
        """Return the schema of the value of a template that is one reference and nothing else."""
        return self._follow(template.way, place) if template.way else ANYTHING

    def _references(self, template: Template, place: _Place) -> Iterator[Problem]:
        self.expressions += template.expressions
        for reference in sorted(template.references, key=str):
            try:
                self._follow(reference, place)
            except DeadEndError as error:
                yield Problem(template.path, str(error))
        provided = place.asked | _inputs_among(template.guarded)
        for name in sorted(_inputs_among(template.references) & self.optional - provided):
            yield Problem(template.path, f"inputs.{name} is optional and may be missing; write {{{{ inputs.{name} | default(…) }}}}")

    def _follow(self, reference: Reference, place: _Place) -> Schema:
        """Return the schema of what is read, and note which step reads it. Raises DeadEndError."""
        if reference.root == "inputs":
            return follow(reference, self.inputs)
        if reference.root == "steps":
            return self._follow_step(reference, place)
        if place.item is None:
            raise DeadEndError(f"there is no {reference.root} here; it exists only in the params and the condition of a step with for_each")
        return follow(reference, place.item if reference.root == "item" else {"type": "integer"})

    def _follow_step(self, reference: Reference, place: _Place) -> Schema:
        key = reference.path[0]
        assert isinstance(key, str)  # the language names each step
        if key == place.key:
            raise DeadEndError(f"step {shown(key)} refers to itself")
        if key not in self.outputs:
            raise DeadEndError(f"there is no step {shown(key)}{suggestion(key, self.outputs)}")
        if place.key is not None:
            self.edges[place.key].add(key)
        return follow(reference, self.outputs[key], skip=1)

    def _cycle(self) -> Iterator[Problem]:
        try:
            graphlib.TopologicalSorter(self.edges).prepare()
        except graphlib.CycleError as error:
            # each is read by the next one; told the other way round, each reads the next one
            circle = list(reversed(error.args[1]))
            yield Problem(f"steps.{circle[0]}", f"waits for itself: {' → '.join(circle)}")


def _inputs_among(references: Iterable[Reference]) -> frozenset[str]:
    named = (reference.path[0] for reference in references if reference.root == "inputs" and reference.path)
    return frozenset(name for name in named if isinstance(name, str))


def examine(document: Document, *, tools: Mapping[str, Tool]) -> Examination:
    """Check a whole document against its tools, by slug. At most `MAX_PROBLEMS` are told."""
    shape = shape_problems(to_data(document))
    if shape:
        return Examination(shape)
    found = key_problems(document) + tool_problems(document, tools)
    if not document.steps:
        found.append(Problem("steps", "is empty: a spell needs at least one step"))
    examiner = _Examiner(document, tools)
    for problem in examiner.problems():
        if problem not in found:
            found.append(problem)
        if len(found) >= MAX_PROBLEMS or examiner.expressions > MAX_EXPRESSIONS:
            break
    if examiner.expressions > MAX_EXPRESSIONS:
        found.append(Problem("", f"has more than {MAX_EXPRESSIONS:,} expressions"))
    return Examination(found, examiner.edges)
