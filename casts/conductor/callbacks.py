"""The errand of a callback: read by its adapter, its files kept, then applied."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db import models

from casts import inbox
from casts.engine import CastState, Claim, Hint, Unasked
from casts.errands import Errand, put_off, wait_before_retry
from casts.inbox import MAX_TRIES, Letter, Read
from generations.models import Callback
from generations.tools.contract import ToolError

from . import calls
from .errands import BATCH
from .lanes import Place
from .threads import Threads

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Casts that were claimed as their callbacks were taken in, how they stand, and the monotonic time before that."""

    claims: Sequence[Claim]
    left: Mapping[UUID, CastState]
    asked_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """Whoever looks at the casts that ring. `room` tells how many more it may claim now, `take` hands it those that were.

    Both are called on the database thread.
    """

    room: Callable[[], int]
    take: Callable[[Taken], None]
    lease_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A callback that its adapter could not read."""

    errand: Errand
    why: str


class Callbacks:
    """Applies stored callbacks."""

    model: type[models.Model] = Callback
    noted_at_once: int = BATCH

    def __init__(self, *, threads: Threads, taker: Taker | None = None) -> None:
        """Take the threads for reading, and for adapters that block when they are asked. Without a `taker` casts only ring."""
        self._threads = threads
        self._taker = taker

    def load(self, taken: Sequence[Errand]) -> Sequence[Letter]:
        """Return the callbacks to read, without those that took their readers down each time."""
        for errand in taken:
            if errand.attempts > MAX_TRIES:
                inbox.give_up(errand, why="Whoever read it vanished each time.")
        return inbox.load([errand for errand in taken if errand.attempts <= MAX_TRIES])

    async def do(self, job: Letter) -> Read | Unread:
        """Read a callback. One that tells too little is followed by a question to the provider."""
        request, place = job.request, Place(on_free=lambda: None)
        read = partial(calls.read, adapter_key=job.adapter_key, request=request, threads=self._threads.readers, place=place)
        poll = partial(calls.poll, adapter_key=job.adapter_key, request=request, threads=self._threads.errands, place=place)
        try:
            news = None if job.payload is None else await read(payload=job.payload)
        except ToolError as error:
            return Unread(errand=job.errand, why=error.message)
        if news is None and (job.is_awaited or job.cost_is_known or not job.job_id):
            news = Hint()  # the engine polls it, if anybody waits
        if news is None:
            news = await poll(job_id=job.job_id)  # nobody else will ask what it cost
        if isinstance(news, Unasked):
            return Unread(errand=job.errand, why=news.error.message)
        made = tuple(request.workbench.made)
        return Read(errand=job.errand, generation_id=request.generation_id, cast_id=request.cast_id, news=news, made=made)

    def note(self, done: Sequence[Read | Unread]) -> Sequence[UUID]:
        """Apply what was read, and put off what was not. A cast that is taken at once needs no claim of its own, and no doorbell."""
        read = [each for each in done if isinstance(each, Read)]
        if read:
            self._apply(read)
        for each in done:
            if isinstance(each, Unread):
                self.fail(each, why=each.why)
        return [each.cast_id for each in read]

    def _apply(self, read: Sequence[Read]) -> None:
        if self._taker is None:
            inbox.apply(read)
            return
        asked_at = time.monotonic()
        received = inbox.apply(read, room=self._taker.room(), lease_seconds=self._taker.lease_seconds)
        if received.claims:
            self._taker.take(Taken(claims=received.claims, left=received.left, asked_at=asked_at))

    def fail(self, done: Read | Unread, *, why: str) -> None:
        """Try a callback again later, or give it up."""
        errand = done.errand
        logger.error("Callback %d cannot be used (try %d of %d): %s", errand.id, errand.attempts, MAX_TRIES, why)
        if errand.attempts >= MAX_TRIES:
            inbox.give_up(errand, why=why)
            return
        inbox.note(errand, why=why)
        put_off(Callback, [errand], seconds=wait_before_retry(errand))
