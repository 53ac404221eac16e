"""The errand of a notification: a webhook is posted on the loop, a mail on a thread, and what came of it is kept."""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from uuid import UUID

from django.db import models

from casts.errands import Errand
from casts.metrics.counters import NOTIFICATIONS
from casts.models import Notification
from casts.notifications import outbox, senders
from casts.notifications.messages import Message, Outcome, Tried
from casts.notifications.receivers import Receivers, receiver_of

from .errands import BATCH

logger = logging.getLogger(__name__)

OUTCOMES = {Outcome.DELIVERED: "delivered", Outcome.FAILED: "failed", Outcome.REFUSED: "given_up"}


class Notifications:
    """Sends what is in the outbox."""

    model: type[models.Model] = Notification
    noted_at_once: int = BATCH

    def __init__(self, *, threads: Executor) -> None:
        """Take the threads for mails."""
        self._threads = threads
        self._receivers = Receivers()

    def load(self, taken: Sequence[Errand]) -> Sequence[Message]:
        return outbox.load(taken, receivers=self._receivers)

    async def do(self, job: Message) -> Tried:
        begun = time.monotonic()
        try:
            if job.mail is None:
                return await senders.post(job)
            return await asyncio.get_running_loop().run_in_executor(self._threads, senders.mail, job)
        finally:
            self._receivers.end(receiver_of(job), seconds=time.monotonic() - begun)

    def note(self, done: Sequence[Tried]) -> Sequence[UUID]:
        """Note what came of tries. No cast is advanced by it."""
        for tried, outcome in zip(done, outbox.note(done), strict=True):
            NOTIFICATIONS.labels(tried.message.channel, OUTCOMES[outcome]).inc()
            if outcome is Outcome.REFUSED:
                logger.warning("Notification %d is given up: %s", tried.message.errand.id, tried.error)
        return ()

    def fail(self, done: Tried, *, why: str) -> None:
        """Leave a try that cannot be noted to the end of the lease: it is sent again, under the same id."""
        logger.error("What came of sending notification %d cannot be noted: %s", done.message.errand.id, why)
