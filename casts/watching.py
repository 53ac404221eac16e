"""A cast as somebody who watches it sees it: one line a step, read from its rows."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from casts.clock import database_now
from casts.models import ENDED, Cast, FanOut
from casts.progress import progress_of, with_shown_status
from generations.models import LIVE as LIVE_GENERATIONS
from generations.models import Generation, GenerationStatus
from generations.progress import CallProgress, read_progress
from spells.models import Step

WAITING = "waiting"
RETRYING = "retrying"
RUNNING = "running"

# Of several items the first of these that occurs tells how the step stands.
_TELLING = (
    GenerationStatus.UNKNOWN.value,
    GenerationStatus.FAILED.value,
    RETRYING,
    GenerationStatus.RUNNING.value,
    GenerationStatus.PENDING.value,
    GenerationStatus.SUBMITTED.value,
    GenerationStatus.CANCELLED.value,
)
_DONE = (GenerationStatus.SUCCEEDED, GenerationStatus.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """One step. `total` is None while its list is not evaluated; `took` is None before its first call.

    `state` is `waiting`, `retrying`, or the status of generations that tells most. `percent`, 0 to 100, is how far its
    calls at work are, on average of those that tell; `stage` is what one of them is at. `note` says what went wrong last.
    """

    key: str
    tool: str
    state: str
    done: int
    total: int | None
    took: timedelta | None
    cost_usd: Decimal
    percent: float | None = None
    stage: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The cast and its steps, in their order."""

    id: UUID
    spell: str
    status: str
    percent: int
    took: timedelta
    cost_usd: Decimal
    outputs: dict[str, Any] | None
    error: dict[str, Any] | None
    reason: str
    steps: Sequence[StepLine]

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass(slots=True, kw_only=True)
class _Items:
    """What stands of one step: the latest attempt at each item, and the sums of all."""

    latest: dict[int, tuple[str, str]]  # state and note, by item
    at_work: dict[int, CallProgress]  # by item, of those that tell
    cost_usd: Decimal = Decimal(0)
    started_at: datetime | None = None
    finished_at: datetime | None = None


def look(*, cast_id: UUID) -> Watched:
    """Read how a cast stands now. At most nine queries. Raises Cast.DoesNotExist."""
    now = database_now()
    cast = with_shown_status(Cast.objects.select_related("version__spell")).get(pk=cast_id)
    steps = Step.objects.filter(version=cast.version_id).order_by("position").select_related("tool")
    counts = dict(FanOut.objects.filter(cast=cast_id).values_list("step_id", "count"))
    items = _items(cast)
    return Watched(
        id=cast.pk,
        spell=f"{cast.version.spell.slug}@{cast.version.number}",
        status=cast.shown_status,
        percent=progress_of([cast])[cast.pk].percent,
        took=(cast.finished_at or now) - cast.created_at,
        cost_usd=cast.cost_usd,
        outputs=cast.outputs,
        error=cast.error,
        reason=cast.reason,
        steps=[_line(step, items[step.pk], counts.get(step.pk) if step.for_each else 1, now) for step in steps],
    )


def _items(cast: Cast) -> dict[int, _Items]:
    items: dict[int, _Items] = defaultdict(lambda: _Items(latest={}, at_work={}))
    rows = Generation.objects.filter(cast=cast).order_by("attempt")
    for step_id, item, status, cost_usd, started_at, finished_at, retry_at, error, told in rows.values_list(
        "step_id", "item", "status", "cost_usd", "started_at", "finished_at", "retry_at", "error", "progress"
    ):
        step = items[step_id]
        progress = read_progress(told)
        if progress is not None and status in LIVE_GENERATIONS:
            step.at_work[item] = progress
        trouble = step.at_work[item].trouble if item in step.at_work else ""
        step.latest[item] = (RETRYING if retry_at else status, (error or {}).get("message", "") or trouble)
        step.cost_usd += cost_usd or 0
        step.started_at = min(filter(None, (step.started_at, started_at)), default=None)
        step.finished_at = max(filter(None, (step.finished_at, finished_at)), default=None)
    return items


def _line(step: Step, items: _Items, total: int | None, now: datetime) -> StepLine:
    done = sum(state in _DONE for state, _ in items.latest.values())
    state, note = _state(items, done=done, total=total)
    took = None
    if items.started_at:
        took = (items.finished_at if items.finished_at and state not in _GOING_ON else now) - items.started_at
    percents = [told.percent for told in items.at_work.values() if told.percent is not None]
    return StepLine(
        key=step.key,
        tool=step.tool.slug,
        state=state,
        done=done,
        total=total,
        took=took,
        cost_usd=items.cost_usd,
        percent=sum(percents) / len(percents) if percents else None,
        stage=next((told.stage for told in items.at_work.values() if told.stage), ""),
        note=note,
    )


_GOING_ON = (RETRYING, RUNNING, GenerationStatus.PENDING, GenerationStatus.SUBMITTED)


def _state(items: _Items, *, done: int, total: int | None) -> tuple[str, str]:
    """Return the state of a step, and a word on it."""
    notes = dict(items.latest.values())
    for state in _TELLING:
        if state in notes:
            return state, notes[state]
    if total is not None and done >= total:
        all_skipped = bool(notes) and GenerationStatus.SUCCEEDED not in notes
        return (GenerationStatus.SKIPPED if all_skipped else GenerationStatus.SUCCEEDED).value, ""
    return (RUNNING if done else WAITING), ""
