"""What the engine knows of the casts that it looks at: light rows, read after the wakeups were locked."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from casts.clock import moment_of
from casts.models import Cast, FanOut, Gate
from generations.models import IN_FLIGHT, LIVE, Generation, GenerationStatus
from spells.models import Effects, OnFailure, Provider, Tool
from spells.plan import Plan, PlanStep, plan_of

from . import rows, sql
from .claims import Claim

DONE = (GenerationStatus.SUCCEEDED, GenerationStatus.SKIPPED)

Place = tuple[int, int]  # the id of a step, the index of an item


@dataclass(slots=True)
class Attempt:
    """A generation without its payloads."""

    id: UUID
    cast_id: UUID
    step_id: int
    item: int
    attempt: int
    round: int
    status: str
    epoch: int | None
    lost: bool
    excused: bool
    idempotency_key: UUID
    job_id: str
    progress: dict[str, Any] | None
    poll_at: datetime | None
    retry_at: datetime | None
    deadline_at: datetime | None
    started_at: datetime | None
    booked_at: datetime | None
    unfetched_at: datetime | None

    @classmethod
    def of(cls, generation: Generation) -> "Attempt":
        return cls(*_of_attempt(generation))

    @classmethod
    def read(cls, values: Iterable[Any]) -> "Attempt":
        """Return the attempt of a row that a raw statement returned."""
        return cls(
            *(
                _READERS[column](value) if column in _READERS and value is not None else value
                for column, value in zip(_ATTEMPT_COLUMNS, values, strict=True)
            )
        )

    @property
    def place(self) -> Place:
        return self.step_id, self.item

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def is_in_flight(self) -> bool:
        """Tell whether it takes room: not once its provider is done, and its files alone are waited for."""
        return self.status in IN_FLIGHT and self.unfetched_at is None

    @property
    def is_job(self) -> bool:
        """Tell whether its provider may be at work on it, under an id that we know."""
        return self.status == GenerationStatus.SUBMITTED and bool(self.job_id) and self.unfetched_at is None


_ATTEMPT_COLUMNS = (
    "id",
    "cast_id",
    "step_id",
    "item",
    "attempt",
    "round",
    "status",
    "epoch",
    "lost",
    "excused",
    "idempotency_key",
    "job_id",
    "progress",
    "poll_at",
    "retry_at",
    "deadline_at",
    "started_at",
    "cost_booked_at",
    "unfetched_at",
)
_of_attempt = attrgetter(*_ATTEMPT_COLUMNS)
# How values are read that the two databases return in forms of their own.
_READERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("id", "cast_id", "idempotency_key"), sql.uuid_of),
    **dict.fromkeys(("lost", "excused"), bool),
    "progress": sql.json_of,
    **dict.fromkeys(("poll_at", "retry_at", "deadline_at", "started_at", "cost_booked_at", "unfetched_at"), moment_of),
}


@dataclass(slots=True)
class CastState:
    """One claimed cast: its row, its plan, and the attempts at those items of its steps that are not done.

    Of the items that are done, `done` has the number by step: a list of thousands costs no more than what is left of it.
    Items begin in their order, so `begun`, the number of those with an attempt, says which they are.
    """

    claim: Claim
    cast: Cast
    plan: Plan
    tools: Mapping[int, Tool]
    has_subscribers: bool = True
    attempts: dict[UUID, Attempt] = field(default_factory=dict)
    latest: dict[int, dict[int, Attempt]] = field(default_factory=lambda: defaultdict(dict))
    failures: Counter[Place] = field(default_factory=Counter)
    losses: Counter[Place] = field(default_factory=Counter)
    excused: Counter[Place] = field(default_factory=Counter)
    counts: dict[int, int] = field(default_factory=dict)
    done: Counter[int] = field(default_factory=Counter)
    begun: Counter[int] = field(default_factory=Counter)
    items: dict[int, list[Any]] = field(default_factory=dict)
    outputs: dict[Place, Any] = field(default_factory=dict)
    loaded: set[int] = field(default_factory=set)

    def add(self, attempt: Attempt) -> None:
        self.attempts[attempt.id] = attempt
        known = self.latest[attempt.step_id].get(attempt.item)
        if known is None or known.attempt < attempt.attempt:
            self.latest[attempt.step_id][attempt.item] = attempt
        self.begun[attempt.step_id] = max(self.begun[attempt.step_id], attempt.item + 1)
        if attempt.status == GenerationStatus.FAILED and attempt.round == self.cast.round:
            self.count(attempt)

    def count(self, attempt: Attempt) -> None:
        """Count an attempt that failed in this round of the cast."""
        counter = self.excused if attempt.excused else self.losses if attempt.lost else self.failures
        counter[attempt.place] += 1

    def standing(self) -> Iterator[Attempt]:
        """Yield the latest attempt at each item that was not done when the cast was read."""
        for attempts in self.latest.values():
            yield from attempts.values()

    def live(self) -> list[Attempt]:
        return [attempt for attempt in self.standing() if attempt.is_live]

    def open_items(self, step: PlanStep) -> Iterator[tuple[int, Attempt | None]]:
        """Yield the items of an expanded step that were not done, in order, with the latest attempt at each, if any."""
        begun, count = self.begun[step.id], self.counts[step.id]
        yield from sorted((item, attempt) for item, attempt in self.latest[step.id].items() if item < count)
        for item in range(begun, count):
            yield item, None

    def has_failed(self, attempt: Attempt) -> bool:
        """Tell whether this attempt failed for good: no retry is due, and the cast was not retried since."""
        return attempt.status == GenerationStatus.FAILED and attempt.retry_at is None and attempt.round == self.cast.round

    def is_done(self, step: PlanStep) -> bool:
        """Tell whether later steps may read this one's output."""
        if step.id not in self.counts:
            return False
        settled = sum(self._settles(step, attempt) for attempt in self.latest[step.id].values())
        return self.done[step.id] + settled >= self.counts[step.id]

    def _settles(self, step: PlanStep, attempt: Attempt) -> bool:
        return attempt.status in DONE or (step.on_failure == OnFailure.CONTINUE and self.has_failed(attempt))

    def culprit(self) -> Attempt | None:
        """Return the first attempt whose failure ends the cast, in the order of the plan, or None."""
        order = {step.id: place for place, step in enumerate(self.plan.steps) if step.on_failure != OnFailure.CONTINUE}
        fatal = [attempt for attempt in self.standing() if attempt.step_id in order and self.has_failed(attempt)]
        return min(fatal, key=lambda attempt: (order[attempt.step_id], attempt.item), default=None)

    def under_one_key(self, attempt: Attempt) -> list[Attempt]:
        """Return the attempts that bear this one's idempotency key, in their order: to its provider they are one call."""
        if attempt.attempt == 1 and not attempt.lost:
            return [attempt]  # only what was lost is made again under its key
        shared = (
            each for each in self.attempts.values() if each.place == attempt.place and each.idempotency_key == attempt.idempotency_key
        )
        return sorted(shared, key=lambda each: each.attempt)

    def payer(self, attempt: Attempt) -> Attempt | None:
        """Return the attempt with which the call of this one was booked, if it was. Calls of pure tools are each their own."""
        if attempt.booked_at is not None or self.tool_of(attempt).effects == Effects.PURE:
            return attempt if attempt.booked_at is not None else None
        return next((each for each in self.under_one_key(attempt) if each.booked_at is not None), None)

    def key_owed(self, attempt: Attempt) -> UUID | None:
        """Return the key that the attempt after this one must bear, if any: a call under it may be at work, or billed.

        It is done with once a provider answered the call: it named a job, or what the call cost.
        """
        if attempt.lost:
            return attempt.idempotency_key
        if self.tool_of(attempt).effects == Effects.PURE:
            return None
        calls = self.under_one_key(attempt)
        is_open = any(each.lost for each in calls) and not any(each.job_id or each.booked_at for each in calls if not each.lost)
        return attempt.idempotency_key if is_open else None

    def all_done(self) -> bool:
        return all(self.is_done(step) for step in self.plan.steps)

    def tool_of(self, attempt: Attempt) -> Tool:
        return self.tools[self.step(attempt.step_id).tool_id]

    def step(self, step_id: int) -> PlanStep:
        return self.plan.step(step_id)

    def namespace(self, reads: Iterable[int]) -> dict[str, Any]:
        """Return what an expression sees of the cast. The outputs of `reads` must have been loaded."""
        steps = {}
        for step in self.plan.steps:
            if step.id in reads:
                values = [self.outputs.get((step.id, item)) for item in range(self.counts.get(step.id, 0))]
                steps[step.key] = values if step.has_for_each else values[0]
        return {"inputs": self.cast.inputs, "steps": steps}


