"""The compiled plan: a version with its expressions read and its steps in order, ready to be cast."""

import graphlib
import heapq
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spells.expressions import ExpressionError, Reference, Template, TemplateTree, compile_expression, compile_value, kind
from spells.models import OnFailure, SpellVersion, Step, StepDependency

# Items of one step under for_each.
MAX_ITEMS = 10_000

# Plans kept by one process; a plan takes some 10 KB a step.
MAX_KEPT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """One step, ready to be evaluated. Overrides of the tool's policy are None where there is none; durations are seconds.

    `depends_on` are the ids of the steps that must be done before it; `reads` those whose outputs its expressions
    read, `call_reads` those that each call reads, beside its item. `when_reads_item` says that the condition is another one for each item.
    """

    id: int
    key: str
    position: int
    tool_id: int
    tool_slug: str
    on_failure: str
    max_attempts: int | None
    run_timeout_seconds: int | None
    deadline_seconds: int | None
    depends_on: frozenset[int]
    reads: frozenset[int]
    call_reads: frozenset[int]
    when_reads_item: bool
    _params: TemplateTree
    _for_each: Template | None
    _when: Template | None

    @property
    def has_for_each(self) -> bool:
        return self._for_each is not None

    def items(self, namespace: Mapping[str, Any]) -> list[Any]:
        """Return the items of a step under for_each: none when a condition that is the same for all of them is false.

        Raises ExpressionError when the value is no list, or has more than `MAX_ITEMS` items.
        """
        assert self._for_each is not None, "asked only under for_each"
        if not self.when_reads_item and not self.runs(namespace):
            return []
        items = self._for_each.evaluate(namespace)
        if not isinstance(items, list):
            raise ExpressionError(f"gives no list but {kind(items)}", path=self._for_each.path)
        if len(items) > MAX_ITEMS:
            raise ExpressionError(f"gives {len(items):,} items; {MAX_ITEMS:,} are allowed", path=self._for_each.path)
        return items

    def runs(self, namespace: Mapping[str, Any]) -> bool:
        """Tell whether the condition holds: anything but false, null, 0 and what is empty. Raises ExpressionError."""
        return self._when is None or bool(self._when.evaluate(namespace))

    def params(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params of one call, without the defaults of the tool. Raises ExpressionError."""
        params: dict[str, Any] = self._params.evaluate(namespace)
        return params


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A version. `steps` are in an order in which each comes after what it reads, else by position.

    `output_reads` are the ids of the steps that the outputs read, `tool_ids` those of the tools that it calls; `fatal` are
    the steps whose failure ends a cast, by their places in the order. The slugs are as they were when the plan was made.
    """

    version_id: int
    spell_id: int
    spell_slug: str
    number: int
    input_schema: Mapping[str, Any]
    steps: tuple[PlanStep, ...]
    output_reads: frozenset[int]
    tool_ids: frozenset[int]
    fatal: Mapping[int, int]
    _outputs: TemplateTree
    _by_id: Mapping[int, PlanStep]
    _by_key: Mapping[str, PlanStep]

    def step(self, which: int | str) -> PlanStep:
        """Return the step of an id or a key. Raises KeyError."""
        return self._by_id[which] if isinstance(which, int) else self._by_key[which]

    def outputs(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of a cast whose steps are done. Raises ExpressionError."""
        outputs: dict[str, Any] = self._outputs.evaluate(namespace)
        return outputs


_kept: OrderedDict[int, Plan] = OrderedDict()
_lock = threading.Lock()


def plan_of(version_id: int) -> Plan:
    """Return the plan of a version: from memory once it is published, else with two queries.

    The edges of a published version are its rows; those of a draft, which has none yet, are what its expressions read.

    Raises:
        SpellVersion.DoesNotExist: there is no such version, or it has no steps.
        ExpressionError: an expression of a draft cannot be read.
    """
    with _lock:
        plan = _kept.get(version_id)
        if plan is not None:
            _kept.move_to_end(version_id)
            return plan
    rows = list(Step.objects.filter(version=version_id).select_related("tool", "version__spell").order_by("position"))
    if not rows:
        raise SpellVersion.DoesNotExist(f"There is no version {version_id} with steps.")
    version = rows[0].version
    edges = _edges(StepDependency.objects.filter(version=version_id).values_list("step_id", "depends_on_id"))
    plan = _built(version, rows, edges if version.is_published else None)
    if version.is_published:
        with _lock:
            _kept[version_id] = plan
            while len(_kept) > MAX_KEPT:
                _kept.popitem(last=False)
    return plan


def forget(*, instance: SpellVersion, **_signal: Any) -> None:
    """Drop the plan of a version that is saved. Called by `post_save`.

    A transaction that was rolled back may have left a plan under an id that is given out again.
    """
    with _lock:
        _kept.pop(instance.pk, None)


def _edges(pairs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    edges: dict[int, set[int]] = {}
    for step_id, other_id in pairs:
        edges.setdefault(step_id, set()).add(other_id)
    return edges


def _built(version: SpellVersion, rows: list[Step], edges: Mapping[int, set[int]] | None) -> Plan:
    ids = {row.key: row.pk for row in rows}
    steps = {row.pk: _step(row, ids, edges) for row in rows}
    outputs = compile_value(version.outputs, path="outputs")
    ordered = _ordered(steps)
    return Plan(
        version_id=version.pk,
        spell_id=version.spell_id,
        spell_slug=version.spell.slug,
        number=version.number,
        input_schema=version.input_schema,
        steps=ordered,
        output_reads=_step_ids(outputs.references, ids),
        tool_ids=frozenset(step.tool_id for step in ordered),
        fatal={step.id: place for place, step in enumerate(ordered) if step.on_failure != OnFailure.CONTINUE},
        _outputs=outputs,
        _by_id=steps,
        _by_key={step.key: step for step in steps.values()},
    )


def _step(row: Step, ids: Mapping[str, int], edges: Mapping[int, set[int]] | None) -> PlanStep:
    path = f"steps.{row.key}"
    params = compile_value(row.params, path=f"{path}.params")
    for_each = compile_expression(row.for_each, path=f"{path}.for_each") if row.for_each else None
    when = compile_expression(row.when, path=f"{path}.when") if row.when else None
    found = params.references.union(*(template.references for template in (for_each, when) if template))
    reads = _step_ids(found, ids)
    return PlanStep(
        id=row.pk,
        key=row.key,
        position=row.position,
        tool_id=row.tool_id,
        tool_slug=row.tool.slug,
        on_failure=row.on_failure,
        max_attempts=row.max_attempts,
        run_timeout_seconds=row.run_timeout_seconds,
        deadline_seconds=row.deadline_seconds,
        depends_on=reads if edges is None else frozenset(edges.get(row.pk, ())),
        reads=reads,
        call_reads=_step_ids(params.references.union(when.references if when else ()), ids),
        when_reads_item=when is not None and any(reference.root in {"item", "item_index"} for reference in when.references),
        _params=params,
        _for_each=for_each,
        _when=when,
    )


def _step_ids(references: Iterable[Reference], ids: Mapping[str, int]) -> frozenset[int]:
    keys = {reference.path[0] for reference in references if reference.root == "steps"}
    return frozenset(ids[key] for key in keys if isinstance(key, str) and key in ids)


def _ordered(steps: Mapping[int, PlanStep]) -> tuple[PlanStep, ...]:
    """Sort steps so that each comes after those it depends on, and by position where that leaves a choice."""
    sorter = graphlib.TopologicalSorter({step.id: step.depends_on for step in steps.values()})
    sorter.prepare()
    ready: list[tuple[int, int]] = []
    ordered: list[PlanStep] = []
    while sorter.is_active():
        for step_id in sorter.get_ready():
            heapq.heappush(ready, (steps[step_id].position, step_id))
        _, step_id = heapq.heappop(ready)
        ordered.append(steps[step_id])
        sorter.done(step_id)
    return tuple(ordered)
