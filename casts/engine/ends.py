"""The end of casts: status, wakeup and event in one transaction. What it has to tell is written in the same (`notices`)."""

from collections.abc import Sequence
from datetime import datetime

from casts.models import LIVE, Cast, CastEvent, CastStatus, EventKind, Priority, Wakeup

from . import measuring, pieces
from .retrying import LostUpdateError
from .turns import End, Turn

EVENTS = {
    CastStatus.SUCCEEDED: EventKind.SUCCEEDED,
    CastStatus.FAILED: EventKind.FAILED,
    CastStatus.CANCELLED: EventKind.CANCELLED,
}


def end(*, turns: Sequence[Turn], now: datetime) -> None:
    """End the casts of these turns.

    Raises:
        LostUpdateError: a cast was ended, or a claim taken, under its lock.
    """
    for turn in turns:
        _end(turn=turn, now=now)
    note(ended=[(turn.state.cast, turn.end) for turn in turns if turn.end is not None], now=now)


def note(*, ended: Sequence[tuple[Cast, End]], now: datetime) -> None:
    """Write the event of each end. Same transaction as the end itself."""
    CastEvent.objects.bulk_create([_event(cast, end, now) for cast, end in ended])
    for cast, end in ended:
        measuring.note_end(cast=cast, status=end.status, error=end.error, now=now)
    pieces.tell_later(cast_ids=[cast.pk for cast, _ in ended if cast.priority == Priority.BATCH])


def _end(*, turn: Turn, now: datetime) -> None:
    assert turn.end is not None
    cast, claim = turn.state.cast, turn.state.claim
    ended = Cast.objects.filter(pk=cast.pk, status__in=LIVE).update(
        status=turn.end.status,
        outputs=turn.end.outputs,
        error=turn.end.error,
        reason=turn.end.reason,
        started_at=cast.started_at or now,
        finished_at=now,
    )
    gone, _ = Wakeup.objects.filter(pk=cast.pk, epoch=claim.epoch).delete()
    if not ended or not gone:
        raise LostUpdateError(f"Cast {cast.pk} was ended under its lock.")


def _event(cast: Cast, end: End, now: datetime) -> CastEvent:
    return CastEvent(cast_id=cast.pk, kind=EVENTS[end.status], data={"error": end.error} if end.error else {}, at=now)
