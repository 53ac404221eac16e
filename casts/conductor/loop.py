"""The conductor: an asyncio loop that holds many casts at once.

All that touches the database runs as whole transactions on threads of their own; calls run on the loop or on counted threads.
Results are settled in the batches in which they arrive while a batch is being settled; where there is much to settle, two
batches are, of different casts: one is computed while the other waits for the database.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection, models

from casts import engine
from casts.clock import database_now
from casts.engine import Aborted, Claim, News, Report, Unasked, Via
from casts.metrics import tallies
from casts.models import ConductorProcess
from casts.models.conductor import SILENCE_SECONDS, ConductorKind
from generations.tools.contract import ToolError

from . import calls, ears
from .callbacks import Taken, Taker
from .database import DatabaseThreads
from .due import claim_due, hand_over, is_any_due
from .errands import Errands, Load
from .holdings import Batch, Holdings, Work
from .keeper import Keeper, Renewal
from .kinds import errand_kinds
from .lanes import Lane, Lanes, Place, lane_of
from .pace import Pace
from .reporting import Reporting
from .settling import Order, Settled, settle
from .threads import Threads

logger = logging.getLogger(__name__)

# Casts taken, and results settled, in one transaction.
BATCH = 50
# Batches that are settled at once. SQLite has one writer at a time: there it is one.
BATCHES = 2
# How long fewer than a whole batch wait for one that is being settled. It may itself wait, for a lock that another holds.
PATIENCE_SECONDS = 0.1
# How long to claim nothing after casts were found for which there is no room; others behind them may need another lane.
CROWDED_SECONDS = 0.2


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
        must_end: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take how many calls may be at work at once on the loop, on threads and in processes. `must_end` is asked each second."""
        self.pace = pace or Pace.of_settings()
        self.ready = asyncio.Event()
        self._kind = kind
        self._must_end = must_end
        self._lanes = Lanes(coroutines=coroutines, threads=threads, processes=processes)
        self._held = Holdings(lease_seconds=self.pace.lease)
        self._threads = Threads(each=threads)
        self._database = DatabaseThreads(BATCHES if connection.vendor == "postgresql" else 1)
        self._connections = 0
        self._settling: dict[asyncio.Task[None], float] = {}  # since when, monotonic
        self._suspect: UUID | None = None  # which is to be looked at alone
        self._wake = asyncio.Event()
        self._reporting = Reporting(database=self._database, wake=self._wake.set)
        self._errands = Errands(
            kinds=errand_kinds(threads=self._threads, taker=Taker(room=self._room, take=self._take, lease_seconds=self.pace.lease)),
            database=self._database,
            pause_seconds=self.pace.poll,
            wake=self._wake.set,
            rang=self._rang,
        )
        self._stopping = False
        self._poll_at = 0.0
        self._crowded_until = 0.0
        self._bells_at = 0.0
        self._ticked_at = time.monotonic()

    def stop(self) -> None:
        """Claim no more, let what is in flight end within the grace, hand back the rest. Safe in a signal handler of the loop."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_at = time.monotonic()
        self._row = row = await self._database.run(self._enrol)
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

    def _enrol(self) -> ConductorProcess:
        now = database_now()
        alive_until = now + timedelta(seconds=SILENCE_SECONDS)
        return ConductorProcess.objects.create(
            kind=self._kind, host=socket.gethostname(), pid=os.getpid(), started_at=now, alive_until=alive_until
        )

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
                await self._settle()
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
                is_busy = self._settling or self._held.work or self._held.reports or self._errands.is_busy
                if time.monotonic() > drain_until or not is_busy:
                    return
            await self._wait(until=drain_until)

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

    async def _wait(self, *, until: float) -> None:
        """Wait for news, for the next look at a cast of ours, or for the next poll."""
        if not self._settling and self._held.has_any():
            return
        next_look = self._look_beside() if self._settling else self._held.next_look()
        poll_at = float("inf") if self._is_over else min(self._claim_at(), self._errands.look_at)
        moment = min(next_look, poll_at, self._bells_at if self._held.casts else float("inf"), until, self._reporting.write_at)
        try:
            async with asyncio.timeout(max(0.001, moment - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            pass  # time itself was waited for
        self._wake.clear()

    def _look_beside(self) -> float:
        """Return when to begin another batch beside those that are being settled; infinity where their end is to be waited for."""
        if len(self._settling) >= self._database.most or self._suspect is not None:
            return float("inf")
        return max(self._settling.values()) + PATIENCE_SECONDS if self._held.has_any() else self._held.next_look()

    # What comes in

    def _heard(self, cast_ids: Sequence[UUID]) -> None:
        ours = [self._held.look_in(cast_id) for cast_id in cast_ids]
        if not ours or not all(ours):
            self._poll_at = 0.0
        if not ours:  # whatever has rung
            self._bells_at = 0.0
        self._errands.ask()
        self._wake.set()

    def _rang(self, cast_ids: Sequence[UUID]) -> None:
        """Look at casts for which this conductor rang itself. Whatever else came of it has its own bell."""
        for cast_id in cast_ids:
            if not self._held.look_in(cast_id):
                self._poll_at = 0.0
        self._wake.set()

    def _room(self) -> int:
        """Return how many casts may be claimed beside those that are due."""
        if self._is_over or self._must_wait or time.monotonic() < self._crowded_until:
            return 0
        return min(BATCH, self._lanes.free())

    @property
    def _must_wait(self) -> bool:
        """Tell whether no cast may be claimed: a suspect is looked at, or the database keeps us waiting until renewals are at stake."""
        return self._suspect is not None or time.monotonic() - self._database.busy_since > self.pace.lease / 3

    def _take(self, taken: Taken) -> None:
        """Hand casts that were claimed with their callbacks from the database thread to the loop."""
        self._loop.call_soon_threadsafe(partial(self._held.take, taken.claims, asked_at=taken.asked_at, known=taken.left))

    def _tell(self, renewal: Renewal) -> None:
        """Hand a renewal from the keeper's thread to the loop."""
        self._loop.call_soon_threadsafe(self._renewed, renewal)

    def _renewed(self, renewal: Renewal) -> None:
        for cast_id in renewal.bells:
            if cast_id in self._held.casts:
                self._held.casts[cast_id].lease_ends = renewal.asked_at + self.pace.lease
        for claim in renewal.lost:
            self._held.lose(claim)
        if self._held.rang(renewal.bells):
            self._wake.set()

    # What is done

    async def _claim(self) -> bool:
        """Take due casts, and advance them. Returns whether there were any, or it is not yet time to look."""
        now = time.monotonic()
        if now < self._claim_at():
            return True
        self._poll_at = now + self.pace.poll
        limit = min(BATCH, self._lanes.free())
        kinds = self._errands.begin_look()
        claims, due, load = await self._database.run(self._look, limit, kinds)
        self._errands.see(due, load)
        if claims:
            if len(claims) == limit or claims[0].lost:
                self._poll_at = 0.0  # there may be more
            self._held.take(claims, asked_at=now)
            self._suspect = claims[0].cast_id if claims[0].lost else None
            await self._settle()
        return bool(claims)

    def _look(self, limit: int, kinds: Sequence[type[models.Model]]) -> tuple[list[Claim], Sequence[type[models.Model]], Load | None]:
        """Claim due casts, or if there are none take errands, on the database thread: each way there takes its time."""
        claims, due = claim_due(limit=limit, lease_seconds=self.pace.lease, kinds=kinds)
        try:
            return claims, due, None if claims else self._errands.take(due)
        except DatabaseError:
            logger.warning("Errands are due that cannot be taken with casts; they are taken by themselves.", exc_info=True)
            return claims, due, None

    def _claim_at(self) -> float:
        """Return when to claim next: not while others wait to be looked at, nor while they wait for room, unless they have done so for a while."""
        if self._must_wait or (self._settling and self._held.to_look_at()):
            return float("inf")
        return max(self._poll_at, self._crowded_until) if self._held.waiting() else self._poll_at

    async def _settle(self) -> None:
        """Begin to settle what came back, and to look at those of our casts that need it.

        One batch is begun with whatever there is, another beside it only if it is a whole one, or has waited: many small ones cost more.
        What kept an earlier batch from being settled is raised.
        """
        self._note_settled()
        if self._held.casts and time.monotonic() >= self._bells_at:
            self._bells_at = time.monotonic() + self.pace.bells
            self._held.rang(await self._database.run(engine.bells, cast_ids=list(self._held.casts)))
        asked = self._held.look_at_starved(most=self._lanes.freed)
        # what is left is for those of whom it is heard only when their batches end that they found no room
        self._lanes.freed = min(self._lanes.freed - asked, len(self._held.busy))
        while len(self._settling) < self._database.most:
            self._forget_after_reconnection()
            batch = self._begin()
            if batch is None:
                return
            self._settling[asyncio.create_task(self._settle_batch(batch))] = time.monotonic()

    def _begin(self) -> Batch | None:
        """Return the next batch, if it may begin now: a suspect alone, with nothing beside it that it could take along."""
        if self._suspect is not None and self._suspect not in self._held.casts:
            self._suspect = None
        if self._suspect is not None:
            return None if self._settling else self._held.begin(most=1, alone=self._suspect)
        is_patient = self._settling and time.monotonic() < max(self._settling.values()) + PATIENCE_SECONDS
        return self._held.begin(most=BATCH, least=BATCH if is_patient else 1)

    async def _settle_batch(self, batch: Batch) -> None:
        is_settled = False
        try:
            settled = await self._database.run(
                settle,
                reports=batch.reports,
                claimed=batch.claimed,
                known=batch.known,
                lanes=self._lanes,
                waiting=batch.waiting,
                in_flight=batch.in_flight,
            )
            is_settled = True
            self._forget_after_reconnection()
            self._take_in(settled)
        finally:
            if is_settled and self._suspect in batch.cast_ids:
                self._suspect = None
            if self._held.end(batch, is_settled=is_settled):
                self._poll_at = 0.0
            self._wake.set()

    async def _settle_all(self) -> None:
        """Settle what came back. Raises what keeps it from being settled."""
        while self._settling or self._held.reports:
            if self._settling:
                await asyncio.wait(self._settling)
                self._note_settled()
            else:
                await self._settle()

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

    def _take_in(self, settled: Settled) -> None:
        try:
            for claim in settled.gone:
                self._held.lose(claim)
            if any(turn.starved and not turn.is_held and not turn.leave_for for turn in settled.turns):
                self._poll_at, self._crowded_until = 0.0, time.monotonic() + CROWDED_SECONDS
            for turn in settled.turns:
                self._held.settle(turn, left=settled.left.get(turn.state.cast.pk))
                for generation_id in turn.aborts():
                    self._abort(generation_id)
            for order in settled.orders:
                self._start(order)
        finally:
            settled.room.give_back()

    def _start(self, order: Order) -> None:
        """Start a call or a poll."""
        request, cast_id = order.request, order.request.cast_id
        if not self._held.has_margin(order.turn.state.claim):
            self._held.look_in(cast_id, seconds=0.2)  # the lease may end first: another look finds the call unmade
            return
        tool = next(tool for tool in order.turn.state.tools.values() if tool.slug == request.tool)
        lane = lane_of(tool, apart=order.apart) if order.asked is None else Lane.POLL
        place = self._lanes.occupy(lane, then=self._wake.set)
        task = asyncio.create_task(self._make(order, tool.adapter, place))
        self._held.work[request.generation_id] = Work(cast_id=cast_id, task=task)

    async def _make(self, order: Order, adapter_key: str, place: Place) -> None:
        """Make a call or a poll, and report on it."""
        request = order.request
        news: News
        try:
            if order.asked is None:
                request = self._reporting.listen(order, adapter_key)
                threads = self._threads.calls
                news = await calls.run(adapter_key=adapter_key, request=request, threads=threads, place=place, apart=order.apart)
            else:
                threads, job_id = self._threads.polls, order.asked.job_id
                news = await calls.poll(adapter_key=adapter_key, request=request, job_id=job_id, threads=threads, place=place)
        except BaseException as error:  # noqa: BLE001 - a call that reports on nothing would be waited for for ever
            news = self._broken_off(order, error)
        finally:
            place.leave()
        self._held.work.pop(request.generation_id, None)
        self._reporting.forget(request.generation_id)
        via = Via.RUN if order.asked is None else Via.POLL
        made, claim = tuple(request.workbench.made), order.turn.state.claim
        self._held.reports.append(
            Report(generation_id=request.generation_id, claim=claim, via=via, news=news, made=made, asked=order.asked)
        )
        self._wake.set()

    def _broken_off(self, order: Order, error: BaseException) -> News:
        """Return what to report where no answer came: we stopped it ourselves, or its adapter did what none may do."""
        work = self._held.work.get(order.request.generation_id)
        if work is not None and work.aborted:
            return Aborted(reason="Its cast was stopped.")
        logger.error("The call of generation %s ended in no answer", order.request.generation_id, exc_info=error)
        told = ToolError(f"The call ended in {type(error).__name__}.", code="adapter_crashed", ambiguous=True)
        return told if order.asked is None else Unasked(error=told, poll_after=calls.ASK_AGAIN_SECONDS)

    def _abort(self, generation_id: UUID) -> None:
        if work := self._held.work.get(generation_id):
            work.abort()

    # The end

    async def _leave(self, *, row: ConductorProcess, keeper: Keeper, helpers: Sequence["asyncio.Task[None]"]) -> None:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        await asyncio.to_thread(keeper.stop)
        self._lanes.close()
        try:
            await self._settle_all()
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
