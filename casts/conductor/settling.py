"""Settling a set, and what to do when a set cannot be settled."""

from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from django.db import InterfaceError, OperationalError

from casts import engine
from casts.engine import Claim, Report, Turn
from generations.calls import Call, prepare
from generations.models import Generation
from generations.tools.contract import Request

from .lanes import Lanes


class Settled:
    """What came of a set: the turns of our casts, the casts that are ours no more, and the requests to make."""

    def __init__(self) -> None:
        """Start empty: parts of a set are added as they are settled."""
        self.turns: list[Turn] = []
        self.fenced: set[UUID] = set()
        self.requests: dict[UUID, Request] = {}
        self.given_up: list[UUID] = []


def settle(*, reports: Sequence[Report], claimed: Sequence[Claim], lanes: Lanes, in_flight: Collection[UUID]) -> Settled:
    """Settle reports and advance claimed casts, in one transaction if that works, else in halves.

    One cast that no transaction can advance is given up with the reason; its neighbours go on. A database that cannot
    be reached is nobody's fault: OperationalError and InterfaceError are raised, and all is as it was.
    """
    settled = Settled()
    claims = {claim.cast_id: claim for claim in (*claimed, *(report.claim for report in reports))}
    _settle(list(claims.values()), reports, settled, lambda some, of: _once(some, of, lanes, in_flight))
    calls = [_call(turn, generation) for turn in settled.turns for generation in turn.calls]
    polls = [_poll(turn, generation) for turn in settled.turns for generation in _polled(turn)]
    settled.requests = {request.generation_id: request for request in prepare(calls=[*calls, *polls])}
    return settled


def _once(claims: Sequence[Claim], reports: Sequence[Report], lanes: Lanes, in_flight: Collection[UUID]) -> engine.Advanced:
    return engine.settle(reports=reports, claimed=claims, slots=lanes.reserve(), in_flight=in_flight)


def _settle(
    claims: Sequence[Claim],
    reports: Sequence[Report],
    settled: Settled,
    once: Callable[[Sequence[Claim], Sequence[Report]], engine.Advanced],
) -> None:
    try:
        advanced = once(claims, reports)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, one cast must not take its neighbours down
        if len(claims) > 1:
            half = len(claims) // 2
            for part in (claims[:half], claims[half:]):
                ids = {claim.cast_id for claim in part}
                _settle(part, [report for report in reports if report.claim.cast_id in ids], settled, once)
            return
        engine.give_up(claim=claims[0], message=f"{type(error).__name__}: {error}")
        settled.given_up.append(claims[0].cast_id)
        return
    settled.turns += advanced.turns
    settled.fenced |= set(advanced.fenced)


def _call(turn: Turn, generation: Generation) -> Call:
    step = turn.state.step(generation.step_id)
    tool = turn.state.tools[step.tool_id]
    return Call(
        generation_id=generation.pk,
        cast_id=generation.cast_id,
        owner_id=turn.state.cast.initiator_id,
        attempt=generation.attempt,
        idempotency_key=generation.idempotency_key,
        inputs=generation.inputs,
        tool=tool,
        timeout_seconds=step.run_timeout_seconds or tool.run_timeout_seconds,
    )


_poll = _call


def _polled(turn: Turn) -> list[Generation]:
    ids = [attempt.id for attempt in turn.polls()]
    return list(Generation.objects.filter(pk__in=ids)) if ids else []
