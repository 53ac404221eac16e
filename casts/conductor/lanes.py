"""Room for calls: the loop for async adapters, counted threads for blocking ones, processes for those that may hang."""

import asyncio
import contextvars
import inspect
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from enum import Enum
from typing import TypeVar

from casts.engine import Turn
from generations.tools import registry
from spells.models import Tool

R = TypeVar("R")


class Lane(Enum):
    """On what a call runs."""

    LOOP = "loop"
    THREAD = "thread"
    PROCESS = "process"
    POLL = "poll"


def lane_of(tool: Tool, *, apart: bool = False) -> Lane:
    """Return where calls of a tool run. One whose adapter is gone fails on the loop, where nothing is blocked by it."""
    try:
        adapter = registry.get(tool.adapter)
    except registry.AdapterNotFound:
        return Lane.LOOP
    if adapter.isolated or apart:
        return Lane.PROCESS
    return Lane.LOOP if inspect.iscoroutinefunction(adapter.run) else Lane.THREAD


CALLS = (Lane.LOOP, Lane.THREAD, Lane.PROCESS)
# Questions for jobs that may be at work at once, beside all calls: neither keeps the other waiting.
POLLS = 200
# Casts that are held until there is room, for each thread.
SEATS_PER_THREAD = 4
# How long a cast is left to others whose call is too long for what is left of a shift: this one would take it again and again.
TOO_LONG_SECONDS = 1.0


class Lanes:
    """How many calls are at work on each lane, how many more may start, and how many casts may be held until they can.

    `ends_at` is when all calls must have ended, on the monotonic clock, and `whole` the seconds that there were for them.
    `short` are the lanes on which a cast found no room. `freed` counts the places that were left there since: as many
    of those that wait may find room.
    """

    def __init__(self, *, coroutines: int, threads: int, processes: int, polls: int = POLLS) -> None:
        """Take the room of each lane, in calls, or in polls."""
        self.room = {Lane.LOOP: coroutines, Lane.THREAD: threads, Lane.PROCESS: processes, Lane.POLL: polls}
        self.taken: Counter[Lane] = Counter()
        self.seats = SEATS_PER_THREAD * threads
        self.ends_at = self.whole = float("inf")
        self.short: set[Lane] = set()
        self.freed = 0

    def free(self) -> int:
        """Return for how many calls there is room on the lane that has most."""
        return max(self.room[lane] - self.taken[lane] for lane in CALLS)

    def limit(self, *, seconds: float, overtime: float) -> None:
        """Let calls start for so many seconds from now, and only those that will have ended at the end of the overtime."""
        self.ends_at, self.whole = time.monotonic() + seconds + overtime, seconds

    def close(self) -> None:
        """Let no new call start. Polls go on: nobody else may ask after the jobs of casts that are held here."""
        self.room = {**dict.fromkeys(CALLS, 0), Lane.POLL: self.room[Lane.POLL]}
        self.seats = 0

    def occupy(self, lane: Lane, *, then: Callable[[], None]) -> "Place":
        """Take a place on a lane. `then` is called once it is free again."""
        self.taken[lane] += 1

        def free() -> None:
            self.taken[lane] -= 1
            self.freed += lane in self.short
            then()

        return Place(on_free=free)

    def reserve(self, *, waiting: int = 0, beside: Iterable[Turn] = ()) -> "Reservation":
        """Return the room that is free while so many casts wait, without what turns `beside` will take of it."""
        free = {lane: self.room[lane] - self.taken[lane] for lane in Lane}
        longest = float("inf") if self.ends_at - time.monotonic() >= self.whole else self.ends_at - time.monotonic()
        reservation = Reservation(free=free, seats=self.seats - waiting, short=self.short, longest=longest)
        for turn in beside:
            reservation.seats -= turn.waits
            reservation.left[Lane.POLL] -= len(turn.polls())
            for call in turn.calls:
                step = turn.state.step(call.step_id)
                reservation.take(turn.state.tools[step.tool_id], apart=turn.is_apart_at((call.step_id, call.item)))
        return reservation


class Place:
    """The place of one call on its lane. A call that outlives its time on a thread keeps it until the thread is done."""

    def __init__(self, *, on_free: Callable[[], None]) -> None:
        """Take what to do when the place is free."""
        self._on_free = on_free
        self._in_thread = False

    def submit(self, threads: Executor, function: Callable[[], R]) -> "tuple[Future[R], asyncio.Event]":
        """Have a function run on a thread, and tell when one has taken it up. From now on the thread alone frees the place."""
        loop, taken_up = asyncio.get_running_loop(), asyncio.Event()
        context = contextvars.copy_context()

        def run() -> R:
            if not loop.is_closed():
                loop.call_soon_threadsafe(taken_up.set)
            return context.run(function)

        future = threads.submit(run)
        self._in_thread = True
        future.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._on_free))
        return future, taken_up

    def leave(self) -> None:
        """Free the place, unless a thread still stands on it."""
        if not self._in_thread:
            self._on_free()


class Reservation:
    """The room that one transaction may fill. If the transaction fails, nothing has to be given back."""

    def __init__(self, *, free: dict[Lane, int], seats: int, short: set[Lane], longest: float) -> None:
        """Take the calls that may start on each lane, the casts that may wait, and where to note the lanes that are full.

        `longest` is how many seconds a call may take. Nobody waits here for one that may take longer.
        """
        self.left = free
        self.seats = seats
        self._longest = longest
        self._leave_for = 0.0
        self._short = short

    def has_room(self, tool: Tool, *, apart: bool, seconds: float) -> bool:
        if seconds > self._longest:
            self.seats, self._leave_for = 0, TOO_LONG_SECONDS
            return False
        lane = lane_of(tool, apart=apart)
        if self.left[lane] <= 0:
            self._short.add(lane)
        return self.left[lane] > 0

    def take(self, tool: Tool, *, apart: bool) -> None:
        self.left[lane_of(tool, apart=apart)] -= 1

    def may_poll(self) -> bool:
        self.left[Lane.POLL] -= 1
        return self.left[Lane.POLL] >= 0

    def may_wait(self) -> bool:
        self.seats -= 1
        return self.seats >= 0

    def leave_for(self) -> float:
        return self._leave_for
