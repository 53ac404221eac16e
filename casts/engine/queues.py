"""Telling those that wait at gates of room: as many as there is room for, in turns over their initiators."""

import logging
from collections.abc import Collection, Iterable
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError
from django.db.models import Q

from casts.clock import database_now
from casts.doorbell import knock
from casts.models import Gate, Waiter

from . import claims as leases
from .retrying import in_one_transaction
from .rooms import RUNG_SECONDS, Room, measure

logger = logging.getLogger(__name__)

# How often to see after a gate where somebody waits, should nobody say that there is room.
RING_SECONDS = 10.0
# Casts told at once. Those that pass bring the next.
BATCH = 50


def tend() -> None:
    """Ring at the gates whose time has come: a minute moved on, a rest or a wait is over, or nobody said anything for a while."""
    ring(gate_ids=list(Gate.objects.to_ring().order_by("pk").values_list("pk", flat=True)[:BATCH]))


def ring(*, gate_ids: Iterable[int]) -> None:
    """Tell waiting casts of room. What goes wrong costs them time only: a later ring, or their own wakeup, makes up for it."""
    for gate_id in gate_ids:
        try:
            _ring(gate_id=gate_id)
        except DatabaseError:
            logger.warning("Those that wait at gate %s were not told of room; their wakeups come due.", gate_id, exc_info=True)


@in_one_transaction
def _ring(*, gate_id: int) -> None:
    """Ring at one gate. Its lock comes before those of wakeups here, so these are only taken where nobody has them."""
    gates = Gate.objects.select_for_update(no_key=True, of=("self",)).select_related("tool", "provider").filter(pk=gate_id)
    for room in measure(gates=list(gates), moment=database_now()):
        slots = min(BATCH, room.free() - room.rung)
        chosen = [cast_id for initiator_id, most in room.turns(slots).items() for cast_id in _longest(room, initiator_id, most)]
        rung = leases.ring_free(cast_ids=chosen) if chosen else []
        _note(room=room, rung=rung, gone=set(chosen).difference(rung))
        for cast_id in rung:
            knock(cast_id=cast_id)
        later = room.moment if len(rung) == BATCH else room.opens_at() or room.moment + timedelta(seconds=RING_SECONDS)
        Gate.objects.filter(pk=gate_id).update(ring_at=later if room.waiting else None)


def _longest(room: Room, initiator_id: int, most: int) -> list[UUID]:
    """Return the casts of an initiator that have waited longest, without those that were told just now."""
    told = Q(rung_at__gt=room.moment - timedelta(seconds=RUNG_SECONDS))
    waiters = Waiter.objects.filter(~told | Q(rung_at__isnull=True), gate=room.gate.pk, initiator=initiator_id)
    return list(waiters.order_by("since").values_list("pk", flat=True)[:most])


def _note(*, room: Room, rung: Collection[UUID], gone: Collection[UUID]) -> None:
    """Write down who was told. Those of ended casts do not wait, nor does anybody at a gate that holds nobody back."""
    told = Waiter.objects.filter(pk__in=rung)
    if room.holds_back:
        told.update(rung_at=room.moment)
    else:
        told.delete()
    if gone:
        Waiter.objects.filter(pk__in=gone, cast__wakeup__isnull=True).delete()
