"""What the engine tells of what it wrote, whoever had it written: counters, spans and log lines.

All of it once that is committed, for what is rolled back did not happen.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from casts.metrics.counters import CASTS_ENDED, COST, PROVIDER_ERRORS, STEP_DURATION, STEP_RETRIES, STEPS_ENDED, code_label
from casts.models import Cast, CastEvent, CastStatus, EventKind
from generations import tracing
from generations.models import ENDED, LIVE, GenerationStatus

from .state import CastState
from .turns import Turn
from .verdicts import Change

log = structlog.get_logger(__name__)
logger = logging.getLogger(__name__)

Tell = Callable[[], None]

# A span says no more than these of how an attempt ended; the rest is no failure of it.
_FAILURES = (GenerationStatus.FAILED, GenerationStatus.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt that ended. `again` says that another will be made."""

    cast: Cast
    generation_id: UUID
    tool: str
    step: str
    item: int
    attempt: int
    round: int
    status: str
    error: dict[str, Any] | None
    started_at: datetime | None
    ended_at: datetime
    again: bool


def note(*, turns: Iterable[Turn]) -> None:
    """Tell of the attempts that these turns ended and what they cost. Same transaction as the writing of them."""
    told = [tell for turn in turns for tell in _of_turn(turn)]
    if told:
        transaction.on_commit(partial(_tell_each, told), robust=True)


def note_change(*, state: CastState, change: Change, now: datetime) -> None:
    """Tell of one change, as of those of turns."""
    for tell in _of_change(state, change, now):
        transaction.on_commit(tell, robust=True)


def _of_turn(turn: Turn) -> Iterator[Tell]:
    for change in turn.changes.values():
        yield from _of_change(turn.state, change, turn.now)
    for generation in turn.inserts:
        if generation.status in ENDED:
            step = turn.state.step(generation.step_id)
            ended = Ended(
                cast=turn.state.cast,
                generation_id=generation.pk,
                tool=step.tool_slug,
                step=step.key,
                item=generation.item,
                attempt=generation.attempt,
                round=generation.round,
                status=generation.status,
                error=generation.error,
                started_at=None,
                ended_at=turn.now,
                again=False,
            )
            yield partial(_tell_of_attempt, ended)


def _of_change(state: CastState, change: Change, now: datetime) -> Iterator[Tell]:
    """Yield what to tell of one change. What is learnt later of a call of unknown fate is no second end of it, but may tell its cost."""
    attempt, step = change.attempt, state.step(change.attempt.step_id)
    if change.cost is not None:
        yield partial(_tell_of_cost, step.tool_slug, change.cost.usd)
    if change.was in LIVE and change.status in ENDED:
        ended = Ended(
            cast=state.cast,
            generation_id=attempt.id,
            tool=step.tool_slug,
            step=step.key,
            item=attempt.item,
            attempt=attempt.attempt,
            round=attempt.round,
            status=change.status,
            error=change.error,
            started_at=attempt.started_at,
            ended_at=now,
            again=change.retry_at is not None,
        )
        yield partial(_tell_of_attempt, ended)


def note_given_up(*, tools: Iterable[str], status: str) -> None:
    """Count the calls, one of each of these tools, that end with a cast that cannot be advanced."""
    for tool in tools:
        _later(STEPS_ENDED.labels(tool, status).inc)


def note_cost(*, tool: str, usd: Decimal) -> None:
    """Count what a call of this tool cost."""
    _later(_tell_of_cost, tool, usd)


def note_start(*, cast: Cast) -> None:
    """Tell of a cast that was started."""
    slug, number = cast.version.spell.slug, cast.version.number
    _later(partial(log.info, "cast.started", cast_id=str(cast.pk), spell=f"{slug}@{number}", initiator=cast.initiator_id))


def note_end(*, cast: Cast, status: str, error: dict[str, Any] | None, now: datetime) -> None:
    """Tell of the end of a cast."""
    _later(_tell_of_cast, cast, status, error, now)


def _later(tell: Callable[..., None], *args: object) -> None:
    transaction.on_commit(partial(tell, *args), robust=True)


