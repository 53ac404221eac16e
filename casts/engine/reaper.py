"""The reaper: restores what must hold of every unfinished cast, from rows alone. It judges no call and ends no cast."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from casts.doorbell import knock
from casts.metrics.counters import HEALED
from casts.models import LIVE, Cast, CastEvent, ConductorProcess, EventKind, Wakeup

from . import claims as leases
from . import notices
from .retrying import in_one_transaction

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """What was healed: casts that got a wakeup, casts rung since their deadline passed, conductors found dead."""

    given_a_wakeup: list[UUID]
    rung: list[UUID]
    dead_conductors: list[str]

    @property
    def is_empty(self) -> bool:
        return not (self.given_a_wakeup or self.rung or self.dead_conductors)


def reap(*, now: datetime, dry_run: bool = False) -> Reaped:
    """Heal up to a batch of each kind. Safe to run at any time, in any number of copies, and to be killed."""
    stranded = list(Cast.objects.stranded().values_list("pk", flat=True)[:BATCH])
    parked = Wakeup.objects.filter(cast__deadline_at__lte=now, due_at__gt=now, claimed_until__isnull=True)
    late = list(parked.values_list("pk", flat=True)[:BATCH])
    dead = [str(conductor) for conductor in ConductorProcess.objects.dead()[:BATCH]]
    if not dry_run:
        stranded = [cast_id for cast_id in stranded if _give_a_wakeup(cast_id=cast_id, now=now)]
        late = [cast_id for cast_id in late if _ring(cast_id=cast_id, now=now)]
        ConductorProcess.objects.dead().delete()
        for reason, healed in (("wakeup_missing", stranded), ("deadline_passed", late), ("conductor_dead", dead)):
            HEALED.labels(reason).inc(len(healed))
    return Reaped(given_a_wakeup=stranded, rung=late, dead_conductors=dead)


@in_one_transaction
def _give_a_wakeup(*, cast_id: UUID, now: datetime) -> bool:
    """Insert the missing wakeup of an unfinished cast."""
    cast = Cast.objects.select_for_update(no_key=True).filter(pk=cast_id, status__in=LIVE).first()
    if cast is None or Wakeup.objects.filter(pk=cast_id).exists():
        return False
    leases.wake_anew(cast=cast, now=now)
    CastEvent.objects.create(cast=cast, kind=EventKind.REAPED, data={"healed": "wakeup"}, at=now)
    notices.tell(notices=[notices.of_healed(cast=cast, healed="wakeup")], now=now)
    knock(cast_id=cast_id)
    return True


@in_one_transaction
def _ring(*, cast_id: UUID, now: datetime) -> bool:
    rang = leases.ring(cast_id=cast_id)
    if rang:
        CastEvent.objects.create(cast_id=cast_id, kind=EventKind.REAPED, data={"healed": "deadline"}, at=now)
        knock(cast_id=cast_id)
    return rang
