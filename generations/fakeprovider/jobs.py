"""One job: what is wanted, where it is, how long it works."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from .identity import Identity
from .instructions import NOTHING, Instruction

# The shares of a job's time: it waits in the queue, then works. One that fails does so halfway.
QUEUED_SHARE = 0.2
FAILING_SHARE = 0.5
# Who worked at all is charged for it.
LEAST_SECONDS = 0.001
TOO_LONG = "The work took longer than it may."


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

    `longest` is how many seconds the work may take, `cancel_after` after how many it is stopped, wherever it is, and
    `forget_after` after how many nobody can ask for it any more; None when there is no such limit. `size` is that of
    the request, in bytes.
    """

    id: str
    dialect: str
    model: str
    inputs: Mapping[str, Any]
    origin: str
    told: Instruction = NOTHING
    callback: str = ""
    events: frozenset[str] = frozenset()
    idempotency_key: str = ""
    metadata: Any = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    longest: float | None = None
    cancel_after: float | None = None
    forget_after: float | None = None
    size: int = 0

    def identity(self, request: str) -> Identity:
        """Return what it is known by, with the fingerprint of what is asked for."""
        return Identity(callback=self.callback, idempotency_key=self.idempotency_key, metadata=self.metadata, request=request)


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One piece of work. `seconds` are those that it worked, in whole microseconds, and that are billed. `is_late`: its time was up."""

    order: Order
    number: int
    latency: float
    whose: Identity
    accepted_at: datetime
    failure: str = ""
    phase: Phase = Phase.QUEUED
    started_at: datetime | None = None
    ended_at: datetime | None = None
    output: Any = None
    seconds: Decimal = Decimal(0)
    is_late: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
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
        return max(LEAST_SECONDS, round(self._whole * (FAILING_SHARE if breaks else 1), 6))

    @property
    def _whole(self) -> float:
        return self.latency * (1 - QUEUED_SHARE)

    @property
    def worked(self) -> float:
        """Return the seconds that it has worked so far."""
        return time.monotonic() - self.began if self.phase == Phase.RUNNING else float(self.seconds)

    @property
    def percent(self) -> int:
        """Return how far it is, from the clock, or how far it came."""
        if self.phase == Phase.SUCCEEDED:
            return 100
        return min(99, int(100 * self.worked / max(LEAST_SECONDS, self._whole)))

    def stop_timers(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
