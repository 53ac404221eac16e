"""What calls say of themselves while they are at work, from the loop, a thread or a child: the newest is kept, and written now and then."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from casts.engine import Reported, keep_reported, shown_progress
from generations.answers import clean_answer
from generations.artifacts import referenced_ids
from generations.keeping import keep
from generations.tools import registry
from generations.tools.contract import Progress, RemoteFile, Request

from .database import Database, in_halves
from .settling import Order

logger = logging.getLogger(__name__)

WRITE_SECONDS = 1.0
PREVIEW_SECONDS = 10.0


@dataclass(slots=True)
class _Call:
    """A call at work: what it said last, and the preview that is being fetched for it, if one is."""

    order: Order
    adapter_key: str
    progress: dict[str, Any] | None = None
    fetching: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class Reporting:
    """Listens to the calls of a conductor. `write_at` is when to write next (monotonic); infinite while nothing was said."""

    database: Database
    wake: Callable[[], None]
    write_at: float = float("inf")
    _calls: dict[UUID, _Call] = field(default_factory=dict)
    _fresh: set[UUID] = field(default_factory=set)
    _written_at: float = 0.0

    def listen(self, order: Order, adapter_key: str) -> Request:
        """Return the request of a call with somebody who listens. What is said may come from any thread."""
        loop, generation_id = asyncio.get_running_loop(), order.request.generation_id
        self._calls[generation_id] = _Call(order, adapter_key)

        def hear(progress: Progress) -> None:
            if not loop.is_closed():  # a thread may outlive it
                loop.call_soon_threadsafe(self._hear, generation_id, progress)

        return replace(order.request, on_progress=hear)

    def forget(self, generation_id: UUID) -> None:
        """Listen no more: the call has ended, and its report says the rest."""
        call = self._calls.pop(generation_id, None)
        self._fresh.discard(generation_id)
        if call is not None and call.fetching is not None:
            call.fetching.cancel()

    async def write_when_due(self) -> Collection[UUID]:
        """Write what was said since, as a set, at most once a second. Returns the casts of those that said something."""
        if time.monotonic() < self.write_at:
            return ()
        fresh, self._fresh = self._fresh, set()
        self._written_at, self.write_at = time.monotonic(), float("inf")
        calls = [self._calls[generation_id] for generation_id in fresh]
        try:
            await self.database.run(_write, [_reported(call) for call in calls])
        except (DatabaseError, InterfaceError):
            self._fresh |= fresh & self._calls.keys()
            self.write_at = self._written_at + WRITE_SECONDS
            raise
        return {call.order.request.cast_id for call in calls}

    def _hear(self, generation_id: UUID, progress: Progress) -> None:
        call = self._calls.get(generation_id)
        if call is None or not isinstance(progress, Progress):
            return
        if isinstance(progress.preview, RemoteFile):
            if call.fetching is None:  # one at a time: the next preview is not far
                call.fetching = asyncio.create_task(self._fetch(call, progress))
            progress = replace(progress, preview=None)
        news = clean_answer(progress)
        assert isinstance(news, Progress)
        call.progress = shown_progress(call.progress, news)
        self._fresh.add(generation_id)
        self.write_at = min(self.write_at, self._written_at + WRITE_SECONDS)
        self.wake()

    async def _fetch(self, call: _Call, progress: Progress) -> None:
        """Keep a preview that is still over there, and say it again."""
        request = call.order.request
        kept = await keep(progress, request=request, adapter=registry.get(call.adapter_key), seconds=PREVIEW_SECONDS)
        call.fetching = None
        if isinstance(kept, Progress) and kept.preview is not None:
            self._hear(request.generation_id, replace(kept, percent=None, stage=""))


def _reported(call: _Call) -> Reported:
    assert call.progress is not None
    turn, request = call.order.turn, call.order.request
    shown = referenced_ids(call.progress["preview"])
    return Reported(
        generation_id=request.generation_id,
        epoch=turn.state.claim.epoch,
        owner_id=turn.state.cast.initiator_id,
        progress=call.progress,
        made=tuple(stored for stored in list(request.workbench.made) if stored.id in shown),
    )


def _write(reported: Sequence[Reported]) -> None:
    """Write what calls said, as a set if that works. What the database refuses is dropped: the next word of that call is not far."""

    def spare(one: Reported, error: Exception) -> None:
        logger.error("How far generation %s is cannot be written: %r", one.generation_id, one.progress, exc_info=error)

    in_halves(reported, keep_reported, spare=spare)
