"""How far a cook is: its pieces by state, how fast it goes, and what it has cost against its quote."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count

from casts.models import Cook, CookStatus, PieceStatus

from .funds import spent_by

# Pieces that were settled last, by which the rate is reckoned.
RECENT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CookProgress:
    """Counts of pieces by state. `per_minute` and `seconds_left` are None while too little is known, or nothing goes on."""

    total: int
    pending: int
    cooking: int
    made: int
    failed: int
    per_minute: float | None
    seconds_left: int | None
    cost_usd: Decimal
    quote_usd: Decimal | None

    @property
    def settled(self) -> int:
        return self.made + self.failed

    @property
    def percent(self) -> int:
        return self.settled * 100 // self.total


def progress_of(cook: Cook, *, now: datetime) -> CookProgress:
    """Return how far a cook is. Three queries."""
    counts = dict(cook.pieces.order_by().values_list("status").annotate(Count("pk")))
    left = counts.get(PieceStatus.PENDING, 0) + counts.get(PieceStatus.COOKING, 0)
    rate = _per_second(cook, now=now) if cook.status == CookStatus.RUNNING else None
    return CookProgress(
        total=cook.wanted,
        pending=counts.get(PieceStatus.PENDING, 0),
        cooking=counts.get(PieceStatus.COOKING, 0),
        made=counts.get(PieceStatus.MADE, 0),
        failed=counts.get(PieceStatus.FAILED, 0),
        per_minute=None if rate is None else round(rate * 60, 2),
        seconds_left=None if rate is None else round(left / rate),
        cost_usd=spent_by(cook),
        quote_usd=cook.quote_usd,
    )


def _per_second(cook: Cook, *, now: datetime) -> float | None:
    """Return how many pieces are settled in a second, by the last ones and the time since the first of these."""
    last = cook.pieces.filter(settled_at__isnull=False).order_by("-settled_at").values_list("settled_at", flat=True)
    times = [moment for moment in last[:RECENT] if moment is not None]
    if len(times) < 2:  # noqa: PLR2004 - a rate takes two
        return None
    seconds = max(now - times[-1], timedelta(milliseconds=1)).total_seconds()
    return (len(times) - 1) / seconds
