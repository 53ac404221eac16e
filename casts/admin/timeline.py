"""The timeline of a cast: its steps in the order of the plan, their items and attempts, each a bar scaled in time."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.utils.safestring import SafeString

from casts.models import Cast, FanOut
from generations.models import GenerationStatus
from spells.models import Step

from .attempts import MAX_ATTEMPTS, Attempt, Payload, attempts_of, payloads_of
from .axis import Axis, Tick
from .resolving import ResolveForm
from .skipping import SkipForm

# Items of one step on the page of a whole cast, and on the page of that step.
SHOWN_ITEMS = 12
STEP_PAGE = 50
# Attempts of one item: the last ones.
SHOWN_ATTEMPTS = 3
# All of these together bound the size of a page.
PAGE_ATTEMPTS = 150
PAGE_CHARACTERS = 1_000_000
LONGEST_VALUE = 8_000
SHORTEST_VALUE = 500
# Cells of the map of a large fan-out.
MAX_CELLS = 1_000

# Narrower bars could not be seen.
NARROWEST_PERCENT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of a cast is looked at: all of it, or one page of one step. `focus` is an attempt that must be in sight."""

    step: str = ""
    page: int = 1
    focus: UUID | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a row's track, in percent of its width."""

    left: float
    width: float

    @property
    def x(self) -> str:
        return f"{self.left:.2f}%"

    @property
    def length(self) -> str:
        return f"{self.width:.2f}%"


