"""The end of casts: status, wakeup and event in one transaction. What it has to tell is written in the same (`notices`)."""

from collections.abc import Sequence
from datetime import datetime

from casts.models import LIVE, Cast, CastEvent, CastStatus, EventKind, Priority

from . import measuring, pieces, rows, sql
from .retrying import LostUpdateError
from .turns import End, Turn

EVENTS = {
    CastStatus.SUCCEEDED: EventKind.SUCCEEDED,
    CastStatus.FAILED: EventKind.FAILED,
    CastStatus.CANCELLED: EventKind.CANCELLED,
}


def end(*, turns: Sequence[Turn], now: datetime) -> None:
    """End the casts of these turns: one statement for their rows, one for their wakeups.

    Raises:
        LostUpdateError: a cast was ended, or a claim taken, under its lock.
    """
    if not turns:
        return
    ids = sql.ids_parameter([turn.state.cast.pk for turn in turns])
    ended = sql.count(_end_casts(), {"rows": sql.rows_parameter(_row(turn, now) for turn in turns), "ids": ids})
    gone = sql.count(_delete_wakeups(), {"rows": sql.rows_parameter(_claim(turn) for turn in turns)})
    if ended != len(turns) or gone != len(turns):
        raise LostUpdateError(f"Of {len(turns)} casts {ended} could be ended, and {gone} wakeups deleted, under their locks.")
    note(ended=[(turn.state.cast, turn.end) for turn in turns if turn.end is not None], now=now)


def _end_casts() -> str:
    """Return SQL that ends casts, unless somebody has. A cast that ends at its first look begins then."""
    columns = {"id": "uuid", "status": "text", "outputs": "jsonb", "error": "jsonb", "reason": "text", "at": "timestamptz"}
    return f"""
        UPDATE casts_cast SET
            status = ended.status, outputs = ended.outputs, error = ended.error, reason = ended.reason,
            started_at = COALESCE(casts_cast.started_at, ended.at), finished_at = ended.at
        FROM {sql.recordset("ended", columns)}
        WHERE casts_cast.id = ended.id AND casts_cast.status IN ({sql.words(LIVE)}) AND {sql.ids_in("casts_cast.id")}
        """


def _delete_wakeups() -> str:
    """Return SQL that deletes wakeups whose claims stand."""
    ended = sql.recordset("ended", {"cast_id": "uuid", "epoch": "bigint"})
    return f"DELETE FROM casts_wakeup WHERE (cast_id, epoch) IN (SELECT cast_id, epoch FROM {ended})"


def _row(turn: Turn, now: datetime) -> dict[str, object]:
    assert turn.end is not None
    end = turn.end
    return {"id": turn.state.cast.pk, "status": end.status, "outputs": end.outputs, "error": end.error, "reason": end.reason, "at": now}


def _claim(turn: Turn) -> dict[str, object]:
    return {"cast_id": turn.state.cast.pk, "epoch": turn.state.claim.epoch}


def note(*, ended: Sequence[tuple[Cast, End]], now: datetime) -> None:
    """Write the event of each end. Same transaction as the end itself."""
    sql.insert([_event(cast, end, now) for cast, end in ended])
    for cast, end in ended:
        measuring.note_end(cast=cast, status=end.status, error=end.error, now=now)
    pieces.tell_later(cast_ids=[cast.pk for cast, _ in ended if cast.priority == Priority.BATCH])


def _event(cast: Cast, end: End, now: datetime) -> CastEvent:
    return rows.new(CastEvent, cast_id=cast.pk, kind=EVENTS[end.status], data={"error": end.error} if end.error else None, at=now)
