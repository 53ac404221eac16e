"""The errand of the watch: a look for what is wrong, when nobody else has looked for a while."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import models

from casts import alerts
from casts.clock import database_now
from casts.errands import Errand
from casts.models import AlertWatch

from .errands import BATCH

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The right to look."""

    errand: Errand


class Watch:
    """Looks for alerts. All of it is rows, so all is done on the database thread, in `note`."""

    model: type[models.Model] = AlertWatch
    noted_at_once: int = BATCH

    def load(self, taken: Sequence[Errand]) -> Sequence[Look]:
        return [Look(errand=errand) for errand in taken]

    async def do(self, job: Look) -> Look:
        return job

    def note(self, done: Sequence[Look]) -> Sequence[UUID]:
        if done:
            alerts.evaluate(now=database_now())
        return ()

    def fail(self, done: Look, *, why: str) -> None:
        """Leave it to the next look, at the end of the lease."""
        logger.error("Nobody could look for alerts (try %d): %s", done.errand.attempts, why)
