"""The keeper: a thread that renews the claims of its conductor and beats its heart.

A thread of its own, since a loop that is busy must not lose its casts; but it stops as soon as the loop's own tick is
stale, or its database thread is stuck, since a conductor that hangs must lose them.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from casts import engine
from casts.clock import database_now
from casts.metrics import tallies
from casts.models import ConductorProcess
from casts.models.conductor import SILENCE_SECONDS, ConductorKind, DatabaseNow

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0


def enrol(*, kind: ConductorKind) -> ConductorProcess:
    """Count this process among the conductors, for as long as a keeper beats its heart."""
    now = database_now()
    alive_until = now + timedelta(seconds=SILENCE_SECONDS)
    return ConductorProcess.objects.create(kind=kind, host=socket.gethostname(), pid=os.getpid(), started_at=now, alive_until=alive_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What became of the claims: their bells, those that were lost, and from when on the new lease runs (monotonic)."""

    bells: dict[UUID, int]
    lost: list[engine.Claim]
    asked_at: float


class Keeper(threading.Thread):
    """Renews claims each third of a lease and beats every few seconds, with a database connection of its own."""

    def __init__(
        self,
        *,
        conductor: ConductorProcess,
        lease_seconds: float,
        held: Callable[[], Sequence[engine.Claim]],
        ticked_at: Callable[[], float],
        in_flight: Callable[[], int],
        tell: Callable[[Renewal], None],
    ) -> None:
        """Take the row to beat for, and how to ask the loop for its claims, its tick and its load."""
        super().__init__(name="keeper", daemon=True)
        self._conductor = conductor
        self._lease_seconds = lease_seconds
        self._held = held
        self._ticked_at = ticked_at
        self._in_flight = in_flight
        self._tell = tell
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(timeout=10)

    def run(self) -> None:
        pause = min(BEAT_SECONDS, self._lease_seconds / 3)
        renew_at = time.monotonic() + self._lease_seconds / 3
        try:
            while not self._stop_asked.wait(pause):
                try:
                    self._beat()
                    tallies.hand_in_when_due()
                    if time.monotonic() >= renew_at - pause / 2:
                        self._renew()
                        renew_at = time.monotonic() + self._lease_seconds / 3
                except (DatabaseError, InterfaceError):
                    logger.warning("The keeper could not reach the database and tries again.", exc_info=True)
                    connection.close()
        finally:
            connection.close()

    def _loop_is_alive(self) -> bool:
        return time.monotonic() - self._ticked_at() < self._lease_seconds / 2

    def _beat(self) -> None:
        if not self._loop_is_alive():
            logger.error("The conductor has been stuck for %.0f s: its claims run out.", time.monotonic() - self._ticked_at())
            return
        silence = timedelta(seconds=SILENCE_SECONDS)
        beaten = ConductorProcess.objects.filter(pk=self._conductor.pk).update(
            alive_until=DatabaseNow() + silence, in_flight=self._in_flight()
        )
        if not beaten:  # it was taken for dead and swept away
            self._conductor.alive_until = database_now() + silence
            self._conductor.save(force_insert=True)

    def _renew(self) -> None:
        claims = self._held()
        if not claims or not self._loop_is_alive():
            return
        asked_at = time.monotonic()
        bells = engine.renew(claims=claims, lease_seconds=self._lease_seconds)
        lost = [claim for claim in claims if claim.cast_id not in bells]
        self._tell(Renewal(bells=bells, lost=lost, asked_at=asked_at))
