"""When a conductor looks for casts that are due, how many it takes, and which errands along with them."""

import logging
import time
from collections.abc import Sequence

from django.db import DatabaseError, models

from casts.engine import Claim

from .database import Database
from .due import claim_due
from .errands import Errands, Load
from .holdings import Holdings
from .lanes import Lanes

logger = logging.getLogger(__name__)

# How long to claim nothing after casts were found for which there is no room; others behind them may need another lane.
CROWDED_SECONDS = 0.2


class Claimer:
    """Claims casts that are due: at once when it was asked to, else every so many seconds."""

    def __init__(self, *, held: Holdings, lanes: Lanes, database: Database, errands: Errands, pause_seconds: float, most: int) -> None:
        """Take who holds what is claimed, what there is room for, and who does the errands that are found; `most` casts are taken at once."""
        self._held = held
        self._lanes = lanes
        self._database = database
        self._errands = errands
        self._pause = pause_seconds
        self._most = most
        self._look_at = 0.0
        self._crowded_until = 0.0

    def ask(self) -> None:
        """Look at the next opportunity: casts may be due that nobody holds."""
        self._look_at = 0.0

    def make_way(self) -> None:
        """Look soon, but not at once: casts that were let go of, as there is no room for them, are others' to take."""
        self._look_at, self._crowded_until = 0.0, time.monotonic() + CROWDED_SECONDS

    def look_at(self) -> float:
        """Return when to look next, on the monotonic clock: not while casts wait for room, unless they have done so for a while."""
        return max(self._look_at, self._crowded_until) if self._held.waiting() else self._look_at

    def room(self) -> int:
        """Return how many casts may be taken beside those that are due. May be called on a database thread."""
        return 0 if time.monotonic() < self._crowded_until else min(self._most, self._lanes.free())

    async def claim(self) -> list[Claim]:
        """Take casts that are due, or one suspect; if there is none, begin errands that are. Returns the claims, which are held now."""
        now = time.monotonic()
        self._look_at = now + self._pause
        limit = min(self._most, self._lanes.free())
        kinds = self._errands.begin_look()
        claims, due, load = await self._database.run(self._look, limit, kinds)
        self._errands.see(due, load)
        if claims and (len(claims) == limit or claims[0].lost):
            self.ask()  # there may be more
        self._held.take(claims, asked_at=now)
        return claims

    def _look(self, limit: int, kinds: Sequence[type[models.Model]]) -> tuple[list[Claim], Sequence[type[models.Model]], Load | None]:
        """Claim due casts, or if there are none take errands, on the database thread: each way there takes its time."""
        claims, due = claim_due(limit=limit, lease_seconds=self._held.lease_seconds, kinds=kinds)
        try:
            return claims, due, None if claims else self._errands.take(due)
        except DatabaseError:
            logger.warning("Errands are due that cannot be taken with casts; they are taken by themselves.", exc_info=True)
            return claims, due, None