def _tell_each(told: Iterable[Tell]) -> None:
    """Tell all of it, also if something cannot be told: what happened has happened."""
    for tell in told:
        try:
            tell()
        except Exception:
            log.exception("measuring.failed")


def _tell_of_cost(tool: str, usd: Decimal) -> None:
    COST.labels(tool).inc(float(usd))


def _tell_of_attempt(ended: Ended) -> None:
    STEPS_ENDED.labels(ended.tool, ended.status).inc()
    code = "" if ended.error is None else str(ended.error["code"])
    if ended.started_at is not None:
        STEP_DURATION.labels(ended.tool).observe(max(0.0, (ended.ended_at - ended.started_at).total_seconds()))
        if code:
            PROVIDER_ERRORS.labels(ended.tool, code_label(code)).inc()
    if ended.again:
        STEP_RETRIES.labels(ended.tool).inc()
    is_failure = ended.status in _FAILURES
    if is_failure or logger.isEnabledFor(logging.DEBUG):  # asked beforehand: nearly all of these lines are written by nobody
        tell = log.warning if is_failure else log.debug
        place = {"tool": ended.tool, "step": ended.step, "item": ended.item, "attempt": ended.attempt}
        ids = {"cast_id": str(ended.cast.pk), "generation_id": str(ended.generation_id)}
        tell("step.ended", status=ended.status, **ids, **place, **({"code": code, "again": ended.again} if code else {}))
    _trace_attempt(ended, code)


def _trace_attempt(ended: Ended, code: str) -> None:
    traceparent = ended.cast.traceparent
    if traceparent:
        tracing.record(
            f"step {ended.step}",
            place=place_of_generation(traceparent=traceparent, generation_id=ended.generation_id),
            parent=place_of_cast(traceparent=traceparent, cast_id=ended.cast.pk, round=ended.round),
            began_at=ended.started_at or ended.ended_at,
            ended_at=ended.ended_at,
            failure=(code or ended.status) if ended.status in _FAILURES else "",
            attributes={
                "grimoire.cast_id": str(ended.cast.pk),
                "grimoire.generation_id": str(ended.generation_id),
                "grimoire.tool": ended.tool,
                "grimoire.item": ended.item,
                "grimoire.attempt": ended.attempt,
                "grimoire.status": ended.status,
            },
        )


def _tell_of_cast(cast: Cast, status: str, error: dict[str, Any] | None, now: datetime) -> None:
    CASTS_ENDED.labels(status).inc()
    code = "" if error is None else str(error["code"])
    seconds = round((now - cast.created_at).total_seconds(), 3)
    tell = log.warning if status == CastStatus.FAILED else log.info
    tell("cast.ended", cast_id=str(cast.pk), status=status, seconds=seconds, round=cast.round, **({"code": code} if code else {}))
    if cast.traceparent:
        tracing.record(
            f"cast {cast.version.spell.slug}",
            place=place_of_cast(traceparent=cast.traceparent, cast_id=cast.pk, round=cast.round),
            parent=cast.traceparent,
            began_at=_began_at(cast),
            ended_at=now,
            failure=(code or status) if status == CastStatus.FAILED else "",
            attributes={
                "grimoire.cast_id": str(cast.pk),
                "grimoire.spell": cast.version.spell.slug,
                "grimoire.version": cast.version.number,
                "grimoire.status": status,
                "grimoire.round": cast.round,
            },
        )


def _began_at(cast: Cast) -> datetime:
    """Return when the present round of a cast began: at its start, or when somebody had it retried."""
    if not cast.round:
        return cast.created_at
    retried = CastEvent.objects.filter(cast=cast, kind=EventKind.RETRIED).order_by("-pk").values_list("at", flat=True)
    return retried.first() or cast.created_at


def place_of_cast(*, traceparent: str, cast_id: UUID, round: int) -> str:  # noqa: A002 - the model's own word
    """Return where the span of a round of a cast stands in its trace."""
    return tracing.derived(traceparent, "cast", cast_id, round)


def place_of_generation(*, traceparent: str, generation_id: UUID) -> str:
    """Return where the span of an attempt stands in the trace of its cast."""
    return tracing.derived(traceparent, "generation", generation_id)  # as `generations.calls` does
