"""What somebody who holds no claim may do to a cast. Each verb rings first, then writes; a claimed advance does the rest."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Value
from django.db.models.functions import Coalesce

from casts.doorbell import knock
from casts.models import ENDED, Cast, CastEvent, CastStatus, EventKind

from . import claims as leases
from .retrying import in_one_transaction
from .start import DEADLINE

CANCELLED = "Cancelled by its initiator."


class TransitionRefusedError(Exception):
    """The cast's status forbids this."""

    def __init__(self, verb: str, status: str) -> None:
        """Take what was asked for, and where the cast stands."""
        super().__init__(f"A cast that is {status} cannot be {verb}.")
        self.verb = verb
        self.status = status


@in_one_transaction
def cancel(*, cast_id: UUID, actor_id: int | None, now: datetime, reason: str = "") -> Cast:
    """Ask that a cast end. Nothing new starts; what runs is stopped or waited for, so that its cost is known.

    Asking again changes nothing. Raises TransitionRefusedError when the cast has ended.
    """
    cast = _rung(cast_id=cast_id, verb="cancelled")
    reason = reason.strip() or CANCELLED
    asked = Cast.objects.filter(pk=cast_id, cancel_requested_at__isnull=True).update(cancel_requested_at=now, reason=reason)
    if asked:
        _note(cast, EventKind.CANCEL_REQUESTED, actor_id, now, reason=reason)
    return cast


@in_one_transaction
def pause(*, cast_id: UUID, actor_id: int | None, now: datetime) -> Cast:
    """Start no new calls; what runs may end. Deadlines run on. Raises TransitionRefusedError unless queued or running."""
    cast = _rung(cast_id=cast_id, verb="paused")
    _move(cast, to=CastStatus.PAUSED, when=lambda: _guard(cast, CastStatus.QUEUED, CastStatus.RUNNING, status=CastStatus.PAUSED))
    _note(cast, EventKind.PAUSED, actor_id, now)
    return cast


@in_one_transaction
def resume(*, cast_id: UUID, actor_id: int | None, now: datetime) -> Cast:
    """Go on with a paused cast. Raises TransitionRefusedError unless it is paused."""
    cast = _rung(cast_id=cast_id, verb="resumed")
    started_at = cast.started_at or now
    _move(cast, to=CastStatus.RUNNING, when=lambda: _guard(cast, CastStatus.PAUSED, status=CastStatus.RUNNING, started_at=started_at))
    _note(cast, EventKind.RESUMED, actor_id, now)
    return cast


@in_one_transaction
def retry(*, cast_id: UUID, actor_id: int | None, now: datetime, deadline: timedelta = DEADLINE) -> Cast:
    """Go on with a failed or cancelled cast from where it failed, keeping what succeeded.

    Its deadline is renewed. Raises TransitionRefusedError unless it failed or was cancelled.
    """
    cast = Cast.objects.select_for_update(no_key=True).get(pk=cast_id)
    return carry_on(cast=cast, actor_id=actor_id, now=now, deadline=deadline)


def carry_on(*, cast: Cast, actor_id: int | None, now: datetime, deadline: timedelta) -> Cast:
    """Begin the next round of a cast that is locked. Raises TransitionRefusedError unless it failed or was cancelled."""
    moved = Cast.objects.filter(pk=cast.pk, status__in=[CastStatus.FAILED, CastStatus.CANCELLED]).update(
        status=CastStatus.RUNNING,
        round=F("round") + 1,
        error=None,
        reason="",
        cancel_requested_at=None,
        started_at=Coalesce("started_at", Value(now)),
        finished_at=None,
        deadline_at=now + deadline,
    )
    if not moved:
        raise TransitionRefusedError("retried", cast.status)
    leases.wake_anew(cast=cast, now=now)
    cast.refresh_from_db()
    _note(cast, EventKind.RETRIED, actor_id, now, round=cast.round)
    return cast


def _rung(*, cast_id: UUID, verb: str) -> Cast:
    """Ring, then lock the cast. Raises TransitionRefusedError when it has ended, Cast.DoesNotExist when there is none."""
    is_heard = leases.ring(cast_id=cast_id)
    cast = Cast.objects.select_for_update(no_key=True).get(pk=cast_id)
    leases.have_missed_none(cast_ids=() if is_heard else (cast_id,))
    if cast.status in ENDED:
        raise TransitionRefusedError(verb, cast.status)
    return cast


def _guard(cast: Cast, *allowed: CastStatus, **values: object) -> bool:
    return bool(Cast.objects.filter(pk=cast.pk, status__in=allowed).update(**values))


def _move(cast: Cast, *, to: CastStatus, when: Callable[[], bool]) -> None:
    if not when():
        raise TransitionRefusedError({CastStatus.PAUSED: "paused", CastStatus.RUNNING: "resumed"}[to], cast.status)
    cast.refresh_from_db()


def _note(cast: Cast, kind: EventKind, actor_id: int | None, now: datetime, **data: object) -> None:
    CastEvent.objects.create(cast=cast, kind=kind, actor_id=actor_id, data=data or None, at=now)
    knock(cast_id=cast.pk)
