"""How casts and cooks stand, in brief: enough to tell whether anything has changed that their clients see. Read, never stored.

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

from casts.models import ENDED, ENDED_COOKS, Cast, Cook, FanOut, Piece, PieceAttempt
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CookStanding:
    """How one cook stands."""

    status: str
    digest: str

    @property
    def id(self) -> str:
        """Return what names it to clients, who send it back to go on from there."""
        return self.digest

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED_COOKS


def cook_standings_of(cook_ids: Collection[int]) -> dict[int, CookStanding]:
    """Return how these cooks stand; one that is not there is left out. Three queries, whatever their number."""
    fields = ("status", "reason", "wanted", "budget_usd", "quote_usd", "finished_at")
    rows = list(Cook.objects.filter(pk__in=cook_ids).values_list("pk", *fields))
    parts: dict[int, list[Any]] = defaultdict(list)
    pieces = (
        Piece.objects.filter(cook__in=cook_ids).order_by().values("cook_id", "status").annotate(count=Count("id"), last=Max("settled_at"))
    )
    for cook_id, *values in pieces.order_by("cook_id", "status").values_list("cook_id", "status", "count", "last"):
        parts[cook_id].append(values)
    costs = PieceAttempt.objects.filter(cook__in=cook_ids).order_by().values_list("cook_id").annotate(Sum("cast__cost_usd"))
    for cook_id, cost in costs:
        parts[cook_id].append(cost)
    told = {}
    for cook_id, *values in rows:
        digest = blake2b(repr([values, parts[cook_id]]).encode(), digest_size=DIGEST_BYTES).hexdigest()
        told[cook_id] = CookStanding(status=values[0], digest=digest)
    return told


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
