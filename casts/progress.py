"""How far casts are, as clients see them: worked out from their generations when somebody looks, and stored nowhere."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When

from casts.models import Cast, CastStatus, FanOut
from generations.models import Generation, GenerationStatus
from generations.progress import read_progress
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
    """How many items of a cast have ended for good, of how many that are known so far; and how far it is as a whole.

    A step counts once in `total`, or once for each item after its list was evaluated. In `percent`, 0 to 100, all steps
    weigh the same, whatever the number of their items, so that a list that turns out to be long takes nothing back; a
    call that is at work counts as far as its provider says. It never falls within a round.
    """

    done: int
    total: int
    percent: int


def progress_of(casts: Iterable[Cast]) -> dict[UUID, Progress]:
    """Return the progress of each of these casts. At most four queries, whatever their number."""
    versions = {cast.pk: cast.version_id for cast in casts}
    steps: dict[int, list[int]] = defaultdict(list)
    for version_id, step_id in Step.objects.filter(version__in=set(versions.values())).values_list("version_id", "id"):
        steps[version_id].append(step_id)
    counts: dict[tuple[UUID, int], int] = {
        (cast_id, step_id): count
        for cast_id, step_id, count in FanOut.objects.filter(cast__in=versions).values_list("cast_id", "step_id", "count")
    }
    items = {
        (cast_id, step_id): counts.get((cast_id, step_id), 1) for cast_id, version_id in versions.items() for step_id in steps[version_id]
    }
    # a list that could not be evaluated has a failed attempt and no item
    ended = _ended(versions)
    done = {place: min(ended.get(place, 0), count) for place, count in items.items()}
    begun = _begun({place[0] for place, count in items.items() if done[place] < count})
    told = {}
    for cast_id, version_id in versions.items():
        places = [(cast_id, step_id) for step_id in steps[version_id]]
        shares = [_share(done[place], begun[place], items[place]) for place in places]
        told[cast_id] = Progress(
            done=sum(done[place] for place in places),
            total=sum(items[place] for place in places),
            percent=int(100 * sum(shares) / len(shares)) if shares else 100,
        )
    return told


def as_started(cast: Cast, *, steps: int) -> Progress:
    """Mark a cast of so many steps as one that was started just now is shown, and return its progress: nothing of it can have been done."""
    cast.shown_status = ShownStatus.QUEUED  # type: ignore[attr-defined] # as `with_shown_status` does
    return Progress(done=0, total=steps, percent=0 if steps else 100)


def _share(done: int, begun: Fraction, count: int) -> Fraction:
    """Return how much of one step has been done: 0 to 1. A step over an empty list has nothing to do."""
    return min((done + begun) / count, Fraction(1)) if count else Fraction(1)


# No further attempt at the item will be made in this round.
_GIVEN_UP = Q(status=GenerationStatus.FAILED, retry_at__isnull=True) | Q(status=GenerationStatus.CANCELLED)
_SETTLED = Q(status__in=[GenerationStatus.SUCCEEDED, GenerationStatus.SKIPPED]) | (_GIVEN_UP & Q(round=F("cast__round")))


def _ended(casts: Iterable[UUID]) -> dict[tuple[UUID, int], int]:
    """Return by cast and step how many items have ended for good."""
    rows = (
        Generation.objects.filter(_SETTLED, cast__in=list(casts)).values("cast_id", "step_id").annotate(items=Count("item", distinct=True))
    )
    return {(row["cast_id"], row["step_id"]): row["items"] for row in rows}


def _begun(casts: Collection[UUID]) -> defaultdict[tuple[UUID, int], Fraction]:
    """Return by cast and step what has been done of items that have not ended, in items.

    The furthest attempt of this round counts: one that failed and is made again takes nothing back.
    """
    if not casts:
        return defaultdict(Fraction)
    same_item = Generation.objects.filter(_SETTLED, cast=OuterRef("cast"), step=OuterRef("step"), item=OuterRef("item"))
    told = Generation.objects.filter(~Exists(same_item), cast__in=list(casts), progress__isnull=False, round=F("cast__round"))
    furthest: dict[tuple[UUID, int, int], Fraction] = defaultdict(Fraction)
    for cast_id, step_id, item, kept in told.values_list("cast_id", "step_id", "item", "progress"):
        progress = read_progress(kept)
        place = cast_id, step_id, item
        furthest[place] = max(furthest[place], Fraction((progress and progress.percent) or 0) / 100)
    begun: defaultdict[tuple[UUID, int], Fraction] = defaultdict(Fraction)
    for (cast_id, step_id, _), share in furthest.items():
        begun[cast_id, step_id] += share
    return begun
