"""One look at one cast: what is late, what has ended, when to look again.

A turn computes; nothing here writes. All expressions are evaluated before the first statement that changes a row, so a
spell that cannot be evaluated fails its own cast and no other.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from casts.models import CastStatus, FanOut
from generations.models import Generation, GenerationStatus
from generations.tools.contract import ToolError
from spells.expressions import ExpressionError
from spells.models import Effects

from .patience import PATIENCE, confirmed, unaccounted
from .reports import Aborted, Report, Via
from .state import Attempt, CastState, Place
from .verdicts import LOSSES_BEFORE_APART, SETTLES_FROM, Change, abandoned, crowded_out, overdue, verdict

# How soon to look again at a held cast that waits for room. Whoever holds it knows sooner when there is some.
STARVED_SECONDS = 1.0
# How soon to look again at a held cast of which no timer runs: its calls, or a ring, ask for a look before.
IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a cast ends."""

    status: CastStatus
    outputs: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The gate that held a call of a cast back, and when the cast looks by itself whether there is room."""

    gate_id: int
    look_at: datetime


@dataclass(slots=True, kw_only=True)
class Turn:
    """A cast under its claim, and what this look at it decides.

    `in_flight` are the calls and polls that this conductor has at work for it. `inserts` are new generations, those of
    them to call now also stand in `calls`. `polls` are attempts to ask their provider for, `aborts` calls to stop.
    A cast is `starved` while there was no room for a call of it; it `waits` if it is held for that alone; if it is not, it is left for so many seconds to whoever has room. `refusal` is
    what the first gate said that held one back; it looks `again` at once if this look could not ask a gate, or read all that it would have had to.
    `withdrawn` are jobs that their providers are to stop, `patience` when those that they are stopping must be over.
    `oversized` says why its outputs cannot be evaluated.
    """

    state: CastState
    now: datetime
    in_flight: Collection[UUID] = ()
    changes: dict[UUID, Change] = field(default_factory=dict)
    inserts: list[Generation] = field(default_factory=list)
    fan_outs: list[FanOut] = field(default_factory=list)
    calls: list[Generation] = field(default_factory=list)
    end: End | None = None
    starved: bool = False
    waits: bool = False
    leave_for: float = 0.0
    refusal: Refusal | None = None
    oversized: ToolError | None = None
    again: bool = False
    withdrawn: list[Attempt] = field(default_factory=list)
    patience: list[datetime] = field(default_factory=list)

    @property
    def is_cancelled(self) -> bool:
        return self.state.cast.cancel_requested_at is not None

    @property
    def is_late(self) -> bool:
        return self.state.cast.deadline_at <= self.now

    @property
    def is_stopped(self) -> bool:
        """Tell whether somebody, or its deadline, asks that no call of the cast start now."""
        return self.is_cancelled or self.is_late or self.state.cast.status == CastStatus.PAUSED

    @property
    def may_start(self) -> bool:
        """Tell whether new calls may start: nothing stopped the cast, and no branch of it has failed for good."""
        return not self.is_stopped and self.state.culprit() is None

    def is_apart_at(self, place: Place) -> bool:
        """Tell whether calls for an item must be made in processes of their own: two of them took their workers along."""
        return self.state.losses.get(place, 0) >= LOSSES_BEFORE_APART

    @property
    def cost_usd(self) -> Decimal:
        return self.state.cast.cost_usd + sum((change.cost.usd for change in self.changes.values() if change.cost), Decimal(0))

    def add(self, change: Change) -> None:
        """Take a change into the picture by which the rest of this turn is decided."""
        earlier = self.changes.get(change.attempt.id)
        if earlier is not None:
            change.follow(earlier)
        self.changes[change.attempt.id] = change
        change.take_effect(now=self.now)
        if change.status == GenerationStatus.SUCCEEDED:
            self.state.outputs[change.attempt.place] = change.output
        elif change.status == GenerationStatus.FAILED:
            self.state.count(change.attempt)

    def polls(self) -> list[Attempt]:
        """Return the submitted attempts that it is time to ask their provider for."""
        submitted = (attempt for attempt in self.state.standing() if attempt.status == GenerationStatus.SUBMITTED)
        return [attempt for attempt in submitted if attempt.id not in self.in_flight and attempt.poll_at and attempt.poll_at <= self.now]

    def aborts(self) -> list[UUID]:
        """Return the calls at work that can be stopped without a cost: the cast is to end."""
        if not (self.is_cancelled or self.is_late):
            return []
        running = (attempt for attempt in self.state.live() if attempt.id in self.in_flight)
        return [attempt.id for attempt in running if self.state.tool_of(attempt).effects == Effects.PURE]

    def uncalled(self) -> list[Attempt]:
        """Return running attempts of this very claim that nobody calls.

        Their insert was committed and the answer to the commit was lost: the call was never made, so it is safe to make.
        """
        running = [attempt for attempt in self.state.live() if attempt.status == GenerationStatus.RUNNING]
        if len(running) == len(self.calls):
            return []  # all of them are what is to be called now
        known = {generation.pk for generation in self.calls}.union(self.in_flight)
        return [attempt for attempt in running if attempt.id not in known]

    @property
    def is_held(self) -> bool:
        """Tell whether the claim must be kept: a call or a poll of ours is, or is about to be, at work."""
        if self.waits:
            return True
        at_work = any(attempt.status == GenerationStatus.RUNNING or attempt.id in self.in_flight for attempt in self.state.live())
        return self.end is None and (at_work or bool(self.polls()))

    def due_at(self) -> datetime:
        """Return when the cast must be looked at again: the earliest of retry, poll, deadline, or a try for a slot.

        A time that is past is none to wait for: what was due then is at work, or waits for a slot or a call of this cast.
        """
        if self.again:
            return self.now
        times = [self.state.cast.deadline_at, *self.patience]
        if self.refusal is not None:
            times.append(self.refusal.look_at)
        for attempt in self.state.standing():
            if attempt.status == GenerationStatus.SUBMITTED:
                times += [time for time in (attempt.poll_at, attempt.deadline_at) if time]
            elif attempt.retry_at and attempt.round == self.state.cast.round and self.may_start:
                times.append(attempt.retry_at)
        if self.starved and not self.is_held:
            return self.now + timedelta(seconds=self.leave_for)  # somebody else may have room
        if self.starved:
            times.append(self.now + timedelta(seconds=STARVED_SECONDS))
        return min((time for time in times if time > self.now), default=self.now + timedelta(seconds=IDLE_SECONDS))


def take(report: Report, turn: Turn | None) -> bool:
    """Take news into its cast's turn. Returns False when it came too late."""
    attempt = addressee(report, turn.state) if turn else None
    if turn is None or attempt is None or attempt.status not in SETTLES_FROM[report.via]:
        return False
    if report.via is Via.RUN and attempt.epoch != report.claim.epoch:
        return False
    turn.add(verdict(state=turn.state, attempt=attempt, report=report, now=turn.now))
    return True


