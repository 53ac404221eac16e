"""What is due, for the process that looks for it: which casts to take, and when to leave them to others."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from django.db import DatabaseError, models

from casts import doorbell, engine, errands
from casts.engine import Claim, Due
from casts.models import ConductorProcess

logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """What a process took, and of which kinds errands are due."""

    claims: list[Claim]
    errands: list[type[models.Model]]


def claim_due(*, limit: int, lease_seconds: float, kinds: Sequence[type[models.Model]] = ()) -> Found:
    """Claim due casts, or one suspect: a cast of which two holders in a row never finished one look. See what errands of `kinds` are due.

    A suspect is looked at alone: if that takes this process down too, nobody else comes under suspicion by it.
    """
    due, kinds_due = _look(kinds)
    return Found(claims=_claim(due, limit=limit, lease_seconds=lease_seconds), errands=kinds_due)


def _look(kinds: Sequence[type[models.Model]]) -> tuple[Due, list[type[models.Model]]]:
    """Look for casts and errands in one query; if that is refused, for casts alone: any errand may be due then."""
    try:
        due = engine.look(beside=[errands.is_due(kind) for kind in kinds])
    except DatabaseError:
        due = engine.look()  # raises as well unless the errands are at fault
        logger.warning("It cannot be seen which errands are due.", exc_info=True)
        return due, list(kinds)
    return due, [kind for kind, is_due in zip(kinds, due.beside, strict=True) if is_due]


def _claim(due: Due, *, limit: int, lease_seconds: float) -> list[Claim]:
    if due.gates:
        engine.tend_gates()
    for suspect in engine.claim(limit=1, lease_seconds=lease_seconds, suspects=True) if due.suspects else ():
        if suspect.lost < engine.MAX_LOST_CLAIMS:
            return [suspect]
        told = {"cast_id": str(suspect.cast_id)}
        logger.error("Cast %s took %d workers along and is given up", suspect.cast_id, suspect.lost, extra=told)
        engine.give_up(claim=suspect, message=f"Looking at this cast ended {suspect.lost} workers, one after the other.")
    # a ring at a gate makes casts due
    return engine.claim(limit=limit, lease_seconds=lease_seconds) if due.casts or due.gates else []


def is_any_due(*, within_seconds: float = 0.0) -> bool:
    """Tell whether a cast or an errand is due, or will be within so many seconds. Reads only."""
    return engine.is_any_due(within_seconds=within_seconds) or errands.is_any_due(within_seconds=within_seconds)


def hand_over(row: ConductorProcess) -> None:
    """Count no more as one who takes casts. If that was the last one, the cluster is asked for another."""
    ConductorProcess.objects.filter(pk=row.pk).update(draining=True)
    row.draining = True
    if is_any_due():
        doorbell.ask_unless_claimed()
