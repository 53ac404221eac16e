"""The conductor: an asyncio loop that holds many casts at once.

All that touches the database runs as whole transactions on threads of their own; calls run on the loop or on counted threads.
What is claimed (`claimer`) is held (`holdings`), looked at and settled in batches (`batches`), and by them called (`caller`);
what calls report is held again. Beside that errands are done. The loop is what keeps all of it going, and when to stop.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from casts import engine
from casts.metrics import tallies
from casts.models import ConductorProcess
from casts.models.conductor import ConductorKind

from . import ears
from .batches import BATCH, BATCHES, Batches
from .callbacks import Taken, Taker
from .caller import Caller
from .claimer import Claimer
from .database import DatabaseThreads
from .due import hand_over, is_any_due
from .errands import Errands
from .holdings import Holdings
from .keeper import Keeper, Renewal, enrol
from .kinds import errand_kinds
from .lanes import Lanes
from .pace import Pace
from .reporting import Reporting
from .threads import Threads

logger = logging.getLogger(__name__)


class Conductor:
    """One conductor of casts. `run` returns when it was asked to stop, or when its shift is over."""

    def __init__(
        self,
        *,
        kind: ConductorKind = ConductorKind.PROCESS,
        pace: Pace | None = None,
        coroutines: int = 1000,
        threads: int = 8,
        processes: int = 4,
        batch: int = BATCH,
        must_end: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take how many calls may be at work at once on the loop, on threads and in processes, and how many casts make a batch.

        `must_end` is asked each second.
        """
        self.pace = pace or Pace.of_settings()
        self.ready = asyncio.Event()
        self._kind = kind
        self._must_end = must_end
        self._stopping = False
        self._bells_at = 0.0
        self._ticked_at = time.monotonic()
        self._wake = asyncio.Event()
        wake = self._wake.set
        self._lanes = lanes = Lanes(coroutines=coroutines, threads=threads, processes=processes)
        self._held = held = Holdings(lease_seconds=self.pace.lease)
        self._threads = Threads(each=threads)
        self._database = database = DatabaseThreads(BATCHES if connection.vendor == "postgresql" else 1)
        self._reporting = Reporting(database=database, wake=wake)
        taker = Taker(room=self.room, take=self._take, lease_seconds=self.pace.lease)
        kinds = errand_kinds(threads=self._threads, taker=taker)
        self._errands = Errands(kinds=kinds, database=database, pause_seconds=self.pace.poll, wake=wake, rang=self._rang)
        self._claimer = Claimer(held=held, lanes=lanes, database=database, errands=self._errands, pause_seconds=self.pace.poll, most=batch)
        caller = Caller(held=held, lanes=lanes, threads=self._threads, reporting=self._reporting, wake=wake)
        self._batches = Batches(held=held, lanes=lanes, database=database, caller=caller, claimer=self._claimer, wake=wake, most=batch)

    def stop(self) -> None:
        """Claim no more, let what is in flight end within the grace, hand back the rest. May be called on any thread, and by signals."""
        self._stopping = True
        if self.ready.is_set():  # before that, nothing waits yet
            self._loop.call_soon_threadsafe(self._wake.set)

    def room(self) -> int:
        """Return how many casts may be claimed beside those that are due. May be called on a database thread."""
        return self._claimer.room() if self._batches.may_claim and not self._is_over else 0

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_at = time.monotonic()
        self._row = row = await self._database.run(enrol, kind=self._kind)
        if self.pace.shift is not None:
            self._lanes.limit(seconds=self.pace.shift, overtime=self.pace.overtime)
        keeper = Keeper(
            conductor=row,
            lease_seconds=self.pace.lease,
            held=self._held.claims,
            ticked_at=lambda: min(self._ticked_at, self._database.busy_since),
            in_flight=lambda: len(self._held.work),
            tell=self._tell,
        )
        keeper.start()
        self.ready.set()
        hearing = ears.hear_all(database=self._database, hear=self._heard)
        helpers = [asyncio.create_task(self._tick()), asyncio.create_task(hearing)]
        try:
            await self._conduct()
        finally:
            await self._leave(row=row, keeper=keeper, helpers=helpers)

    async def _tick(self) -> None:
        while True:
            self._ticked_at = time.monotonic()
            if self._must_end():
                self.stop()
            await asyncio.sleep(1)

    async def _conduct(self) -> None:
        drain_until = float("inf")
        while True:
            try:
                await self._hear_bells()
                self._batches.settle()
                self._held.forget(await self._reporting.write_when_due())
                found = self._is_over or await self._claim()
                # after the casts: errands that the database refuses keep nobody from claiming them
                await self._errands.go_on(may_begin=not self._is_over)
                if not found and await self._is_idle():
                    return
            except (DatabaseError, InterfaceError):
                logger.warning("The database cannot be reached; what came back is kept and settled once it can.", exc_info=True)
                await asyncio.sleep(min(1.0, self.pace.lease / 10))
            if self._is_over:
                await self._drain()
                drain_until = min(drain_until, time.monotonic() + (self.pace.grace if self._stopping else self.pace.overtime))
                is_busy = self._batches.is_busy or self._held.work or self._held.reports or self._errands.is_busy
                if time.monotonic() > drain_until or not is_busy:
                    return
            await self._wait(until=drain_until)

    async def _hear_bells(self) -> None:
        """Look now and then whether casts of ours rang: whoever rings may not be heard."""
        if self._held.casts and time.monotonic() >= self._bells_at:
            self._bells_at = time.monotonic() + self.pace.bells
            self._held.rang(await self._database.run(engine.bells, cast_ids=list(self._held.casts)))

    async def _claim(self) -> bool:
        """Take due casts, and advance them. Returns whether there were any, or it is not yet time to look."""
        if time.monotonic() < self._claim_at():
            return True
        claims = await self._claimer.claim()
        if not claims:
            return False
        if claims[0].lost:
            self._batches.look_alone(claims[0].cast_id)
        self._batches.settle()
        return True

    def _claim_at(self) -> float:
        """Return when to claim next: not while others wait to be looked at."""
        return self._claimer.look_at() if self._batches.may_claim and not self._batches.is_behind else float("inf")

    async def _wait(self, *, until: float) -> None:
        """Wait for news, for the next look at a cast of ours, or for the next poll."""
        settle_at = self._batches.settle_at()
        if settle_at <= time.monotonic():
            return
        poll_at = float("inf") if self._is_over else min(self._claim_at(), self._errands.go_on_at())
        moment = min(settle_at, poll_at, self._bells_at if self._held.casts else float("inf"), until, self._reporting.write_at)
        try:
            async with asyncio.timeout(max(0.001, moment - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            pass  # time itself was waited for
        self._wake.clear()

    async def _drain(self) -> None:
        """Start nothing more, and let others know that it is theirs to do."""
        self._lanes.close()
        if not self._row.draining:
            try:
                await self._database.run(hand_over, self._row)
            except (DatabaseError, InterfaceError):
                logger.warning("The database cannot be reached: nobody knows yet that this conductor claims no more.", exc_info=True)

    @property
    def _is_over(self) -> bool:
        shift_is_over = self.pace.shift is not None and time.monotonic() - self._started_at > self.pace.shift
        return self._stopping or shift_is_over

    async def _is_idle(self) -> bool:
        """Tell whether a shift may end before its time: nothing is held, and nothing is due for a while."""
        if self.pace.shift is None or self._held.casts or self._held.reports or self._errands.is_busy:
            return False
        return not await self._database.run(is_any_due, within_seconds=self.pace.linger)

    # What comes in

    def _heard(self, rang: ears.Rang) -> None:
        if rang.errand is not None:
            self._errands.expect(rang.errand)
            self._wake.set()
            return
        ours = [self._held.look_in(cast_id) for cast_id in rang.cast_ids]
        if not ours or not all(ours):
            self._claimer.ask()
        if not ours:  # whatever has rung
            self._bells_at = 0.0
        self._errands.ask()
        self._wake.set()

    def _rang(self, cast_ids: Sequence[UUID]) -> None:
        """Look at casts for which this conductor rang itself. Whatever else came of it has its own bell."""
        for cast_id in cast_ids:
            if not self._held.look_in(cast_id):
                self._claimer.ask()
        self._wake.set()

    def _take(self, taken: Taken) -> None:
        """Hand casts that were claimed with their callbacks from the database thread to the loop."""
        self._loop.call_soon_threadsafe(partial(self._held.take, taken.claims, asked_at=taken.asked_at, known=taken.left))

    def _tell(self, renewal: Renewal) -> None:
        """Hand a renewal from the keeper's thread to the loop."""
        self._loop.call_soon_threadsafe(self._renewed, renewal)

    def _renewed(self, renewal: Renewal) -> None:
        if self._held.renewed(bells=renewal.bells, lost=renewal.lost, asked_at=renewal.asked_at):
            self._wake.set()

    # The end

    async def _leave(self, *, row: ConductorProcess, keeper: Keeper, helpers: Sequence["asyncio.Task[None]"]) -> None:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        await asyncio.to_thread(keeper.stop)
        self._lanes.close()
        try:
            await self._batches.settle_all()
            await self._errands.hand_back()
            claims = self._held.claims()
            if claims:
                logger.warning("%d casts are handed back with calls in flight.", len(claims))
            await self._database.run(engine.hand_back, claims=claims)
            await self._database.run(ConductorProcess.objects.filter(pk=row.pk).delete)
            await self._database.run(tallies.hand_in)
        except (DatabaseError, InterfaceError):
            logger.warning("The database cannot be reached: the claims run out by themselves.", exc_info=True)
        finally:
            self._database.close()
            self._threads.shut_down()
