"""The doorbell: a hint that somebody should look at the wakeups soon. The wakeups are the truth; a lost hint costs time only.

While a conductor takes casts it hears NOTIFY on PostgreSQL and polls on SQLite. When none is, the cluster of django-q2 is
asked for a shift. Both happen after the commit: before it there is nothing to see, and a conductor that ends its shift
takes its heartbeat away first and looks once more, so that one of the two sides always notices the other.
"""

import json
import logging
from uuid import UUID

from django.db import DatabaseError, connection, transaction

from casts.models import ConductorProcess

CHANNEL = "grimoire_wakeups"
TASK = "casts.tasks.continue_casts"

logger = logging.getLogger(__name__)


def knock(*, cast_id: UUID) -> None:
    """Ring the doorbell for a cast once the current transaction has committed."""
    transaction.on_commit(lambda: _ring(cast_id), robust=True)


def _ring(cast_id: UUID) -> None:
    try:
        if not ask_unless_claimed() and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, json.dumps([str(cast_id)])])
    except DatabaseError:
        # The cast is committed and its wakeup is due: a poll or the schedule finds it.
        logger.warning("The doorbell for cast %s was not heard; its wakeup will be.", cast_id, exc_info=True)


def ask_unless_claimed() -> bool:
    """Ask the cluster for a shift if there is no conductor that takes casts. Returns whether it was asked."""
    if ConductorProcess.objects.alive().claiming().exists():
        return False
    ask_for_a_shift()
    return True


def ask_for_a_shift() -> None:
    """Ask the cluster to conduct until nothing is due. Asking often does no harm."""
    from django_q.tasks import async_task  # noqa: PLC0415 - reads its settings at import, which commands without a cluster need not

    async_task(TASK)
