"""The time axis of a timeline: where a moment stands between left and right, with long silences cut short."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from spells.admin.formats import duration

# A silence is cut to this part of the width, in percent, when it is longer than all that happened, and than this.
CUT_PERCENT = 4.0
SHORTEST_CUT_SECONDS = 10.0
MOST_CUTS = 8

# Labels closer than this would cover each other.
LABEL_PERCENT = 9.0
MOST_TICKS = 6
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the axis: its place in percent, what is written at it, and whether a silence was cut before it."""

    percent: float
    label: str
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class _Segment:
    start: float
    end: float
    left: float
    right: float


class Axis:
    """Maps moments to percent. `spans` are what happened, as pairs of moments; the axis begins at `origin`."""

    def __init__(self, *, origin: datetime, spans: Iterable[tuple[datetime, datetime]]) -> None:
        """Find the silences, and share the width among the rest."""
        self._origin = origin
        seconds = sorted((self._seconds(start), self._seconds(end)) for start, end in spans)
        self._segments = _segments(_merged([(0.0, 0.0), *seconds]))

    def at(self, moment: datetime) -> float:
        """Return the place of a moment in percent, from 0 to 100."""
        seconds = self._seconds(moment)
        for segment in self._segments:
            if seconds <= segment.end:
                inside = max(seconds, segment.start) - segment.start
                length = segment.end - segment.start
                return segment.left + (segment.right - segment.left) * (inside / length if length else 0.0)
        return 100.0

    def ticks(self) -> list[Tick]:
        """Return the marks to draw, from left to right."""
        busy = sum(segment.end - segment.start for segment in self._segments)
        step = next((step for step in _STEPS if step * MOST_TICKS >= busy), _STEPS[-1])
        ticks: list[Tick] = []
        for place, segment in enumerate(self._segments):
            while ticks and not ticks[-1].is_cut and 0 < segment.left - ticks[-1].percent < LABEL_PERCENT:
                ticks.pop()  # what a cut says matters more
            is_crowded = bool(ticks) and segment.left - ticks[-1].percent < LABEL_PERCENT
            ticks.append(Tick(segment.left, "" if is_crowded else _label(segment.start), is_cut=place > 0))
            for count in range(1, MOST_TICKS + 1):
                moment = segment.start + count * step
                if moment > segment.end:
                    break
                percent = segment.left + (segment.right - segment.left) * (moment - segment.start) / (segment.end - segment.start)
                if percent - ticks[-1].percent >= LABEL_PERCENT and percent <= 100 - LABEL_PERCENT / 2:
                    # behind a cut, the time since then tells more than the time since the beginning
                    ticks.append(Tick(percent, f"+{_label(moment - segment.start)}" if place else _label(moment)))
        return ticks

    def _seconds(self, moment: datetime) -> float:
        return max(0.0, (moment - self._origin).total_seconds())


def _label(seconds: float) -> str:
    return f"{round(seconds, 2):g} s" if seconds < 60 else duration(seconds)  # noqa: PLR2004 - a minute


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, max(start, end)))
    return merged


def _segments(spans: list[tuple[float, float]]) -> list[_Segment]:
    """Join what is close, and lay out the rest with the silences between cut to one short width."""
    busy = sum(end - start for start, end in spans)
    gaps = [(after[0] - before[1], place) for place, (before, after) in enumerate(pairwise(spans))]
    long = sorted((gap for gap in gaps if gap[0] > max(SHORTEST_CUT_SECONDS, busy)), reverse=True)[:MOST_CUTS]
    cuts = {place for _, place in long}
    parts: list[tuple[float, float]] = []
    for place, (start, end) in enumerate(spans):
        if parts and place - 1 not in cuts:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((start, end))
    total = sum(end - start for start, end in parts) or 1.0
    room = 100.0 - CUT_PERCENT * (len(parts) - 1)
    segments: list[_Segment] = []
    left = 0.0
    for start, end in parts:
        right = left + room * (end - start) / total
        segments.append(_Segment(start, end, left, right))
        left = right + CUT_PERCENT
    return segments
