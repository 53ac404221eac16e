"""The errand of a cook: a look at it. All of it is rows, so all is done on the database thread, in `note`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import models

from casts.clock import database_now
from casts.cooks import scheduling, verbs
from casts.cooks.refusals import CookRefusedError
from casts.errands import Errand
from casts.models import Cook
from generations.outputs import clean_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The right to look at a cook."""

    errand: Errand


class Cooks:
    """Looks at cooks that are due: because a cast of theirs ended, somebody changed them, or nobody has looked for a while."""

    model: type[models.Model] = Cook
    noted_at_once: int = 1

    def load(self, taken: Sequence[Errand]) -> Sequence[Look]:
        return [Look(errand=errand) for errand in taken]

    async def do(self, job: Look) -> Look:
        return job

    def note(self, done: Sequence[Look]) -> Sequence[UUID]:
        """Look at each cook, in a transaction of its own: what is done of some is done, and looking again changes nothing."""
        return [cast_id for look in done for cast_id in scheduling.tend(cook_id=look.errand.id)]

    def fail(self, done: Look, *, why: str) -> None:
        """Pause a cook that cannot be looked at, and say why: it is for people to mend."""
        try:
            verbs.pause(cook_id=done.errand.id, now=database_now(), reason=clean_text(f"It cannot go on: {why}")[:500], tell=True)
        except CookRefusedError:
            logger.warning("Cook %d cannot be tended (try %d): %s", done.errand.id, done.errand.attempts, why)
