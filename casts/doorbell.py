"""The doorbell: a hint that somebody should look at the wakeups soon. The wakeups are the truth; a lost hint costs time only.

While a conductor takes casts it hears NOTIFY on PostgreSQL and polls on SQLite. When none is, the cluster of django-q2 is
asked for a shift, once: a thousand casts that are started while it is away do not fill its queue. Both happen after the commit: before it there is nothing to see, and a conductor that ends its shift
takes its heartbeat away first and looks once more, so that one of the two sides always notices the other.
"""

import json
import logging
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError, connection, models, transaction
from django.db.models import Q

from casts.models import THE_REQUEST, ConductorProcess, ShiftRequest
from casts.models.conductor import DatabaseNow

CHANNEL = "grimoire_wakeups"
TASK = "casts.tasks.continue_casts"
# A message of PostgreSQL has room for 8,000 bytes, an id with its quotes and comma takes 40.
MOST_NAMED = 190
# A shift that has not begun by then may have been lost with its queue, and is asked for again.
ASK_AGAIN_SECONDS = 20

logger = logging.getLogger(__name__)


class _Ring:
    """The one ring of a transaction, for all its casts and errands. What a savepoint took back may be among them: a hint too many."""

    def __init__(self) -> None:
        """Take neither yet."""
        self.cast_ids: set[UUID] = set()
        self.errands: set[type[models.Model] | None] = set()

    def __call__(self) -> None:
        try:
            if not (connection.vendor == "postgresql" and _notified(self.message())):
                ask_unless_claimed()
        except DatabaseError:
            # The casts are committed and their wakeups are due: a poll or the schedule finds them.
            logger.warning("The doorbell was not heard; what is due will be found: %s", self.message(), exc_info=True)

    def message(self) -> str:
        """Return the kind of errand that rang, if nothing else did; else the ids of casts, none where there are too many: look at everything."""
        match list(self.errands):
            case [type() as model] if not self.cast_ids:
                return name_of(model)
        return json.dumps([str(cast_id) for cast_id in sorted(self.cast_ids)] if len(self.cast_ids) <= MOST_NAMED else [])


def name_of(errand: type[models.Model]) -> str:
    """Return by which word a kind of errand is told of."""
    return errand._meta.label


def _notified(message: str) -> bool:
    """Ring at all who listen if there is a conductor that takes casts, in one statement. Returns whether there was."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT pg_notify(%s, %s)
            FROM (SELECT FROM casts_conductorprocess WHERE alive_until > (SELECT grimoire_now()) AND NOT draining LIMIT 1) AS claiming
            """,
            [CHANNEL, message],
        )
        return cursor.fetchone() is not None


def knock(*, cast_id: UUID | None = None, errand: type[models.Model] | None = None) -> None:
    """Ring the doorbell for a cast once the current transaction has committed: once for all casts of the transaction.

    Without a cast: for an errand, of this kind or of any.
    """
    # Django takes a ring away with the savepoint that made it, so one that stands here will not go before this knock would
    waiting = [hook for hook in (entry[1] for entry in connection.run_on_commit) if isinstance(hook, _Ring)]
    ring = waiting[-1] if waiting else _Ring()
    if cast_id is not None:
        ring.cast_ids.add(cast_id)
    else:
        ring.errands.add(errand)
    if not waiting:
        transaction.on_commit(ring, robust=True)


def ask_unless_claimed() -> bool:
    """Ask the cluster for a shift if there is no conductor that takes casts. Returns whether it was asked."""
    if ConductorProcess.objects.alive().claiming().exists():
        return False
    ask_for_a_shift()
    return True


@transaction.atomic
def ask_for_a_shift() -> None:
    """Ask the cluster to conduct until nothing is due, unless a shift that was asked for just now has not begun yet."""
    from django_q.tasks import async_task  # noqa: PLC0415 - reads its settings at import, which commands without a cluster need not

    not_since = DatabaseNow() - timedelta(seconds=ASK_AGAIN_SECONDS)
    if not ShiftRequest.objects.filter(Q(asked_at__isnull=True) | Q(asked_at__lte=not_since)).update(asked_at=DatabaseNow()):
        _, is_first = ShiftRequest.objects.get_or_create(pk=THE_REQUEST, defaults={"asked_at": DatabaseNow()})
        if not is_first:
            return
    async_task(TASK)


def shift_begins() -> None:
    """Take it that a shift which was asked for has begun. It looks at what is due after this, so that a ring before it is heard."""
    ShiftRequest.objects.update(asked_at=None)
