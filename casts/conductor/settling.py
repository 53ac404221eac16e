"""Settling a set, and what to do when a set cannot be settled."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from casts import engine
from casts.engine import Advanced, Asked, CastState, Claim, Known, Report, Turn
from casts.metrics.counters import CLAIMS_LOST, CONTINUATIONS, SETTLEMENTS
from generations.calls import Call, prepare
from generations.models import Generation
from generations.tools.contract import Request

from .database import is_outage, may_be_split
from .lanes import Lanes, Reservation

logger = logging.getLogger(__name__)

# Claims that are settled in one transaction, and what there is to report on them.
_Part = tuple[list[Claim], list[Report]]

# How long one question for a job may take.
POLL_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call to make, or if something is `asked` a poll; in a process of its own if it must be `apart`."""

    turn: Turn
    request: Request
    asked: Asked | None
    apart: bool


@dataclass(slots=True)
class Settled:
    """What came of a set: the turns of our casts, how they left them, the claims that are ours no more, and what to ask of whom.

    `room` is where there is room for that. It must be given back once the calls are on their lanes.
    """

    room: Reservation
    turns: list[Turn] = field(default_factory=list)
    left: dict[UUID, CastState] = field(default_factory=dict)
    gone: list[Claim] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)


def settle(
    *,
    reports: Sequence[Report],
    claimed: Sequence[Claim],
    known: Known | None = None,
    lanes: Lanes,
    seated: int = 0,
    in_flight: Collection[UUID],
) -> Settled:
    """Settle reports and advance claimed casts, in one transaction if that works, else in halves.

    `known` is what is remembered of them: what fails by it is read and tried again. `seated` is how many of
    them are held until there is room. One cast that no transaction can advance is given up with the reason; its
    neighbours go on. A database that cannot be reached, or that refuses even one cast alone for the sake of other
    transactions, is nobody's fault: its error is raised, and what is not settled is as it was.
    """
    room = lanes.reserve(seated=seated)
    try:
        settled = _settle(reports=reports, claimed=claimed, known=known or Known({}), room=room, in_flight=in_flight)
        settled.orders = _orders(settled.turns)
    except BaseException:
        room.give_back()
        raise
    return settled


def _settle(
    *, reports: Sequence[Report], claimed: Sequence[Claim], known: Known, room: Reservation, in_flight: Collection[UUID]
) -> Settled:
    settled = Settled(room=room)
    late: list[Report] = []
    claims = engine.latest_claims([*claimed, *(report.claim for report in reports)])
    parts: list[_Part] = [(list(claims.values()), list(reports))]
    while parts:
        some, of = parts.pop()
        remembered = known.part(some)
        was_remembered = bool(remembered.states)
        slots = room.slots()
        try:
            advanced = engine.settle_in_time(reports=of, claimed=some, slots=slots, in_flight=in_flight, known=remembered)
        except Exception as error:
            if len(some) > 1 and may_be_split(error):
                parts += _halves(some, of)
            elif is_outage(error):
                CONTINUATIONS.labels("interrupted").inc(len(some))
                SETTLEMENTS.labels("interrupted").inc(len(of))
                raise
            elif was_remembered:
                _note_wrong_memory(some[0], error)
                parts.append((some, of))
            else:
                _give_up(some[0], error)
                settled.gone.append(some[0])
                late += of
        else:
            room.keep(slots)
            _count(advanced, reports=len(of))
            settled.turns += advanced.turns
            settled.left |= advanced.left
            settled.gone += advanced.fenced
            late += advanced.late
    for report in late:
        _take_late(report)
    return settled


def _count(advanced: Advanced, *, reports: int) -> None:
    """Count a settled set: its turns, the claims that had been lost, the reports and how many of them came too late."""
    CONTINUATIONS.labels("advanced").inc(len(advanced.turns))
    CONTINUATIONS.labels("fenced").inc(len(advanced.fenced))
    CLAIMS_LOST.inc(len(advanced.fenced))
    SETTLEMENTS.labels("in_time").inc(reports - len(advanced.late))
    SETTLEMENTS.labels("late").inc(len(advanced.late))


def _note_wrong_memory(claim: Claim, cause: Exception) -> None:
    told = {"cast_id": str(claim.cast_id)}
    logger.warning("Cast %s cannot be advanced as it is remembered, and is read", claim.cast_id, exc_info=cause, extra=told)


def _halves(claims: Sequence[Claim], reports: Sequence[Report]) -> "list[_Part]":
    half = len(claims) // 2
    parts: list[_Part] = []
    for part in (claims[:half], claims[half:]):
        ids = {claim.cast_id for claim in part}
        parts.append((list(part), [report for report in reports if report.claim.cast_id in ids]))
    return parts


def _give_up(claim: Claim, cause: Exception) -> None:
    """Fail a cast that cannot be advanced. If not even that works, its claim runs out, and others try."""
    CONTINUATIONS.labels("failed").inc()
    told = {"cast_id": str(claim.cast_id)}
    logger.error("Cast %s cannot be advanced and is given up", claim.cast_id, exc_info=cause, extra=told)
    try:
        engine.give_up(claim=claim, message=f"{type(cause).__name__}: {cause}")
    except Exception as error:
        if is_outage(error):
            raise
        logger.exception("Cast %s cannot even be given up", claim.cast_id, extra=told)


def _take_late(report: Report) -> None:
    try:
        engine.take_late(report=report)
    except Exception as error:
        if is_outage(error):
            raise
        SETTLEMENTS.labels("failed").inc()
        ids = {"cast_id": str(report.claim.cast_id), "generation_id": str(report.generation_id)}
        logger.exception("Late news of generation %s cannot be kept", report.generation_id, extra=ids)


def _orders(turns: Sequence[Turn]) -> list[Order]:
    """Return what the turns ask for: their calls, and polls of what was submitted."""
    wanted: list[tuple[Turn, Generation, Asked | None]] = [(turn, generation, None) for turn in turns for generation in turn.calls]
    polls = {attempt.id: turn for turn in turns for attempt in turn.polls()}
    rows = Generation.objects.filter(pk__in=list(polls)) if polls else ()
    wanted += [(polls[row.pk], row, Asked(job_id=row.job_id, poll_at=row.poll_at)) for row in rows]
    requests = prepare(calls=[_call(turn, generation, is_poll=asked is not None) for turn, generation, asked in wanted])
    return [
        Order(turn=turn, request=request, asked=asked, apart=asked is None and turn.is_apart_at((generation.step_id, generation.item)))
        for (turn, generation, asked), request in zip(wanted, requests, strict=True)
    ]


def _call(turn: Turn, generation: Generation, *, is_poll: bool) -> Call:
    step = turn.state.step(generation.step_id)
    tool = turn.state.tools[step.tool_id]
    seconds: float = step.run_timeout_seconds or tool.run_timeout_seconds
    return Call.of(
        generation,
        tool=tool,
        owner_id=turn.state.cast.initiator_id,
        timeout_seconds=min(seconds, POLL_SECONDS) if is_poll else seconds,
        deadline_seconds=step.deadline_seconds,
        traceparent=turn.state.cast.traceparent,
    )
