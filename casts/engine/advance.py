"""Advance a set of claimed casts, with the results of their calls, in one transaction.

The order is the protocol's: lock the wakeups whose epoch stands, lock the casts, read, judge and decide, write, let go.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from casts.models import FanOut
from generations.models import Generation

from . import breakers, changes, ends, gates, measuring, notices
from . import claims as leases
from .claims import Claim, Release
from .gates import Passage
from .late import take_late
from .loading import Sight, load
from .remembering import Known, remember
from .reports import Report
from .retrying import in_one_transaction
from .starts import Slots, start_ready
from .state import CastState
from .turns import Turn, conclude, judge, put_off_polls, take
from .withdrawing import withdraw


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """What came of a set: the turns of the casts that were still ours, the claims on those that were not, and late news.

    `left` is how casts stand now, for whoever goes on holding them: what may be `known` at the next look.
    """

    turns: Sequence[Turn]
    fenced: Sequence[Claim]
    late: Sequence[Report]
    left: Mapping[UUID, CastState]


def advance(*, claimed: Iterable[Claim], slots: Slots, in_flight: Collection[UUID] = (), known: Known | None = None) -> Advanced:
    """Look at claimed casts: start what is ready, end what has ended, let go of what must wait.

    `in_flight` are the generations that this conductor is calling or polling for them, `known` what it remembers of them.
    """
    return settle(reports=(), claimed=claimed, slots=slots, in_flight=in_flight, known=known)


def settle(
    *,
    reports: Sequence[Report],
    claimed: Iterable[Claim] = (),
    slots: Slots,
    in_flight: Collection[UUID] = (),
    known: Known | None = None,
) -> Advanced:
    """Record the results of calls and advance their casts, in one transaction for the whole set.

    A result that came too late for its claim or its generation is no error: its cost is booked, its output kept.
    """
    advanced = settle_in_time(reports=reports, claimed=claimed, slots=slots, in_flight=in_flight, known=known)
    for report in advanced.late:
        take_late(report=report)
    return advanced


def settle_in_time(
    *,
    reports: Sequence[Report],
    claimed: Iterable[Claim] = (),
    slots: Slots,
    in_flight: Collection[UUID] = (),
    known: Known | None = None,
) -> Advanced:
    """Do as `settle`, and leave what came too late to `take_late`: whatever is wrong with it concerns no other."""
    wanted = leases.latest_claims((*claimed, *(report.claim for report in reports)))
    turns, late = _settle_in_time(reports=reports, wanted=wanted, slots=slots, in_flight=in_flight, known=known)
    # now that it is committed
    left = {turn.state.cast.pk: state for turn in turns if (state := remember(turn)) is not None}
    ours = {turn.state.cast.pk for turn in turns}
    return Advanced(turns=turns, fenced=[claim for cast_id, claim in wanted.items() if cast_id not in ours], late=late, left=left)


@in_one_transaction
def _settle_in_time(
    *, reports: Sequence[Report], wanted: Mapping[UUID, Claim], slots: Slots, in_flight: Collection[UUID], known: Known | None
) -> tuple[list[Turn], list[Report]]:
    slots.begin()
    seen = load(held=leases.lock(claims=wanted.values()), known=known)
    turns = {cast_id: Turn(state=state, now=seen.now, in_flight=in_flight) for cast_id, state in seen.states.items()}
    late = _take_all(reports, turns)
    for turn in turns.values():
        for change in list(judge(turn)):
            turn.add(change)
    put_off_polls(turns.values(), may_poll=slots.may_poll)
    passage = start_ready(turns=list(turns.values()), slots=slots)
    for turn in turns.values():
        turn.end = conclude(turn)
    _write(turns=list(turns.values()), passage=passage, seen=seen)
    return list(turns.values()), late


def _take_all(reports: Sequence[Report], turns: Mapping[UUID, Turn]) -> list[Report]:
    """Take reports into the turns of their casts, and what they say of providers into breakers. Returns those that came too late.

    One that is handed in again, since a part of its set could not be settled, says nothing new of its provider.
    """
    late: list[Report] = []
    learnt: list[breakers.Evidence] = []
    for report in reports:
        turn = turns.get(report.claim.cast_id)
        evidence = breakers.evidence_of(report, turn)
        if not take(report, turn):
            late.append(report)
        elif evidence is not None:
            learnt.append(evidence)
    breakers.learn_later(evidence=learnt)
    return late


def _write(*, turns: Sequence[Turn], passage: Passage, seen: Sight) -> None:
    now = seen.now
    changes.write(turns=turns, now=now)
    withdraw(turns, now=now)
    FanOut.objects.bulk_create([fan_out for turn in turns for fan_out in turn.fan_outs])
    gates.write(turns=turns, passage=passage)
    measuring.note(turns=turns)
    for turn in turns:
        turn.calls += _reload(turn)
    ends.end(turns=[turn for turn in turns if turn.end is not None], now=now)
    told = notices.of_turns(turns, is_watched=seen.has_subscribers)
    notices.tell(notices=told, now=now, is_watched=seen.has_subscribers)
    waiting = [turn for turn in turns if turn.end is None and not turn.is_held]
    leases.release(releases=[Release(claim=turn.state.claim, due_at=turn.due_at()) for turn in waiting])
    leases.acquit(claims=[turn.state.claim for turn in turns if turn.state.claim.lost and turn.end is None and turn.is_held])


def _reload(turn: Turn) -> list[Generation]:
    """Read the calls of ours whose commit was answered by silence: they were never made."""
    ids = [attempt.id for attempt in turn.uncalled()]
    return list(Generation.objects.filter(pk__in=ids)) if ids else []
