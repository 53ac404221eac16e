"""What the engine knows of the casts that it looks at. `loading` reads it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from casts.clock import moment_of
from casts.models import Cast
from generations.models import IN_FLIGHT, LIVE, Generation, GenerationStatus
from spells.models import Effects, OnFailure, Tool
from spells.plan import Plan, PlanStep

from . import sql
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
    owed_key: UUID | None
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
                for column, value in zip(ATTEMPT_COLUMNS, values, strict=True)
            )
        )

    @property
    def place(self) -> Place:
        return self.step_id, self.item

    @property
    def idempotency_key(self) -> UUID:
        return self.owed_key or self.id

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


ATTEMPT_COLUMNS = (
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
    "owed_key",
    "job_id",
    "progress",
    "poll_at",
    "retry_at",
    "deadline_at",
    "started_at",
    "cost_booked_at",
    "unfetched_at",
)
_of_attempt = attrgetter(*ATTEMPT_COLUMNS)
# How values are read that the two databases return in forms of their own.
_READERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("id", "cast_id", "owed_key"), sql.uuid_of),
    **dict.fromkeys(("lost", "excused"), bool),
    "progress": sql.json_of,
    **dict.fromkeys(("poll_at", "retry_at", "deadline_at", "started_at", "cost_booked_at", "unfetched_at"), moment_of),
}


@dataclass(slots=True)
class CastState:
    """One claimed cast: its row, its plan, and the attempts at those items of its steps that are not done.

    Of the items that are done, `done` has the number by step: a list of thousands costs no more than what is left of it.
    A number that is not there is zero. One that `is_remembered` was read for an earlier look.
    Items begin in their order, so `begun`, the number of those with an attempt, says which they are.
    """

    claim: Claim
    cast: Cast
    plan: Plan
    tools: Mapping[int, Tool]
    attempts: dict[UUID, Attempt] = field(default_factory=dict)
    latest: dict[int, dict[int, Attempt]] = field(default_factory=dict)
    failures: dict[Place, int] = field(default_factory=dict)
    losses: dict[Place, int] = field(default_factory=dict)
    excused: dict[Place, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    done: dict[int, int] = field(default_factory=dict)
    begun: dict[int, int] = field(default_factory=dict)
    items: dict[int, list[Any]] = field(default_factory=dict)
    outputs: dict[Place, Any] = field(default_factory=dict)
    loaded: set[int] = field(default_factory=set)
    is_remembered: bool = False

    def under(self, claim: Claim) -> "CastState":
        """Return the same under a claim of now. What looked at it before goes on naming its own."""
        return self if claim == self.claim else replace(self, claim=claim)

    def add(self, attempt: Attempt) -> None:
        self.attempts[attempt.id] = attempt
        latest = self.latest.setdefault(attempt.step_id, {})
        known = latest.get(attempt.item)
        if known is None or known.attempt < attempt.attempt:
            latest[attempt.item] = attempt
        self.begun[attempt.step_id] = max(self.begun.get(attempt.step_id, 0), attempt.item + 1)
        if attempt.status == GenerationStatus.FAILED and attempt.round == self.cast.round:
            self.count(attempt)

    def count(self, attempt: Attempt) -> None:
        """Count an attempt that failed in this round of the cast."""
        counter = self.excused if attempt.excused else self.losses if attempt.lost else self.failures
        counter[attempt.place] = counter.get(attempt.place, 0) + 1

    def standing(self) -> list[Attempt]:
        """Return the latest attempt at each item that was not done when the cast was read."""
        return [attempt for attempts in self.latest.values() for attempt in attempts.values()]

    def live(self) -> list[Attempt]:
        return [attempt for attempts in self.latest.values() for attempt in attempts.values() if attempt.status in LIVE]

    def open_items(self, step: PlanStep) -> Iterator[tuple[int, Attempt | None]]:
        """Yield the items of an expanded step that were not done, in order, with the latest attempt at each, if any."""
        begun, count = self.begun.get(step.id, 0), self.counts[step.id]
        if attempts := self.latest.get(step.id):
            yield from sorted((item, attempt) for item, attempt in attempts.items() if item < count)
        for item in range(begun, count):
            yield item, None

    def has_failed(self, attempt: Attempt) -> bool:
        """Tell whether this attempt failed for good: no retry is due, and the cast was not retried since."""
        return attempt.status == GenerationStatus.FAILED and attempt.retry_at is None and attempt.round == self.cast.round

    def is_done(self, step: PlanStep) -> bool:
        """Tell whether later steps may read this one's output."""
        if step.id not in self.counts:
            return False
        left = self.counts[step.id] - self.done.get(step.id, 0)
        return left <= 0 or left <= sum(self._settles(step, attempt) for attempt in self.latest.get(step.id, {}).values())

    def done_steps(self) -> set[int]:
        """Return the ids of the steps that are done."""
        return {step.id for step in self.plan.steps if self.is_done(step)}

    def _settles(self, step: PlanStep, attempt: Attempt) -> bool:
        return attempt.status in DONE or (step.on_failure == OnFailure.CONTINUE and self.has_failed(attempt))

    def culprit(self) -> Attempt | None:
        """Return the first attempt whose failure ends the cast, in the order of the plan, or None."""
        order = self.plan.fatal
        fatal = [attempt for attempt in self.standing() if self.has_failed(attempt) and attempt.step_id in order]
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
        return all(self.is_done(step) for step in reversed(self.plan.steps))  # the last is the last to be

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