def load(*, held: Mapping[UUID, Claim]) -> dict[UUID, CastState]:
    """Lock the casts of these claims, in order, and read what stands of them. Three queries, whatever the number; a fourth if any has fan-outs.

    `FOR NO KEY UPDATE`: a plain lock would block whoever inserts a generation under its foreign key.
    """
    ids = {"ids": sql.ids_parameter(list(held))}
    states = {}
    for has_subscribers, *values in sql.fetch(_locked_casts(), ids):
        cast = rows.read(Cast, values)
        assert cast is not None, "its key is not null"
        plan = plan_of(cast.version_id)
        states[cast.pk] = CastState(claim=held[cast.pk], cast=cast, plan=plan, tools={}, has_subscribers=bool(has_subscribers))
    tools = _load_tools({step.tool_id for state in states.values() for step in state.plan.steps})
    expanding = []
    for state in states.values():
        state.tools = tools
        state.counts = {step.id: 1 for step in state.plan.steps if not step.has_for_each}
        if len(state.counts) < len(state.plan.steps):
            expanding.append(state.cast.pk)
    if expanding:
        for cast_id, step_id, count in FanOut.objects.filter(cast_id__in=expanding).values_list("cast_id", "step_id", "count"):
            states[cast_id].counts[step_id] = count
    if states:
        _load_attempts(states, ids)
    return states


