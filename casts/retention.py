"""What is kept no longer: casts that ended long ago, with all that hangs on them, and what nobody needs any more beside them.

A cast goes as a whole or not at all. It stays, however old, while something of it is open: a call of which nobody knows
what became, a message that is yet to be sent, news that are yet to be applied. Casts of pieces stay with their cook. An
artefact stays while casts are given it, and as long as a collection names it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum

from casts.engine.retrying import in_one_transaction
from casts.models import (
    Alert,
    AlertMail,
    Cast,
    CastEvent,
    CollectionArtifact,
    Delivery,
    FanOut,
    Gate,
    GateEvent,
    Notification,
    PieceAttempt,
    Subscription,
    Waiter,
)
from generations import sweeping
from generations.models import Artifact, Callback, Cancellation, Generation
from generations.models.generation import BLOCKING

CASTS_AT_ONCE = 100
ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed, or would be. `open` counts casts that are old enough and stay, `file_bytes` is the size of the files.

    `cost_usd` is what the removed casts had cost. `complete` is false when the time was up before all was done.
    """

    casts: int = 0
    open: int = 0
    generations: int = 0
    artifacts: int = 0
    cost_usd: Decimal = Decimal(0)
    other_rows: int = 0
    files: int = 0
    file_bytes: int = 0
    complete: bool = True

    def __add__(self, other: "Pruned") -> "Pruned":
        names = [field.name for field in fields(self) if field.name != "complete"]
        added: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Pruned(**added, complete=self.complete and other.complete)


Place = tuple[datetime, UUID]  # of a cast in the order in which casts ended


def prune(
    *,
    now: datetime,
    age: timedelta,
    dry_run: bool = False,
    give_up_at: float = float("inf"),
    progress: Callable[[Pruned], object] = lambda _: None,
) -> Pruned:
    """Remove what ended, or was last of use, longer ago than `age`. Safe beside all other work, and in any number of copies.

    Works in transactions of 100 casts, and can be broken off at any time: what is left is found by the next one. Stops
    early when `time.monotonic()` reaches `give_up_at`. `progress` is told after each transaction how far it is.
    """
    before = now - age
    if dry_run:
        return _would_go(before=before) + _swept(give_up_at=give_up_at, dry_run=True)
    pruned, place = Pruned(), None
    while True:
        if time.monotonic() >= give_up_at:
            return pruned + Pruned(complete=False)
        some, place = _prune_casts(before=before, after=place)
        pruned += some
        progress(pruned)
        if place is None:
            break
    for rows in _of_no_cast(before=before):
        while removed := _prune_rows(rows):
            pruned += removed
            progress(pruned)
            if time.monotonic() >= give_up_at:
                return pruned + Pruned(complete=False)
    return pruned + _swept(give_up_at=give_up_at)


@in_one_transaction
def _prune_casts(*, before: datetime, after: Place | None) -> tuple[Pruned, Place | None]:
    """Remove the next casts in the order in which they ended. Returns the last one's place, or None when there are no more."""
    candidates = _of_no_piece(before).select_for_update(skip_locked=True, of=("self",)).order_by("finished_at", "pk")
    if after is not None:
        candidates = candidates.filter(Q(finished_at__gt=after[0]) | Q(finished_at=after[0], pk__gt=after[1]))
    found = list(candidates.values_list("finished_at", "pk", "cost_usd")[:CASTS_AT_ONCE])
    if not found:
        return Pruned(), None
    ids = [pk for _, pk, _ in found]
    # Locked, so that no callback comes for them meanwhile.
    generations = list(Generation.objects.select_for_update().filter(cast__in=ids).order_by("pk").values_list("cast_id", "status"))
    still_open = {cast_id for cast_id, status in generations if status in BLOCKING}
    for rows, cast in _errands(ids):
        still_open.update(rows.values_list(cast, flat=True))
    gone = [pk for pk in ids if pk not in still_open]
    removed = Pruned(
        casts=len(gone),
        open=len(still_open),
        generations=sum(cast_id not in still_open for cast_id, _ in generations),
        cost_usd=sum((cost for _, pk, cost in found if pk not in still_open), Decimal(0)),
    )
    ended, last, _ = found[-1]
    assert ended is not None, "the query asks for those that have ended"
    return removed + _remove(gone, before=before), (ended, last)


def _of_no_piece(before: datetime) -> QuerySet[Cast]:
    """Return the casts that are old enough, without those of pieces: they stay as long as their cook does."""
    return Cast.objects.filter(finished_at__lt=before).exclude(Exists(PieceAttempt.objects.filter(cast=OuterRef("pk"))))


def _errands(cast_ids: Sequence[UUID]) -> list[tuple[QuerySet[Any], str]]:
    """Return what is yet to be done of casts, and by which name it knows its cast."""
    return [
        (Notification.objects.filter(cast__in=cast_ids, due_at__isnull=False), "cast_id"),
        (Callback.objects.filter(generation__cast__in=cast_ids, due_at__isnull=False), "generation__cast_id"),
        (Cancellation.objects.filter(generation__cast__in=cast_ids, due_at__isnull=False), "generation__cast_id"),
    ]


