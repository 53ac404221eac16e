"""Which of the casts that are held are settled together, and when, and what is done with what came of it.

Results are settled in the batches in which they arrive while a batch is being settled; where there is much to settle, two
batches are, of different casts: one is computed while the other waits for the database.
"""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

from . import settling
from .caller import Caller
from .claimer import Claimer
from .database import DatabaseThreads
from .holdings import Batch, Holdings
from .lanes import Lanes
from .settling import Settled

# Casts taken, and results settled, in one transaction.
BATCH = 50
# Batches that are settled at once. SQLite has one writer at a time: there it is one.
BATCHES = 2
# How long fewer than a whole batch wait for one that is being settled. It may itself wait, for a lock that another holds.
PATIENCE_SECONDS = 0.1


class Batches:
    """Settles what is held in batches, as many at once as there are threads for the database, each as a task.

    What a batch orders is started, and what is due for others is told of. `wake` is called when a batch has ended.
    """

    def __init__(
        self,
        *,
        held: Holdings,
        lanes: Lanes,
        database: DatabaseThreads,
        caller: Caller,
        claimer: Claimer,
        wake: Callable[[], None],
        most: int,
    ) -> None:
        """Take what is held, where there is room, who starts calls and who claims, and whom to tell; `most` casts and results make a batch."""
        self._held = held
        self._lanes = lanes
        self._database = database
        self._caller = caller
        self._claimer = claimer
        self._wake = wake
        self._most = most
        self._settling: dict[asyncio.Task[None], float] = {}  # since when, monotonic
        self._suspect: UUID | None = None  # which is to be looked at alone
        self._connections = 0

    @property
    def is_busy(self) -> bool:
        return bool(self._settling)

    @property
    def may_claim(self) -> bool:
        """Tell whether more casts may be claimed: not beside a suspect, nor while the database keeps us waiting until renewals are at stake.

        May be called on a database thread.
        """
        return self._suspect is None and time.monotonic() - self._database.busy_since <= self._held.lease_seconds / 3

    @property
    def is_behind(self) -> bool:
        """Tell whether casts wait to be looked at until a batch has ended."""
        return bool(self._settling and self._held.to_look_at())

    def look_alone(self, cast_id: UUID) -> None:
        """Look at a suspect, which was just claimed, with nothing beside it."""
        self._suspect = cast_id

    def settle(self) -> None:
        """Begin to settle what came back, and to look at those of our casts that need it.

        One batch is begun with whatever there is, another beside it only if it is a whole one, or has waited: many small ones cost more.
        What kept an earlier batch from being settled is raised.
        """
        self._note_settled()
        asked = self._held.look_at_starved(most=self._lanes.freed)
        # what is left is for those of whom it is heard only when their batches end that they found no room
        self._lanes.freed = min(self._lanes.freed - asked, len(self._held.busy))
        while len(self._settling) < self._database.most:
            self._forget_after_reconnection()
            batch = self._begin()
            if batch is None:
                return
            self._lanes.waiting = self._held.waiting()
            self._settling[asyncio.create_task(self._settle(batch))] = time.monotonic()

    def settle_at(self) -> float:
        """Return when to settle next, on the monotonic clock; infinity where the end of a batch is to be waited for."""
        if self._settling and (len(self._settling) >= self._database.most or self._suspect is not None):
            return float("inf")
        if not self._held.has_any():
            return self._held.next_look()
        return self._patient_until()

    async def settle_all(self) -> None:
        """Settle what came back. Raises what keeps it from being settled."""
        while self._settling or self._held.reports:
            if self._settling:
                await asyncio.wait(self._settling)
                self._note_settled()
            else:
                self.settle()

    def _patient_until(self) -> float:
        """Return until when only a whole batch may begin beside those that are being settled."""
        return max(self._settling.values()) + PATIENCE_SECONDS if self._settling else 0.0

    def _begin(self) -> Batch | None:
        """Return the next batch, if it may begin now: a suspect alone, with nothing beside it that it could take along."""
        if self._suspect is not None and self._suspect not in self._held.casts:
            self._suspect = None
        if self._suspect is not None:
            return None if self._settling else self._held.begin(most=1, alone=self._suspect)
        return self._held.begin(most=self._most, least=self._most if time.monotonic() < self._patient_until() else 1)

    async def _settle(self, batch: Batch) -> None:
        is_settled = False
        try:
            settled = await self._database.run(
                settling.settle,
                reports=batch.reports,
                claimed=batch.claimed,
                known=batch.known,
                lanes=self._lanes,
                seated=batch.seated,
                in_flight=batch.in_flight,
            )
            is_settled = True
            self._forget_after_reconnection()
            self._take_in(settled)
        finally:
            if is_settled and self._suspect in batch.cast_ids:
                self._suspect = None
            if self._held.end(batch, is_settled=is_settled):
                self._claimer.ask()
            self._wake()

    def _take_in(self, settled: Settled) -> None:
        try:
            for claim in settled.gone:
                self._held.lose(claim)
            if any(turn.starved and not turn.is_held and not turn.leave_for for turn in settled.turns):
                self._claimer.make_way()
            for turn in settled.turns:
                self._held.settle(turn, left=settled.left.get(turn.state.cast.pk))
                for generation_id in turn.aborts():
                    self._caller.abort(generation_id)
            for order in settled.orders:
                self._caller.start(order)
        finally:
            self._lanes.waiting = self._held.waiting()
            settled.room.give_back()

    def _note_settled(self) -> None:
        """Raise what kept a batch from being settled, once none of those that have ended is left."""
        ended = [task for task in self._settling if task.done()]
        for task in ended:
            del self._settling[task]
        errors = [error for task in ended if (error := task.exception()) is not None]
        if errors:
            raise errors[0]

    def _forget_after_reconnection(self) -> None:
        """Let all casts be read again once there is a new connection: what it leads to may know less."""
        if self._database.connections != self._connections:
            self._connections = self._database.connections
            self._held.forget(list(self._held.casts))
