"""News that comes from beside the claim: after it was lost, or from a provider's callback."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from casts.doorbell import knock
from casts.models import ENDED, LIVE
from generations.models import IN_FLIGHT, Generation, GenerationStatus
from generations.tools.contract import Result, Submitted, ToolError
from generations.unfetched import Unfetched

from . import changes, gates, measuring, notices
from . import claims as leases
from .claims import Claim
from .loading import load
from .remembering import remember
from .reports import Report, Via
from .retrying import in_one_transaction
from .state import Attempt, CastState
from .turns import Turn, addressee, take
from .verdicts import verdict
from .withdrawing import ask


@in_one_transaction
def take_late(*, report: Report) -> bool:
    """Account for news for which nobody waits: book its cost, keep its output, settle what it explains.

    An `unknown` generation is resolved by it: that is the evidence an operator would have looked for. Nothing is done
    when the cast was deleted meanwhile. Returns whether it settled the generation.
    """
    cast_id = report.claim.cast_id
    is_heard = leases.ring(cast_id=cast_id)
    seen = load(held={cast_id: Claim(cast_id=cast_id, epoch=0, bell=0)})
    leases.have_missed_none(cast_ids=() if is_heard else (cast_id,))
    state, now = seen.states.get(cast_id), seen.now
    if state is None:
        return False
    attempt = addressee(report, state)  # none, if its item is done
    explains = attempt is not None and _explains(report, attempt, state)
    if attempt is not None and explains:
        _settle(report=report, state=state, attempt=attempt, now=now)
    else:
        _keep(report=report, state=state, attempt=attempt, now=now)
    knock(cast_id=state.cast.pk)
    return explains


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came of news: for each report whether it changed a generation; the casts that were taken, and how they stand now."""

    settled: Sequence[bool]
    claims: Sequence[Claim] = ()
    left: Mapping[UUID, CastState] = field(default_factory=dict)


def receive(*, report: Report) -> bool:
    """Settle a generation by what its provider told us. See `receive_all`."""
    (settled,) = receive_all(reports=[report]).settled
    return settled


@in_one_transaction
def receive_all(
    *,
    reports: Sequence[Report],
    room: int = 0,
    lease_seconds: float = leases.LEASE_SECONDS,
    note: Callable[[Sequence[bool], datetime], None] | None = None,
) -> Received:
    """Settle generations by what their providers told us, without claims. What is told of one is taken in the order given.

    Rings first, so that whoever holds a cast looks at it again; the next step is left to a claimed advance. A caller who
    has `room` for it may get the claims of casts that nobody holds instead (`claims.ring_all`), with what is known of
    them: a look of their own is due at once. News for which nobody waits is accounted for as late. `note` writes what else
    belongs into the transaction: it is told what each report changed, and the time.
    """
    cast_ids = sorted({report.claim.cast_id for report in reports})
    rung = leases.ring_all(cast_ids=cast_ids, room=room, lease_seconds=lease_seconds)
    seen = load(held={cast_id: rung.claims.get(cast_id, Claim(cast_id=cast_id, epoch=0, bell=0)) for cast_id in cast_ids})
    leases.have_missed_none(cast_ids=rung.missing)
    now = seen.now
    turns = {cast_id: Turn(state=state, now=now) for cast_id, state in seen.states.items()}
    taken = [take(report, turns.get(report.claim.cast_id)) for report in reports]
    changes.write(turns=turns.values(), now=now)
    measuring.note(turns=turns.values())
    told = notices.of_turns(turns.values(), is_watched=seen.has_subscribers)
    notices.tell(notices=told, now=now, is_watched=seen.has_subscribers)
    gates.tell(gate_ids=gates.freed(turns.values()))
    for cast_id in turns.keys() - rung.claims.keys():
        knock(cast_id=cast_id)
    settled = [is_taken or take_late(report=report) for report, is_taken in zip(reports, taken, strict=True)]
    if note is not None:
        note(settled, now)
    left = {cast_id: state for cast_id in rung.claims if (state := remember(turns[cast_id], is_claimed=True)) is not None}
    return Received(settled=settled, claims=list(rung.claims.values()), left=left)


def _explains(report: Report, attempt: Attempt, state: CastState) -> bool:
    """Tell whether late news says for certain what became of a call of which nobody else will ever know."""
    is_unknown = attempt.status == GenerationStatus.UNKNOWN
    was_sent_again = attempt.id != report.generation_id and attempt.status in IN_FLIGHT
    unjudged = attempt.status == GenerationStatus.RUNNING and report.via is Via.RUN and attempt.epoch == report.claim.epoch
    match report.news:
        case Result():
            return is_unknown or was_sent_again
        case Unfetched(error=error):  # of a cast that has ended, nobody would fetch them
            return (is_unknown or was_sent_again or unjudged) and (error.permanent or state.cast.status in LIVE)
        case Submitted():
            return is_unknown and state.cast.status in LIVE
        case ToolError(ambiguous=False):
            return is_unknown or unjudged
    return False


def _settle(*, report: Report, state: CastState, attempt: Attempt, now: datetime) -> None:
    change = verdict(state=state, attempt=attempt, report=report, now=now)
    changes.apply(changes=[change], now=now)
    changes.book(changes=[change])
    measuring.note_change(state=state, change=change, now=now)
    changes.keep_artifacts(made=[(attempt.id, state.cast.initiator_id, report.made)], now=now)
    notices.tell(notices=notices.of_change(state=state, change=change), now=now)


def _keep(*, report: Report, state: CastState, attempt: Attempt | None, now: datetime) -> None:
    """Keep what cannot change the state any more: what the call cost, what it made, under which id its provider knows it."""
    news, generation_id = report.news, report.generation_id
    if isinstance(news, Result | Unfetched | ToolError) and news.cost is not None:
        changes.book_late(generation_id=generation_id, cast_id=state.cast.pk, cost=news.cost, now=now)
    if isinstance(news, Submitted):
        generation_id = attempt.id if attempt else generation_id
        Generation.objects.filter(pk=generation_id, job_id="").update(job_id=news.job_id, job_handle=dict(news.handle))
        _withdraw_unwanted(generation_id=generation_id, state=state, now=now)
    if isinstance(news, Result | Unfetched):
        changes.keep_artifacts(made=[(generation_id, state.cast.initiator_id, report.made)], now=now)
    if isinstance(news, Result):
        changes.keep_late_output(generation_id=generation_id, output=dict(news.output))
    if isinstance(news, Unfetched):
        changes.keep_unfetched(generation_id=generation_id, left=news.left, now=now)


def _withdraw_unwanted(*, generation_id: UUID, state: CastState, now: datetime) -> None:
    """Have a job stopped of which we hear only now, and for whose result nobody waits any more."""
    is_over = state.cast.status in ENDED or state.cast.cancel_requested_at is not None or state.cast.deadline_at <= now
    given_up = (GenerationStatus.UNKNOWN, GenerationStatus.CANCELLED, GenerationStatus.FAILED)
    if is_over and Generation.objects.filter(pk=generation_id, status__in=given_up).exists():
        ask(generation_ids=[generation_id], now=now)
