"""The canary: a task that does nothing, sent through the whole of django-q2's cluster to see whether it comes back.

Its row in the queue goes when the pusher has fetched it, a worker has run it and the monitor has acknowledged it. So a
row that stays tells of any part that died, and nothing has to be stored besides.
"""

from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.tasks import async_task

TASK = "casts.tasks.answer_canary"


class _Recording(ORM):  # type: ignore[misc] # django-q2 has no types
    """The broker of django-q2, which also remembers the row that it wrote."""

    row_id: int

    def enqueue(self, task: str) -> int:
        self.row_id = super().enqueue(task)
        return self.row_id


def send() -> int:
    """Send a canary into the cluster. Returns the id of its row."""
    broker = _Recording()
    async_task(TASK, broker=broker)
    return broker.row_id


def is_back(row_id: int) -> bool:
    return not OrmQ.objects.filter(pk=row_id).exists()


def call_off(row_id: int) -> None:
    """Take back a canary for which nobody waits any more."""
    OrmQ.objects.filter(pk=row_id).delete()