def addressee(report: Report, state: CastState) -> Attempt | None:
    """Return the attempt that news is about, None if its item is done: of a call that was sent again under its key, the last.

    That a sending failed is news of that sending alone.
    """
    attempt = state.attempts.get(report.generation_id)
    is_of_sending = report.via is Via.RUN and isinstance(report.news, ToolError | Aborted)
    if attempt is None or not attempt.lost or is_of_sending:
        return attempt
    return state.under_one_key(attempt)[-1]


def judge(turn: Turn) -> Iterator[Change]:
    """Yield a change for each live attempt that is abandoned, overdue or withdrawn. Only a claimed turn may judge.

    What this conductor has at work is neither: a claim that was lost and taken again leaves its calls as they are.
    """
    state, now = turn.state, turn.now
    live = state.live()
    if not live:
        return
    jobs = [attempt for attempt in live if attempt.is_job]
    if turn.is_cancelled or turn.is_late:
        turn.withdrawn += jobs
    stopping = confirmed(attempt.id for attempt in jobs) if turn.is_cancelled else {}
    left = [attempt for attempt in live if attempt.id not in turn.in_flight]
    vanished = {
        attempt.id: attempt for attempt in left if attempt.status == GenerationStatus.RUNNING and attempt.epoch != state.claim.epoch
    }
    late_outputs = _late_outputs(state, vanished.values())
    for attempt in left:
        if attempt.id in vanished:
            yield abandoned(state=state, attempt=attempt, late_output=late_outputs.get(attempt.id), now=now)
        elif attempt.status == GenerationStatus.RUNNING and turn.is_stopped:
            yield Change(attempt=attempt, status=GenerationStatus.CANCELLED, reason="Its cast was stopped before the call was made.")
        elif attempt.status == GenerationStatus.SUBMITTED:
            yield from _judge_job(turn, attempt, stopping_since=stopping.get(attempt.id))


