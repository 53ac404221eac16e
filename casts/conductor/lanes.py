"""Room for calls: the loop for async adapters, counted threads for blocking ones, processes for those that may hang."""

import asyncio
import contextvars
import inspect
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from enum import Enum
from typing import TypeVar

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
    of those that wait may find room. Places are promised on database threads, taken and left on the loop.

    `waiting` is how many casts sit on seats, as far as the loop has heard: those that were granted since are promised.
    """

    def __init__(self, *, coroutines: int, threads: int, processes: int, polls: int = POLLS) -> None:
        """Take the room of each lane, in calls, or in polls."""
        self.room = {Lane.LOOP: coroutines, Lane.THREAD: threads, Lane.PROCESS: processes, Lane.POLL: polls}
        self.taken: Counter[Lane] = Counter()
        self.seats = SEATS_PER_THREAD * threads
        self.waiting = 0
        self.ends_at = self.whole = float("inf")
        self.short: set[Lane] = set()
        self.freed = 0
        self._promised: Counter[Lane] = Counter()
        self._seats_promised = 0
        self._lock = threading.Lock()

    def free(self) -> int:
        """Return for how many calls there is room on the lane that has most."""
        return max(self._left(lane) for lane in CALLS)

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

    def reserve(self, *, seated: int = 0) -> "Reservation":
        """Return what promises room to a set, so many casts of which have seats. It must be given back."""
        left = self.ends_at - time.monotonic()
        return Reservation(self, seated=min(seated, self.seats), longest=float("inf") if left >= self.whole else left)

    def promise(self, lane: Lane) -> bool:
        """Set aside a place on a lane, if there is one left."""
        with self._lock:
            has_room = self._left(lane) > 0
            self._promised[lane] += has_room
        return has_room

    def promise_seat(self) -> bool:
        """Set aside a seat beside those that are taken, if there is one left."""
        with self._lock:
            has_room = self.seats - self.waiting - self._seats_promised > 0
            self._seats_promised += has_room
        return has_room

    def take_back(self, promised: "Counter[Lane]", *, seats: int, unused: "Counter[Lane]") -> None:
        """Take back what was set aside: it is taken now, or was not needed. Whoever found the unused taken may look again."""
        with self._lock:
            self._promised.subtract(promised)
            self._seats_promised -= seats
        self.freed += sum(number for lane, number in unused.items() if lane in self.short)

    def _left(self, lane: Lane) -> int:
        return self.room[lane] - self.taken[lane] - self._promised[lane]


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
    """The room that one set may fill, set aside place by place, so that another set at the same time finds what is left.

    A set may be settled in parts, each in a transaction of its own: what a part took is kept if it was committed.
    """

    def __init__(self, lanes: Lanes, *, seated: int, longest: float) -> None:
        """Take how many casts of the set have seats, which they may keep. `longest` is how many seconds a call may take."""
        self._lanes = lanes
        self._seated = seated
        self._longest = longest
        self._promised: Counter[Lane] = Counter()
        self._kept: Counter[Lane] = Counter()
        self._seats_promised = 0
        self._seats_kept = 0

    def slots(self) -> "RoomForPart":
        """Return the room for one part of the set."""
        return RoomForPart(self, longest=self._longest)

    def keep(self, part: "RoomForPart") -> None:
        """Note that a part was committed: what it took is no more to be had by the next one."""
        self._kept += part.taken
        self._seats_kept += part.seats

    def give_back(self) -> None:
        """Let go of everything: the calls of the set have taken their places by now, or will never be made."""
        self._lanes.take_back(self._promised, seats=self._seats_promised, unused=self._promised - self._kept)
        self._promised, self._seats_promised = Counter(), 0

    def has(self, lane: Lane, *, beside: int) -> bool:
        """Tell whether there is a place for this set on a lane, beside so many that a part of it has taken."""
        if self._promised[lane] > self._kept[lane] + beside:
            return True
        if self._lanes.promise(lane):
            self._promised[lane] += 1
            return True
        if lane in CALLS:
            self._lanes.short.add(lane)
        return False

    def has_seat(self, *, beside: int) -> bool:
        """Tell whether one more cast of this set may wait, beside so many of the same part."""
        if self._seated + self._seats_promised > self._seats_kept + beside:
            return True
        granted = self._lanes.promise_seat()
        self._seats_promised += granted
        return granted


class RoomForPart:
    """The room that one transaction may fill: the `Slots` of the engine. If it fails, nothing has to be given back."""

    def __init__(self, reservation: Reservation, *, longest: float) -> None:
        """Take what promises the room. Nobody waits here for a call that may take longer than so many seconds."""
        self.taken: Counter[Lane] = Counter()
        self.seats = 0
        self._reservation = reservation
        self._longest = longest
        self._leave_for = 0.0

    def begin(self) -> None:
        self.taken.clear()
        self.seats, self._leave_for = 0, 0.0

    def has_room(self, tool: Tool, *, apart: bool, seconds: float) -> bool:
        if seconds > self._longest:
            self._leave_for = TOO_LONG_SECONDS
            return False
        lane = lane_of(tool, apart=apart)
        return self._reservation.has(lane, beside=self.taken[lane])

    def take(self, tool: Tool, *, apart: bool) -> None:
        self.taken[lane_of(tool, apart=apart)] += 1

    def may_poll(self) -> bool:
        has_room = self._reservation.has(Lane.POLL, beside=self.taken[Lane.POLL])
        self.taken[Lane.POLL] += has_room
        return has_room

    def may_wait(self) -> bool:
        has_seat = not self._leave_for and self._reservation.has_seat(beside=self.seats)
        self.seats += has_seat
        return has_seat

    def leave_for(self) -> float:
        return self._leave_for
