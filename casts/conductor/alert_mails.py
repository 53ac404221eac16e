"""The errand of a mail to an operator: handed to the mail server on a thread, and noted."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from uuid import UUID

from django.db import models

from casts.alerts import mails
from casts.alerts.mails import Letter, Posted
from casts.errands import Errand
from casts.models import AlertMail

from .errands import BATCH

logger = logging.getLogger(__name__)


class AlertMails:
    """Sends what operators are to be told."""

    model: type[models.Model] = AlertMail
    noted_at_once: int = BATCH

    def __init__(self, *, threads: Executor) -> None:
        """Take the threads to send on."""
        self._threads = threads

    def load(self, taken: Sequence[Errand]) -> Sequence[Letter]:
        return mails.load(taken)

    async def do(self, job: Letter) -> Posted:
        posted = await asyncio.get_running_loop().run_in_executor(self._threads, mails.send, job)
        if posted.said:
            logger.warning("The mail %d to an operator is not sent (try %d): %s", job.errand.id, job.errand.attempts, posted.said)
        return posted

    def note(self, done: Sequence[Posted]) -> Sequence[UUID]:
        mails.note(done)
        return ()

    def fail(self, done: Posted, *, why: str) -> None:
        """Leave what cannot be noted to the end of the lease: the mail is sent once more."""
        logger.error("What came of mail %d to an operator cannot be noted: %s", done.errand.id, why)
