"""Jobs that nobody wants any more: their providers are to be asked to stop them."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from casts.doorbell import knock
from generations.models import Cancellation

from .turns import Turn


def ask(*, generation_ids: Iterable[UUID], now: datetime) -> None:
    """Write down that providers are to be asked to stop these jobs, each once. Part of the transaction that decides it."""
    rows = [Cancellation(generation_id=id_, created_at=now, due_at=now) for id_ in sorted(set(generation_ids))]
    if rows:
        Cancellation.objects.bulk_create(rows, ignore_conflicts=True)


def withdraw(turns: Iterable[Turn], *, now: datetime) -> None:
    """Have providers asked to stop the jobs that these turns gave up, unless they were asked before."""
    wanted = {attempt.id: attempt.cast_id for turn in turns for attempt in turn.withdrawn}
    if not wanted:
        return
    known = set(Cancellation.objects.filter(generation__in=wanted).values_list("generation_id", flat=True))
    ask(generation_ids=wanted.keys() - known, now=now)
    for cast_id in sorted({cast_id for generation_id, cast_id in wanted.items() if generation_id not in known}):
        knock(cast_id=cast_id)