def _judge_job(turn: Turn, attempt: Attempt, *, stopping_since: datetime | None) -> Iterator[Change]:
    """Yield a change for a job that is overdue, or that a cancelled cast does not wait for any longer."""
    state, now = turn.state, turn.now
    is_past = attempt.deadline_at is not None and attempt.deadline_at <= now
    if turn.is_late or is_past:
        turn.withdrawn += [attempt] if attempt.is_job else []
        yield overdue(state=state, attempt=attempt, now=now)
    elif turn.is_cancelled and (state.tool_of(attempt).effects == Effects.PURE or attempt.unfetched_at is not None):
        yield Change(attempt=attempt, status=GenerationStatus.CANCELLED, reason=state.cast.reason)
    elif turn.is_cancelled and stopping_since is not None:
        if stopping_since + PATIENCE <= now:
            yield unaccounted(state=state, attempt=attempt)
        else:
            turn.patience.append(stopping_since + PATIENCE)


def put_off_polls(turns: Iterable[Turn], *, may_poll: Callable[[], bool]) -> None:
    """Take a place for each poll that is due. One that finds none is due again soon: its cast is not held for it."""
    for turn in turns:
        for attempt in turn.polls():
            if not may_poll():
                turn.add(crowded_out(attempt=attempt, now=turn.now))


def _late_outputs(state: CastState, attempts: Iterable[Attempt]) -> dict[UUID, dict[str, Any]]:
    """Read the results that came after their claim was lost and before anybody judged these attempts, to them or to an earlier sending."""
    asked_by = {sending.id: attempt.id for attempt in attempts for sending in state.under_one_key(attempt)}
    late = Generation.objects.filter(pk__in=asked_by).exclude(late_output=None).only("late_output") if asked_by else ()
    return {asked_by[generation.pk]: generation.late_output for generation in late if generation.late_output is not None}


def conclude(turn: Turn) -> End | None:
    """Decide whether the cast has ended. It never ends while a call of it is live."""
    state = turn.state
    if state.live():
        return None
    if turn.is_cancelled:
        return End(status=CastStatus.CANCELLED, reason=state.cast.reason)
    if turn.is_late:
        return End(status=CastStatus.FAILED, error=_deadline_error(state))
    culprit = state.culprit()
    if culprit is not None:
        return End(status=CastStatus.FAILED, error=_error_of(turn, culprit))
    if state.cast.status != CastStatus.PAUSED and state.all_done():
        return None if turn.again else _succeed(turn)
    return None


def _succeed(turn: Turn) -> End:
    state, nowhere = turn.state, {"step": None, "attempt": None, "provider": None}
    if turn.oversized is not None:
        return End(status=CastStatus.FAILED, error={"code": turn.oversized.code, "message": turn.oversized.message, **nowhere})
    try:
        outputs = state.plan.outputs(state.namespace(state.plan.output_reads))
    except ExpressionError as error:
        return End(status=CastStatus.FAILED, error={"code": "expression_failed", "message": f"{error.path}: {error.message}", **nowhere})
    return End(status=CastStatus.SUCCEEDED, outputs=outputs)


def _error_of(turn: Turn, culprit: Attempt) -> dict[str, Any]:
    change = turn.changes.get(culprit.id)
    if change is not None and change.error is not None:
        return change.error
    inserted = next((generation for generation in turn.inserts if generation.pk == culprit.id), None)
    failed = inserted or Generation.objects.only("error").get(pk=culprit.id)
    assert failed.error is not None
    error: dict[str, Any] = failed.error
    return error


def _deadline_error(state: CastState) -> dict[str, Any]:
    unknown = [attempt for attempt in state.standing() if attempt.status == GenerationStatus.UNKNOWN]
    message = "The cast did not finish before its deadline."
    if unknown:
        named = ", ".join(f"{state.step(attempt.step_id).key} (item {attempt.item}, attempt {attempt.attempt})" for attempt in unknown)
        message += f" It waited for somebody to say what became of a call that may have been billed: {named}."
    first = unknown[0] if unknown else None
    return {
        "code": "deadline_exceeded",
        "message": message,
        "step": state.step(first.step_id).key if first else None,
        "attempt": first.attempt if first else None,
        "provider": None,
    }
