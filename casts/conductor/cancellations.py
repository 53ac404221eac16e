"""The errand of a cancellation: the provider is asked, and what it says is kept."""

import logging
from collections.abc import Sequence
from uuid import UUID

from django.db import models

from casts import cancellations
from casts.cancellations import MAX_TRIES, Answered, Wish
from casts.errands import Errand
from generations.models import Cancellation
from generations.models.cancellation import CancellationOutcome
from generations.tools.contract import ToolError

from . import calls
from .errands import BATCH
from .lanes import Place
from .threads import Threads

logger = logging.getLogger(__name__)

# Refusals that say nothing of the job: what is wrong is on our side, and may be put right while it is at work.
OURS = frozenset({"adapter_not_found", "bad_config", "secret_missing", "unauthorized"})


class Cancellations:
    """Asks providers to stop jobs."""

    model: type[models.Model] = Cancellation
    noted_at_once: int = BATCH

    def __init__(self, *, threads: Threads) -> None:
        """Take the threads for adapters that block."""
        self._threads = threads.errands

    def load(self, taken: Sequence[Errand]) -> Sequence[Wish]:
        return cancellations.load(taken)

    async def do(self, job: Wish) -> Answered:
        if job.errand.attempts > MAX_TRIES:
            return _answered(job, None, "Whoever asked vanished each time.")
        if job.needless:
            return _answered(job, CancellationOutcome.NEEDLESS)
        place = Place(on_free=lambda: None)
        try:
            await calls.cancel(adapter_key=job.adapter_key, request=job.request, job_id=job.job_id, threads=self._threads, place=place)
        except calls.CannotCancelError as error:
            return _answered(job, CancellationOutcome.UNSUPPORTED, str(error))
        except ToolError as error:
            logger.warning("The job of generation %s cannot be cancelled: %s", job.request.generation_id, error)
            is_final = error.permanent and error.code not in OURS
            return _answered(job, CancellationOutcome.REFUSED if is_final else None, error.message, error=error)
        return _answered(job, CancellationOutcome.REQUESTED)

    def note(self, done: Sequence[Answered]) -> Sequence[UUID]:
        return cancellations.note(done)

    def fail(self, done: Answered, *, why: str) -> None:
        """Leave an answer that cannot be written to the end of the lease: the provider is asked again."""
        logger.error("What came of cancelling generation %s cannot be noted: %s", done.generation_id, why)


def _answered(job: Wish, outcome: CancellationOutcome | None, said: str = "", *, error: ToolError | None = None) -> Answered:
    request = job.request
    return Answered(
        errand=job.errand, generation_id=request.generation_id, cast_id=request.cast_id, outcome=outcome, said=said, error=error
    )
