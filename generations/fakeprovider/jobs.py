"""The jobs of all dialects: accepted, started, ended, and after a while forgotten. Timers of the event loop, no threads."""

import asyncio
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from .instructions import NOTHING, Instruction
from .settings import Settings

logger = logging.getLogger(__name__)

# The shares of a job's time: it waits in the queue, then works. One that fails does so halfway.
QUEUED_SHARE = 0.2
FAILING_SHARE = 0.5
TOO_LONG = "The work took longer than it may."
# As many requests are remembered to have failed once.
MAX_REMEMBERED = 100_000


class Phase(StrEnum):
    """Where a job is; each dialect has its own words for it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE = frozenset({Phase.QUEUED, Phase.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants done. `origin` is the address under which they reach us, `events` what webhooks they want.

    `longest` is how many seconds the work may take; None when there is no such limit.
    """

    id: str
    dialect: str
    model: str
    inputs: Mapping[str, Any]
    origin: str
    told: Instruction = NOTHING
    callback: str = ""
    events: frozenset[str] = frozenset()
    tags: Mapping[str, Any] = field(default_factory=dict)
    longest: float | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One piece of work. `seconds` are those that it worked, in whole microseconds, and that are billed."""

    order: Order
    number: int
    latency: float
    failure: str = ""
    phase: Phase = Phase.QUEUED
    accepted_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    output: Any = None
    seconds: Decimal = Decimal(0)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None
    deadline: asyncio.TimerHandle | None = None
    began: float = 0.0

    @property
    def id(self) -> str:
        return self.order.id

    @property
    def is_live(self) -> bool:
        return self.phase in LIVE

    @property
    def working_time(self) -> float:
        """Return the seconds of work that were planned, and allowed."""
        return self.order.longest if self.is_too_long and self.order.longest is not None else self._planned

    @property
    def is_too_long(self) -> bool:
        """Tell whether the work would take longer than it may."""
        return self.order.longest is not None and self._planned > self.order.longest

    @property
    def _planned(self) -> float:
        breaks = self.failure not in ("", TOO_LONG)
        return round(self.latency * (1 - QUEUED_SHARE) * (FAILING_SHARE if breaks else 1), 6)

    @property
    def percent(self) -> int:
        """Return how far it is, from the clock."""
        if self.phase in (Phase.QUEUED, Phase.SUCCEEDED):
            return 0 if self.phase == Phase.QUEUED else 100
        whole = round(self.latency * (1 - QUEUED_SHARE), 6)
        return min(99, int(100 * (time.monotonic() - self.began) / whole)) if whole else 99


class JobBook:
    """All jobs that can still be asked for."""

    def __init__(self, settings: Settings, *, made: Callable[[Job], Any], told: Callable[[Job, str], None]) -> None:
        """Take what makes a job's output, and whom to tell of the events `start`, `progress` and `completed`."""
        self._settings = settings
        self._made = made
        self._told = told
        self._jobs: dict[tuple[str, str], Job] = {}
        self._failed_once: OrderedDict[bytes, None] = OrderedDict()
        self._gathering: list[Job] = []
        self.accepted = 0
        self.live = 0
        self.peak = 0

    def accept(self, order: Order) -> Job:
        """Take an order; the job begins by itself. Call it on the event loop."""
        self.accepted += 1
        number = self.accepted
        settings, instruction = self._settings, order.told
        latency = instruction.latency if instruction.latency is not None else settings.latency.at(settings.chance(number, "latency"))
        job = Job(order=order, number=number, latency=latency, failure=self._failure(order, number), accepted_at=datetime.now(UTC))
        if instruction.lose:
            return job  # nobody will ever hear of it again
        self._jobs[order.dialect, order.id] = job
        self.live += 1
        self.peak = max(self.peak, self.live)
        self._gathering.append(job)
        if number >= settings.gather:
            for each in self._gathering:
                if each.is_live:
                    self._later(each, each.latency * QUEUED_SHARE, self._start)
            self._gathering.clear()
        return job

    def find(self, dialect: str, id: str) -> Job | None:  # noqa: A002 - what it is
        return self._jobs.get((dialect, id))

    def of(self, dialect: str) -> list[Job]:
        """Return the jobs of a dialect, the newest first."""
        return sorted((job for (each, _), job in self._jobs.items() if each == dialect), key=lambda job: -job.number)

    def cancel_after(self, job: Job, seconds: float) -> None:
        """Stop a job when it has not ended by then."""
        job.deadline = asyncio.get_running_loop().call_later(seconds, self.cancel, job)

    def cancel(self, job: Job) -> bool:
        """Stop a job. False: it had ended."""
        if not job.is_live:
            return False
        if job.phase == Phase.RUNNING:
            job.seconds = Decimal(str(round(time.monotonic() - job.began, 6)))
        self._end(job, Phase.CANCELLED)
        return True

    def release(self, id: str = "") -> int:  # noqa: A002 - what it is
        """Let the job of that id end, or all that are held. Returns how many."""
        held = [job for job in self._jobs.values() if job.is_live and job.order.told.hold and id in ("", job.id)]
        for job in held:
            if job.timer is not None:
                job.timer.cancel()
            if job.phase == Phase.QUEUED:
                self._begin(job)
            self._finish(job)
        return len(held)

    def _failure(self, order: Order, number: int) -> str:
        if order.told.fail:
            return order.told.fail
        if self._settings.chance(number, "fail") >= self._settings.fail:
            return ""
        digest = hashlib.sha256(json.dumps([order.dialect, order.model, order.inputs], sort_keys=True, default=str).encode()).digest()
        if digest in self._failed_once and not self._settings.fail_always:
            return ""
        self._failed_once[digest] = None
        if len(self._failed_once) > MAX_REMEMBERED:
            self._failed_once.popitem(last=False)
        return "The GPU ran out of memory."

    def _later(self, job: Job, seconds: float, do: Callable[[Job], None]) -> None:
        job.timer = asyncio.get_running_loop().call_later(seconds, do, job)

    def _begin(self, job: Job) -> None:
        job.phase, job.started_at, job.began = Phase.RUNNING, datetime.now(UTC), time.monotonic()
        self._told(job, "start")

    def _start(self, job: Job) -> None:
        self._begin(job)
        self._later(job, job.working_time / 2, self._half)

    def _half(self, job: Job) -> None:
        self._told(job, "progress")
        if not job.order.told.hold:
            self._later(job, job.working_time / 2, self._finish)

    def _finish(self, job: Job) -> None:
        job.seconds = Decimal(str(job.working_time))
        if job.is_too_long:
            job.failure = job.failure or TOO_LONG
        if job.failure:
            self._end(job, Phase.FAILED)
            return
        try:
            job.output = self._made(job) if job.order.told.output is None else job.order.told.output
        except Exception as error:  # whatever the inputs were: a job that ended in an exception would never end
            logger.exception("The output of %s job %s could not be made.", job.order.dialect, job.id)
            job.failure = f"{type(error).__name__}: {error}"
            self._end(job, Phase.FAILED)
            return
        self._end(job, Phase.SUCCEEDED)

    def _end(self, job: Job, phase: Phase) -> None:
        for timer in (job.timer, job.deadline):
            if timer is not None:
                timer.cancel()
        job.phase, job.ended_at = phase, datetime.now(UTC)
        self.live -= 1
        self._later(job, self._settings.forget_seconds, self.forget)
        self._told(job, "completed")
        job.done.set()

    def forget(self, job: Job) -> None:
        """Know nothing of a job any more. One that still works goes on unseen."""
        self._jobs.pop((job.order.dialect, job.id), None)