def _locked_casts() -> str:
    """Return SQL that locks casts in the order of their ids, and reads them, each behind whether anybody subscribed to it."""
    return f"""
        SELECT EXISTS (
            SELECT 1 FROM casts_subscription AS wish
            WHERE wish.enabled AND (wish.cast_id = own.id OR (wish.cast_id IS NULL AND wish.owner_id = own.initiator_id))
        ), {rows.columns(Cast, "own")}
        FROM casts_cast AS own WHERE {sql.ids_in("own.id")} ORDER BY own.id {sql.on_postgresql("FOR NO KEY UPDATE OF own")}
        """


def _load_tools(ids: Collection[int]) -> dict[int, Tool]:
    """Read tools as they are now, each with its provider and with the gates before both."""
    if not ids:
        return {}
    tools = {}
    for row in sql.fetch(_tools(), {"numbers": sql.numbers_parameter(ids)}):
        parts = rows.split(row, Tool, Provider, Gate, Gate)
        tool, provider = rows.read(Tool, parts[0]), rows.read(Provider, parts[1])
        assert tool is not None, "its key is not null"
        Gate.tool.field.remote_field.set_cached_value(tool, rows.read(Gate, parts[2]))
        if provider is not None:
            Gate.provider.field.remote_field.set_cached_value(provider, rows.read(Gate, parts[3]))
            tool.provider = provider
        tools[tool.pk] = tool
    return tools


def _tools() -> str:
    """Return SQL for tools, their providers, and the gates of both: where there is none, its columns are null."""
    return f"""
        SELECT {rows.columns(Tool, "tool")}, {rows.columns(Provider, "provider")}, {rows.columns(Gate, "gate")}, {rows.columns(Gate, "other")}
        FROM spells_tool AS tool
        LEFT JOIN spells_provider AS provider ON provider.id = tool.provider_id
        LEFT JOIN casts_gate AS gate ON gate.tool_id = tool.id
        LEFT JOIN casts_gate AS other ON other.provider_id = provider.id
        WHERE {sql.numbers_in("tool.id")}
        """


def _load_attempts(states: Mapping[UUID, CastState], ids: Mapping[str, Any]) -> None:
    """Read how many items of each step are done, and all attempts at those that are not."""
    for cast, step_id, last, done, *values in sql.fetch(_standing(), ids):
        state = states[sql.uuid_of(cast)]
        state.begun[step_id], state.done[step_id] = last + 1, done
        if values[0] is not None:
            state.add(Attempt.read(values))


def _standing() -> str:
    """Return SQL for a row for each step that was begun, and each attempt at an item of it that is not done; the latest last."""
    done = f"status IN ({sql.words(DONE)})"
    return f"""
        SELECT begun.cast_id, begun.step_id, begun.last, begun.done, {", ".join(f"attempt.{column}" for column in _ATTEMPT_COLUMNS)}
        FROM (
            SELECT cast_id, step_id, MAX(item) AS last, COUNT(*) FILTER (WHERE {done}) AS done
            FROM generations_generation WHERE {sql.ids_in("cast_id")} GROUP BY cast_id, step_id
        ) AS begun
        LEFT JOIN generations_generation AS attempt
            ON attempt.cast_id = begun.cast_id AND attempt.step_id = begun.step_id AND NOT attempt.{done} AND {sql.ids_in("attempt.cast_id")}
            AND NOT EXISTS (
                SELECT 1 FROM generations_generation AS other
                WHERE other.cast_id = attempt.cast_id AND other.step_id = attempt.step_id AND other.item = attempt.item AND other.{done}
            )
        ORDER BY attempt.attempt
        """


def load_outputs(*, wanted: Mapping[UUID, set[int]], states: Mapping[UUID, CastState]) -> None:
    """Read the outputs of `wanted` steps, by cast, into their states. One query, or none."""
    missing = {cast_id: step_ids - states[cast_id].loaded for cast_id, step_ids in wanted.items()}
    casts = [cast_id for cast_id, step_ids in missing.items() if any(states[cast_id].done[step_id] for step_id in step_ids)]
    for cast_id, step_ids in missing.items():
        states[cast_id].loaded |= step_ids
    if not casts:
        return
    steps = set().union(*(missing[cast_id] for cast_id in casts))
    rows = Generation.objects.filter(cast_id__in=casts, step_id__in=steps, status__in=DONE)
    for cast_id, step_id, item, output in rows.values_list("cast_id", "step_id", "item", "output"):
        states[cast_id].outputs.setdefault((step_id, item), output)


def load_items(*, wanted: Mapping[UUID, set[int]], states: Mapping[UUID, CastState]) -> None:
    """Read the stored items of `wanted` fan-outs, by cast, into their states. One query, or none."""
    by_step: dict[int, set[UUID]] = defaultdict(set)
    for cast_id, step_ids in wanted.items():
        for step_id in step_ids - states[cast_id].items.keys():
            by_step[step_id].add(cast_id)
    if not by_step:
        return
    casts = set().union(*by_step.values())
    for cast_id, step_id, items in FanOut.objects.filter(cast_id__in=casts, step_id__in=by_step).values_list("cast_id", "step_id", "items"):
        states[cast_id].items.setdefault(step_id, items)
