"""The canary: a task that does nothing, sent through the whole of django-q2's cluster to see whether it comes back.

Its result is there once the pusher has fetched it, a worker has run it, and the monitor has stored what came of it: one
that does not come tells of any part that died. Results of other tasks are not kept; this one is taken away again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django_q.brokers.orm import ORM
from django_q.models import OrmQ, Task
from django_q.tasks import async_task

TASK = "casts.tasks.answer_canary"
# Nobody waits any more for a result that is as old as this.
FORGOTTEN = timedelta(hours=1)


class _Recording(ORM):  # type: ignore[misc] # django-q2 has no types
    """The broker of django-q2, which also remembers the row that it wrote."""

    row_id: int

    def enqueue(self, task: str) -> int:
        self.row_id = super().enqueue(task)
        return self.row_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One that was sent: the id of its task, and of its row in the queue."""

    task_id: str
    row_id: int


def send(*, now: datetime) -> Canary:
    """Send a canary into the cluster. Results that others left lying are swept up."""
    _delete(Task.objects.filter(func=TASK, stopped__lt=now - FORGOTTEN))
    broker = _Recording()
    task_id = async_task(TASK, broker=broker, save=True)
    return Canary(task_id=task_id, row_id=broker.row_id)


def is_back(canary: Canary) -> bool:
    """Tell whether the canary has come back, and if so take its result away."""
    return _delete(Task.objects.filter(pk=canary.task_id, success=True)) > 0


def is_discarded(canary: Canary) -> bool:
    """Tell whether a canary that is not back was thrown away unread: the cluster signs with another secret key."""
    return not OrmQ.objects.filter(pk=canary.row_id).exists() and not Task.objects.filter(pk=canary.task_id).exists()


def call_off(canary: Canary) -> None:
    """Take back a canary for which nobody waits any more."""
    OrmQ.objects.filter(pk=canary.row_id).delete()
    Task.objects.filter(pk=canary.task_id).delete()


def _delete(rows: QuerySet[Any]) -> int:
    """Delete rows on which nothing hangs in one statement. `delete` would open a transaction for it."""
    removed: int = rows._raw_delete(rows.db)
    return removed
