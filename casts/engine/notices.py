"""What a change of casts has to tell, and to whom: rows of the outbox, in the transaction of the change itself.

Everybody finds the ends of their casts, and what needs them, in their inbox. Beyond that, whoever subscribed is told:
who that is for a whole set is one query, if anybody is, and what they are told is one insert. Of the casts of a batch, of
which there may be thousands, people are told only what needs them; programs are told all.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from casts.doorbell import knock
from casts.models import CAST_KINDS, Cast, CastStatus, Notification, NotificationChannel, NotificationKind, Priority
from generations.models import ENDED, Generation, GenerationStatus

from . import sql
from .rows import new
from .state import Attempt, CastState
from .turns import End, Turn
from .verdicts import Change

END_KINDS = {
    CastStatus.SUCCEEDED: NotificationKind.SUCCEEDED,
    CastStatus.FAILED: NotificationKind.FAILED,
    CastStatus.CANCELLED: NotificationKind.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell of a cast, or of a generation of it. `data` is what it made of them, and may be different soon.

    What each row says by its kind and its time (`Notification.told`) is not in it.
    """

    cast: Cast
    kind: NotificationKind
    data: Mapping[str, Any] = field(default_factory=dict)
    generation_id: UUID | None = None


def of_turns(turns: Iterable[Turn], *, is_watched: bool = True) -> list[Notice]:
    """Return what these turns have to tell, once they are written.

    `is_watched` is false if it is known that nobody subscribed to any of these casts: what only subscribers are told is left out.
    """
    return [notice for turn in turns for notice in _of_turn(turn, is_watched=is_watched)]


def _of_turn(turn: Turn, *, is_watched: bool) -> Iterator[Notice]:
    cast, state = turn.state.cast, turn.state
    for change in turn.changes.values():
        if is_watched or change.status == GenerationStatus.UNKNOWN:
            ended = of_change(state=state, change=change)
            yield from ended
            if ended and change.status == GenerationStatus.UNKNOWN and turn.end is None:
                yield _of_question(ended[0])
    for made in turn.inserts if is_watched else ():
        if made.status in ENDED:
            place = _place(state.step(made.step_id).key, made)
            yield _of_generation(cast=cast, id=made.pk, status=made.status, error=made.error, place=place)
    if turn.end is not None:
        yield of_end(cast=cast, end=turn.end)
    elif any(_was_stalled(turn, change) for change in turn.changes.values()):
        yield of_healed(cast=cast, healed="worker")


def of_change(*, state: CastState, change: Change) -> list[Notice]:
    """Return what one change of a generation has to tell: something if it ended by it."""
    if change.status not in ENDED or change.status == change.was:
        return []
    place = _place(state.step(change.attempt.step_id).key, change.attempt)
    return [_of_generation(cast=state.cast, id=change.attempt.id, status=change.status, error=change.error, place=place)]


def of_generations(*, cast: Cast, ids: Collection[UUID]) -> list[Notice]:
    """Return what generations have to tell that ended otherwise than by a turn: they are read anew."""
    rows = Generation.objects.filter(pk__in=ids).select_related("step").only("status", "error", "item", "attempt", "step__key")
    return [
        _of_generation(cast=cast, id=row.pk, status=row.status, error=row.error, place=_place(row.step.key, row))
        for row in rows.order_by("pk")
    ]


def _place(step_key: str, attempt: Attempt | Generation) -> dict[str, Any]:
    return {"step": step_key, "item": attempt.item, "attempt": attempt.attempt}


def _of_question(unknown: Notice) -> Notice:
    """Return that a cast waits for somebody to say what became of a call."""
    told = ("step", "item", "attempt", "error")
    attention = {"generation": str(unknown.generation_id), **{name: unknown.data.get(name) for name in told}}
    return Notice(cast=unknown.cast, kind=NotificationKind.WAITING, data={"attention": attention}, generation_id=unknown.generation_id)


def of_healed(*, cast: Cast, healed: str) -> Notice:
    """Return that a cast had stalled and goes on. `healed` is what it had lost: its `wakeup`, or the `worker` of a call."""
    return Notice(cast=cast, kind=NotificationKind.HEALED, data={"healed": healed})


def _was_stalled(turn: Turn, change: Change) -> bool:
    """Tell whether a call had lost its worker, and is made again or asked for now."""
    is_abandoned = change.was == GenerationStatus.RUNNING and change.attempt.epoch != turn.state.claim.epoch > 0
    return is_abandoned and (change.lost or (change.status == GenerationStatus.SUBMITTED and not change.job_id))