def _remove(cast_ids: Sequence[UUID], *, before: datetime) -> Pruned:
    """Remove casts and all that hangs on them, the last leaves first: no row is read to find what hangs on it."""
    Gate.objects.filter(probe__cast__in=cast_ids).update(probe=None)
    removed = sum(_delete(rows) for rows in _leaves(cast_ids))
    made = Artifact.objects.filter(generation__cast__in=cast_ids)
    artifacts = _delete(made.filter(_out_of_use(before)))
    made.update(generation=None)
    _delete(Generation.objects.filter(cast__in=cast_ids))
    _delete(Cast.objects.filter(pk__in=cast_ids))
    return Pruned(artifacts=artifacts, other_rows=removed)


def _leaves(casts: Sequence[UUID] | QuerySet[Any, Any]) -> list[QuerySet[Any]]:
    """Return all that hangs on casts and bears nothing itself, each before what it hangs on."""
    messages = Notification.objects.filter(cast__in=casts)
    # Two questions, each with an index of its own: both in one would read all messages that there are.
    others = Notification.objects.filter(subscription__in=Subscription.objects.filter(cast__in=casts)).exclude(cast__in=casts)
    return [
        Delivery.objects.filter(notification__in=messages.values("pk")),
        Delivery.objects.filter(notification__in=others.values("pk")),
        messages,
        others,
        Subscription.objects.filter(cast__in=casts),
        CastEvent.objects.filter(cast__in=casts),
        FanOut.objects.filter(cast__in=casts),
        Waiter.objects.filter(cast__in=casts),
        Callback.objects.filter(generation__cast__in=casts),
        Cancellation.objects.filter(generation__cast__in=casts),
    ]


def _out_of_use(before: datetime) -> Q:
    named = CollectionArtifact.objects.filter(artifact=OuterRef("pk"))
    return (Q(used_at__isnull=True) | Q(used_at__lt=before)) & Q(~Exists(named))


def _of_no_cast(*, before: datetime) -> list[QuerySet[Any]]:
    """Return what is old and hangs on no cast: callbacks for nobody, files that users brought, the history of breakers and alerts."""
    tests = Notification.objects.filter(cast__isnull=True, due_at__isnull=True, created_at__lt=before)
    return [
        Callback.objects.filter(generation__isnull=True, received_at__lt=before),
        Delivery.objects.filter(notification__in=tests.values("pk")),
        tests,
        GateEvent.objects.filter(at__lt=before),
        AlertMail.objects.filter(done_at__lt=before),
        Alert.objects.filter(closed_at__lt=before),
        Artifact.objects.filter(_out_of_use(before), generation__isnull=True, created_at__lt=before),
    ]


@in_one_transaction
def _prune_rows(rows: QuerySet[Any]) -> Pruned | None:
    """Remove some of these rows. Returns None when there were none."""
    found = list(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:ROWS_AT_ONCE])
    if not found:
        return None
    removed = _delete(rows.filter(pk__in=found))
    return Pruned(artifacts=removed) if rows.model is Artifact else Pruned(other_rows=removed)


def _delete(rows: QuerySet[Any]) -> int:
    """Delete rows in one statement. What hangs on them was deleted before; the database would refuse it otherwise."""
    removed: int | None = rows._raw_delete(rows.db)  # `delete` reads all rows first, to look for what hangs on them
    return removed or 0  # None: Django saw that there can be none, and asked nothing


def _swept(*, give_up_at: float, dry_run: bool = False) -> Pruned:
    swept = sweeping.sweep(give_up_at=give_up_at, dry_run=dry_run)
    return Pruned(files=swept.files, file_bytes=swept.size, complete=time.monotonic() < give_up_at)


def _would_go(*, before: datetime) -> Pruned:
    """Count what would be removed, without a lock."""
    mine = OuterRef("pk")
    is_open = (
        Exists(Generation.objects.filter(cast=mine, status__in=BLOCKING))
        | Exists(Notification.objects.filter(cast=mine, due_at__isnull=False))
        | Exists(Callback.objects.filter(generation__cast=mine, due_at__isnull=False))
        | Exists(Cancellation.objects.filter(generation__cast=mine, due_at__isnull=False))
    )
    old = _of_no_piece(before)
    going = old.exclude(is_open)
    of_generations = Generation.objects.filter(cast__in=going.values("pk"))
    artifacts = Artifact.objects.filter(_out_of_use(before), generation__in=of_generations.values("pk"))
    of_no_cast = _of_no_cast(before=before)
    return Pruned(
        casts=going.count(),
        open=old.filter(is_open).count(),
        generations=of_generations.count(),
        artifacts=artifacts.count() + sum(rows.count() for rows in of_no_cast if rows.model is Artifact),
        cost_usd=going.aggregate(sum=Sum("cost_usd", default=Decimal(0)))["sum"],
        other_rows=sum(rows.count() for rows in [*_leaves(going.values("pk")), *of_no_cast] if rows.model is not Artifact),
    )