@dataclass(slots=True, kw_only=True)
class Row:
    """One attempt. `wait` is the time until its call started, `run` the call. `is_last` of its item, so far."""

    attempt: Attempt
    wait: Bar | None
    run: Bar
    seconds: float | None
    payload: Payload | None = None
    form: ResolveForm | SkipForm | None = None
    earlier: int = 0
    is_last: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One item in the map of a large fan-out."""

    item: int
    status: str
    page: int


@dataclass(slots=True, kw_only=True)
class StepBlock:
    """One step. `items` counts those that are known, `counts` their latest statuses."""

    step: Step
    items: int | None
    counts: Counter[str]
    cost: Decimal | None
    seconds: float | None
    span: Bar | None
    rows: list[Row]
    cells: list[Cell] = field(default_factory=list)
    hidden: int = 0
    pages: range = range(0)
    page: int = 0
    is_folded: bool = False

    @property
    def is_single(self) -> bool:
        """Tell whether one row says it all."""
        return len(self.rows) == 1 and not self.cells and not self.rows[0].earlier

    @property
    def summary(self) -> list[tuple[str, int]]:
        """Return how many of its items stand where, the most frequent first."""
        return self.counts.most_common()

    @property
    def figures(self) -> list[SafeString]:
        """Return what its attempts made, in order."""
        return [figure for row in self.rows if row.payload for figure in row.payload.figures]


@dataclass(slots=True, kw_only=True)
class Timeline:
    """All of it. `unseen` says that there are more attempts than were read."""

    steps: list[StepBlock]
    ticks: list[Tick]
    now_percent: float | None
    unseen: bool

    @property
    def has_begun(self) -> bool:
        return any(block.rows or block.cells for block in self.steps)


def timeline_of(cast: Cast, *, view: View, now: datetime) -> Timeline:
    """Read and lay out the timeline of a cast. Six queries, whatever its size."""
    steps = list(Step.objects.filter(version=cast.version_id).select_related("tool").order_by("position"))
    counts = dict(FanOut.objects.filter(cast=cast.pk).values_list("step", "count"))
    attempts = attempts_of(cast.pk)
    every = [attempt for items in attempts.values() for tries in items.values() for attempt in tries]
    is_live = cast.finished_at is None
    axis = Axis(origin=cast.created_at, spans=[*_spans(every, now), *([(now, now)] if is_live else [])])
    shown = max(1, min(SHOWN_ITEMS, PAGE_ATTEMPTS // max(1, len(steps))))
    blocks = [_block(step, attempts.get(step.pk, {}), counts, axis=axis, view=view, shown=shown, now=now) for step in steps]
    _fill(blocks)
    return Timeline(
        steps=blocks,
        ticks=axis.ticks(),
        now_percent=axis.at(now) if is_live else None,
        unseen=len(every) >= MAX_ATTEMPTS,
    )


def _spans(attempts: Iterable[Attempt], now: datetime) -> Iterator[tuple[datetime, datetime]]:
    for attempt in attempts:
        start = attempt.started_at or attempt.created_at
        yield start, max(start, attempt.finished_at or now)


def _block(
    step: Step, items: Mapping[int, list[Attempt]], counts: Mapping[int, int], *, axis: Axis, view: View, shown: int, now: datetime
) -> StepBlock:
    in_view = view.step == step.key
    chosen = _page_of(items, view.page) if in_view else _chosen(items, limit=shown, focus=view.focus)
    is_folded = bool(view.step) and not in_view
    every = [attempt for tries in items.values() for attempt in tries]
    costs = [attempt.cost_usd for attempt in every if attempt.cost_usd is not None]
    spans = list(_spans(every, now))
    start, end = min((span[0] for span in spans), default=None), max((span[1] for span in spans), default=None)
    block = StepBlock(
        step=step,
        items=counts.get(step.pk) if step.for_each else 1,
        counts=Counter(tries[-1].status for tries in items.values()),
        cost=sum(costs, Decimal()) if costs else None,
        seconds=(end - start).total_seconds() if start and end else None,
        span=_bar(axis, start, end) if start and end else None,
        rows=[] if is_folded else [row for item in chosen for row in _rows(items[item], axis=axis, view=view, now=now)],
        hidden=0 if is_folded else len(items) - len(chosen),
        is_folded=is_folded,
    )
    if len(items) > shown:
        block.cells = [_cell(item, items[item]) for item in sorted(items)[:MAX_CELLS]]
        last = max(items) // STEP_PAGE + 1
        block.pages = range(1, last + 1)
        block.page = min(max(view.page, 1), last) if in_view else 0
    return block


def _cell(item: int, tries: Sequence[Attempt]) -> Cell:
    return Cell(item=item, status=tries[-1].status, page=item // STEP_PAGE + 1)


def _page_of(items: Mapping[int, object], page: int) -> list[int]:
    """Return the items of one page of a step, the last page when there are fewer."""
    last = max(items, default=0) // STEP_PAGE
    place = min(max(page - 1, 0), last)
    return [item for item in sorted(items) if item // STEP_PAGE == place]


def _chosen(items: Mapping[int, Sequence[Attempt]], *, limit: int, focus: UUID | None) -> list[int]:
    """Return the items to show among many: those that somebody must look at come first, then the first ones."""
    if len(items) <= limit:
        return sorted(items)

    def rank(item: int) -> tuple[int, int]:
        tries = items[item]
        if focus is not None and any(attempt.id == focus for attempt in tries):
            return 0, item
        if tries[-1].status == GenerationStatus.UNKNOWN:
            return 1, item
        return (2 if tries[-1].wants_attention else 3), item

    return sorted(sorted(items, key=rank)[:limit])


def _rows(tries: Sequence[Attempt], *, axis: Axis, view: View, now: datetime) -> Iterator[Row]:
    last = [attempt for attempt in tries[:-SHOWN_ATTEMPTS] if attempt.id == view.focus] + list(tries[-SHOWN_ATTEMPTS:])
    for attempt in last:
        end = attempt.finished_at or now
        start = attempt.started_at or attempt.created_at
        waited = attempt.started_at is not None and attempt.started_at > attempt.created_at
        yield Row(
            attempt=attempt,
            wait=_bar(axis, attempt.created_at, start) if waited else None,
            run=_bar(axis, start, max(start, end)),
            seconds=(end - start).total_seconds() if attempt.started_at else None,
            earlier=len(tries) - len(last) if attempt is last[0] else 0,
            is_last=attempt is tries[-1],
        )


def _bar(axis: Axis, start: datetime, end: datetime) -> Bar:
    left, right = axis.at(start), axis.at(end)
    width = max(right - left, NARROWEST_PERCENT)
    return Bar(min(left, 100 - width), width)


def _fill(blocks: Iterable[StepBlock]) -> None:
    """Read the payloads of the rows that are shown, each the shorter the more they are."""
    rows = {row.attempt.id: row for block in blocks for row in block.rows}
    limit = max(SHORTEST_VALUE, min(LONGEST_VALUE, PAGE_CHARACTERS // (2 * max(1, len(rows)))))
    for id_, payload in payloads_of(rows, limit=limit).items():
        rows[id_].payload = payload
