"""The errand of an export: some of its files are read on a thread, and what was found is noted; then the next ones."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from uuid import UUID

from django.db import models

from casts.cooks import preparing
from casts.cooks.preparing import Prepared, Slice
from casts.errands import Errand
from casts.models import Export

logger = logging.getLogger(__name__)


class Exports:
    """Prepares exports, a slice at a time."""

    model: type[models.Model] = Export
    noted_at_once: int = 1

    def __init__(self, *, threads: Executor) -> None:
        """Take the threads to read on."""
        self._threads = threads

    def load(self, taken: Sequence[Errand]) -> Sequence[Slice]:
        return preparing.load(taken)

    async def do(self, job: Slice) -> Prepared:
        return await asyncio.get_running_loop().run_in_executor(self._threads, preparing.prepare, job)

    def note(self, done: Sequence[Prepared]) -> Sequence[UUID]:
        """Note what was read. No cast is advanced by it."""
        preparing.note(done)
        return ()

    def fail(self, done: Prepared, *, why: str) -> None:
        """Leave what cannot be noted to the end of the lease: the same files are read once more."""
        logger.error("What was read for export %d cannot be noted: %s", done.errand.id, why)
