"""The jobs of all dialects: accepted, started, ended, and after a while forgotten. Timers of the event loop, no threads."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from .identity import fingerprint
from .jobs import LEAST_SECONDS, QUEUED_SHARE, TOO_LONG, Job, Order, Phase
from .settings import Settings

logger = logging.getLogger(__name__)

# As many requests are remembered to have failed once.
MAX_REMEMBERED = 100_000


class Watcher(Protocol):
    """Whom the book tells of its jobs."""

    def accepted(self, job: Job) -> None:
        """Take note of a job that was accepted."""

    def made(self, job: Job) -> Any:
        """Return the output of a job that succeeds. Whatever it raises fails the job."""

    def told(self, job: Job, event: str) -> None:
        """Take note of an event of a job: `start`, `progress`, `completed`."""


class JobBook:
    """All jobs that can still be asked for."""

    def __init__(self, settings: Settings, watcher: Watcher) -> None:
        """Take whom to tell of jobs."""
        self._settings = settings
        self._watcher = watcher
        self._jobs: dict[tuple[str, str], Job] = {}
        self._keyed: dict[tuple[str, str, str], Job] = {}
        self._kept: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._kept_bytes = 0
        self._failed_once: OrderedDict[str, None] = OrderedDict()
        self._gathering: list[Job] = []
        self.accepted = 0
        self.live = 0
        self.peak = 0

    def accept(self, order: Order) -> Job:
        """Take an order; the job begins by itself. A second one under its idempotency key is the first. Call it on the event loop."""
        request = fingerprint(dialect=order.dialect, model=order.model, inputs=order.inputs)
        if known := self._keyed.get((order.dialect, order.idempotency_key, request)):
            return known
        number = self.accepted + 1
        settings, told = self._settings, order.told
        job = Job(
            order=order,
            number=number,
            latency=settings.latency.at(settings.chance(number, "latency")) if told.latency is None else told.latency,
            whose=order.identity(request),
            failure=told.fail or self._drawn_failure(number, request),
            accepted_at=datetime.now(UTC),
        )
        self._watcher.accepted(job)
        self.accepted = number
        if told.lose:  # nobody will ever hear of it again
            job.done.set()
            return job
        self.take_up(job)
        return job

    def take_up(self, job: Job) -> None:
        """Let a job that was accepted begin, now or after a restart; one that has ended can be asked for again."""
        order = job.order
        self.accepted = max(self.accepted, job.number)
        self._jobs[order.dialect, order.id] = job
        if order.idempotency_key:
            self._keyed[order.dialect, order.idempotency_key, job.whose.request] = job
        age = (datetime.now(UTC) - job.accepted_at).total_seconds()
        if not job.is_live:
            job.done.set()
            self._keep(job)
            return
        self.live += 1
        self.peak = max(self.peak, self.live)
        for seconds, do in ((order.cancel_after, self._time_is_up), (order.forget_after, self.forget)):
            if seconds is not None:
                self._later(job, max(0.0, seconds - age), do)
        self._gathering.append(job)
        if job.number >= self._settings.gather:
            for each in self._gathering:
                if each.is_live:
                    self._later(each, each.latency * QUEUED_SHARE, self._start)
            self._gathering.clear()

    def find(self, dialect: str, id: str) -> Job | None:  # noqa: A002 - what it is
        return self._jobs.get((dialect, id))

    def of(self, dialect: str) -> list[Job]:
        """Return the jobs of a dialect, the newest first."""
        return sorted((job for (each, _), job in self._jobs.items() if each == dialect), key=lambda job: -job.number)

    def cancel(self, job: Job) -> bool:
        """Stop a job. False: it had ended."""
        if not job.is_live:
            return False
        if job.phase == Phase.RUNNING:
            job.seconds = Decimal(str(max(LEAST_SECONDS, round(job.worked, 6))))
        self._end(job, Phase.CANCELLED)
        return True

    def release(self, id: str = "") -> int:  # noqa: A002 - what it is
        """Let the job of that id end, or all that are held. Returns how many."""
        held = [job for job in self._jobs.values() if job.is_live and job.order.told.hold and id in ("", job.id)]
        for job in held:
            if job.phase == Phase.QUEUED:
                self._begin(job)
            self._finish(job)
        return len(held)

    def forget(self, job: Job) -> None:
        """Know nothing of a job any more. One that still works goes on unseen."""
        place = job.order.dialect, job.order.id
        self._jobs.pop(place, None)
        self._keyed.pop((job.order.dialect, job.order.idempotency_key, job.whose.request), None)
        self._kept_bytes -= self._kept.pop(place, 0)
        if not job.is_live:
            job.stop_timers()  # they hold the job, and all that was sent with it

    def _time_is_up(self, job: Job) -> None:
        job.is_late = job.is_live
        self.cancel(job)

    def _drawn_failure(self, number: int, request: str) -> str:
        if self._settings.chance(number, "fail") >= self._settings.fail:
            return ""
        if request in self._failed_once and not self._settings.fail_always:
            return ""
        self._failed_once[request] = None
        if len(self._failed_once) > MAX_REMEMBERED:
            self._failed_once.popitem(last=False)
        return "The GPU ran out of memory."

    def _later(self, job: Job, seconds: float, do: Callable[[Job], None]) -> None:
        job.timers.append(asyncio.get_running_loop().call_later(seconds, do, job))

    def _begin(self, job: Job) -> None:
        job.phase, job.started_at, job.began = Phase.RUNNING, datetime.now(UTC), time.monotonic()
        self._tell(job, "start")

    def _start(self, job: Job) -> None:
        self._begin(job)
        self._later(job, job.working_time / 2, self._half)

    def _half(self, job: Job) -> None:
        self._tell(job, "progress")
        if not job.order.told.hold:
            self._later(job, job.working_time / 2, self._finish)

    def _finish(self, job: Job) -> None:
        job.seconds = Decimal(str(job.working_time))
        if job.is_too_long:
            job.failure = job.failure or TOO_LONG
        if not job.failure:
            try:
                job.output = self._watcher.made(job) if job.order.told.output is None else job.order.told.output
            except Exception as error:  # whatever the inputs were: a job that ended in an exception would never end
                logger.exception("The output of %s job %s could not be made.", job.order.dialect, job.id)
                job.failure = f"{type(error).__name__}: {error}"
        self._end(job, Phase.FAILED if job.failure else Phase.SUCCEEDED)

    def _end(self, job: Job, phase: Phase) -> None:
        job.stop_timers()
        job.phase, job.ended_at = phase, datetime.now(UTC)
        self.live -= 1
        self._keep(job)
        self._tell(job, "completed")
        job.done.set()

    def _keep(self, job: Job) -> None:
        """Keep a job that ended for a while, and as many of them as there is room for."""
        place = job.order.dialect, job.order.id
        if place not in self._jobs:
            return
        now, order = datetime.now(UTC), job.order
        rest = self._settings.forget_seconds - (now - (job.ended_at or now)).total_seconds()
        if order.forget_after is not None:
            rest = min(rest, order.forget_after - (now - job.accepted_at).total_seconds())
        self._later(job, max(0.0, rest), self.forget)
        self._kept[place] = job.order.size
        self._kept_bytes += job.order.size
        while self._kept_bytes > self._settings.max_kept_bytes:
            self.forget(self._jobs[next(iter(self._kept))])

    def _tell(self, job: Job, event: str) -> None:
        """Tell of a job. That nobody could be told does not hold the job up: it would never end."""
        try:
            self._watcher.told(job, event)
        except Exception:
            logger.exception("Of %s job %s nobody could be told that it came to %s.", job.order.dialect, job.id, event)
