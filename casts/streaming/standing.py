"""How casts stand, in brief: enough to tell whether anything has changed that their clients see. Read, never stored.

Each change of a cast or its generations moves one of these: a field of the cast, the newest event, how many of its
generations are in which status and what they cost, the rows of those that are not settled, or the items of its lists.
So what was seen is named by a digest of them, which every process reckons alike.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Sum

from casts.models import ENDED, Cast, FanOut
from generations.models import BLOCKING, Generation

DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one cast stands. `last_event` is the id of its newest event, 0 before the first."""

    status: str
    last_event: int
    digest: str

    @property
    def id(self) -> str:
        """Return what names it to clients, who send it back to go on from there."""
        return f"{self.last_event}-{self.digest}"

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


def standings_of(cast_ids: Collection[UUID]) -> dict[UUID, Standing]:
    """Return how these casts stand; one that is not there is left out. Four queries, whatever their number.

    The status is read first: once it is an end, all that follows is read as it was at that end or later.
    """
    fields = ("status", "round", "cost_usd", "cancel_requested_at", "deadline_at", "started_at", "finished_at")
    rows = list(Cast.objects.filter(pk__in=cast_ids).annotate(last_event=Max("events__id")).values_list("pk", "last_event", *fields))
    parts = _parts([row[0] for row in rows])
    told = {}
    for cast_id, last_event, *values in rows:
        digest = blake2b(repr([values, parts[cast_id]]).encode(), digest_size=DIGEST_BYTES).hexdigest()
        told[cast_id] = Standing(status=values[0], last_event=last_event or 0, digest=digest)
    return told


def _parts(cast_ids: Collection[UUID]) -> dict[UUID, list[Any]]:
    """Return by cast what its generations and its lists add to the digest, always in the same order."""
    parts: dict[UUID, list[Any]] = defaultdict(list)
    of_casts = Generation.objects.filter(cast__in=cast_ids)
    sums = of_casts.values("cast_id", "status").annotate(count=Count("id"), retries=Count("retry_at"), cost=Sum("cost_usd"))
    for cast_id, *values in sums.order_by("cast_id", "status").values_list("cast_id", "status", "count", "retries", "cost"):
        parts[cast_id].append(values)
    unsettled = of_casts.filter(status__in=BLOCKING).order_by("id")
    for cast_id, *values in unsettled.values_list("cast_id", "id", "status", "job_id", "progress"):
        parts[cast_id].append(values)
    lists = FanOut.objects.filter(cast__in=cast_ids).values("cast_id").annotate(lists=Count("id"), items=Sum("count"))
    for cast_id, *values in lists.order_by("cast_id").values_list("cast_id", "lists", "items"):
        parts[cast_id].append(values)
    return parts