def of_end(*, cast: Cast, end: End) -> Notice:
    """Return what the end of a cast has to tell. A retry would take the error away."""
    return Notice(cast=cast, kind=END_KINDS[end.status], data=_given(error=end.error, reason=end.reason))


def _of_generation(
    *,
    cast: Cast,
    id: UUID,  # noqa: A002 - the field's own name
    status: str,
    error: dict[str, Any] | None,
    place: Mapping[str, Any],
) -> Notice:
    data = {**place, **_given(error=error)}
    return Notice(cast=cast, kind=NotificationKind(f"generation.{status}"), data=data, generation_id=id)


def _given(**words: Any) -> dict[str, Any]:
    """Return those that say something: what most rows would say alike is not written into each."""
    return {name: value for name, value in words.items() if value}


class _Subscriber(NamedTuple):
    id: int
    cast_id: UUID | None
    owner_id: int
    channel: str
    kinds: Collection[str]
    address: str


def tell(*, notices: Collection[Notice], now: datetime, is_watched: bool = True) -> None:
    """Write what there is to tell into inboxes and outbox, and ring the doorbell for what is to be sent. Two statements at most.

    `is_watched` is false if it is known that nobody subscribed to any of these casts.
    """
    subscribers: Mapping[UUID | int, Sequence[_Subscriber]] = _subscribers(notices) if notices and is_watched else {}
    rows: list[Notification] = []
    for notice in notices:
        tells_people = notice.cast.priority != Priority.BATCH or notice.kind == NotificationKind.WAITING
        if notice.kind in CAST_KINDS and tells_people:
            rows.append(_in_inbox(notice, now))
        theirs = [*subscribers.get(notice.cast.pk, ()), *subscribers.get(notice.cast.initiator_id, ())]
        sent = [
            _to_send(notice, each, now)
            for each in theirs
            if notice.kind in each.kinds and (tells_people or each.channel == NotificationChannel.WEBHOOK)
        ]
        if sent:
            knock(cast_id=notice.cast.pk)
            rows += sent
    sql.insert(rows, unless_there=True)


def _subscribers(notices: Iterable[Notice]) -> Mapping[UUID | int, list[_Subscriber]]:
    """Return who wants to be told of these casts, by cast or by initiator. One query, whatever their number."""
    casts = {notice.cast.pk: notice.cast.initiator_id for notice in notices}
    found: dict[UUID | int, list[_Subscriber]] = defaultdict(list)
    wanted = {"rows": sql.rows_parameter({"cast_id": cast_id, "owner_id": owner_id} for cast_id, owner_id in casts.items())}
    for id_, cast_id, owner_id, channel, kinds, address in sql.fetch(_subscribed(), wanted):
        subscriber = _Subscriber(id_, cast_id and sql.uuid_of(cast_id), owner_id, channel, sql.json_of(kinds), address)
        if channel == NotificationChannel.WEBHOOK or address:
            found[subscriber.cast_id or owner_id].append(subscriber)
    return found


def _subscribed() -> str:
    """Return SQL for who subscribed to one of these casts, or to all casts of their owner."""
    return f"""
        WITH told AS {sql.on_postgresql("MATERIALIZED")} (SELECT * FROM {sql.recordset("row", {"cast_id": "uuid", "owner_id": "integer"})})
        SELECT subscription.id, cast_id, owner_id, channel, kinds, email
        FROM casts_subscription AS subscription JOIN auth_user ON auth_user.id = owner_id
        WHERE enabled AND (cast_id IN (SELECT cast_id FROM told) OR (cast_id IS NULL AND owner_id IN (SELECT owner_id FROM told)))
        ORDER BY subscription.id
        """


def _in_inbox(notice: Notice, now: datetime) -> Notification:
    row = _row(notice, now)
    row.channel, row.target, row.delivered_at = NotificationChannel.INBOX, str(notice.cast.initiator_id), now
    return row


def _to_send(notice: Notice, subscriber: _Subscriber, now: datetime) -> Notification:
    row = _row(notice, now)
    row.channel, row.subscription_id, row.message_id, row.due_at = subscriber.channel, subscriber.id, uuid7(), now
    row.target = subscriber.address if subscriber.channel == NotificationChannel.EMAIL else str(subscriber.id)
    return row


def _row(notice: Notice, now: datetime) -> Notification:
    about = {"cast_id": notice.cast.pk, "generation_id": notice.generation_id, "round": notice.cast.round}
    return new(
        Notification, recipient_id=notice.cast.initiator_id, kind=notice.kind, data=dict(notice.data) or None, created_at=now, **about
    )
