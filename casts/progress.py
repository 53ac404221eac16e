"""How far casts are, as clients see them: worked out from their generations when somebody looks, and stored nowhere."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When

from casts.models import Cast, CastStatus, FanOut
from generations.models import Generation, GenerationStatus
from spells.models import Step

WAITING = "waiting"


class ShownStatus(models.TextChoices):
    """Where a cast stands, as clients see it: like `CastStatus`, with `waiting` taken out of `running`."""

    QUEUED = CastStatus.QUEUED.value
    RUNNING = CastStatus.RUNNING.value
    WAITING = WAITING, "waiting: no worker has a call of it in hand"
    PAUSED = CastStatus.PAUSED.value
    SUCCEEDED = CastStatus.SUCCEEDED.value
    FAILED = CastStatus.FAILED.value
    CANCELLED = CastStatus.CANCELLED.value


def with_shown_status(casts: QuerySet[Cast]) -> QuerySet[Any]:
    """Annotate casts with `shown_status`: `waiting` while only providers, people or time hold a running one."""
    in_hand = Generation.objects.filter(cast=OuterRef("pk"), status__in=[GenerationStatus.PENDING, GenerationStatus.RUNNING])
    waiting = When(Q(status=CastStatus.RUNNING) & ~Exists(in_hand), then=Value(WAITING))
    return casts.annotate(shown_status=Case(waiting, default=F("status"), output_field=models.CharField()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many items of a cast have ended for good, of how many that are known so far.

    A step counts once, or once for each item after its list was evaluated.
    """

    done: int
    total: int


def progress_of(casts: Iterable[Cast]) -> dict[UUID, Progress]:
    """Return the progress of each of these casts. Three queries, whatever their number."""
    versions = {cast.pk: cast.version_id for cast in casts}
    steps: dict[int, list[int]] = defaultdict(list)
    for version_id, step_id in Step.objects.filter(version__in=set(versions.values())).values_list("version_id", "id"):
        steps[version_id].append(step_id)
    counts: dict[tuple[UUID, int], int] = {
        (cast_id, step_id): count
        for cast_id, step_id, count in FanOut.objects.filter(cast__in=versions).values_list("cast_id", "step_id", "count")
    }
    ended = _ended(versions)
    told = {}
    for cast_id, version_id in versions.items():
        items = {step_id: counts.get((cast_id, step_id), 1) for step_id in steps[version_id]}
        # a list that could not be evaluated has a failed attempt and no item
        done = sum(min(ended.get((cast_id, step_id), 0), count) for step_id, count in items.items())
        told[cast_id] = Progress(done=done, total=sum(items.values()))
    return told


def _ended(casts: Iterable[UUID]) -> dict[tuple[UUID, int], int]:
    """Return by cast and step how many items have ended for good: no further attempt will be made in this round."""
    given_up = Q(status=GenerationStatus.FAILED, retry_at__isnull=True) | Q(status=GenerationStatus.CANCELLED)
    settled = Q(status__in=[GenerationStatus.SUCCEEDED, GenerationStatus.SKIPPED]) | (given_up & Q(round=F("cast__round")))
    rows = (
        Generation.objects.filter(settled, cast__in=list(casts)).values("cast_id", "step_id").annotate(items=Count("item", distinct=True))
    )
    return {(row["cast_id"], row["step_id"]): row["items"] for row in rows}
