"""How far cooks are: their pieces by state, how fast they go, and what they have cost against their quotes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from casts.models import Cook, CookStatus, Piece, PieceAttempt, PieceStatus

# By the pieces of how long the rate is reckoned, if there are so many; else by all since the cook began.
RECENT = timedelta(minutes=3)
FEW = 5


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
    """Return how far a cook is. Two queries."""
    return progress_of_all([cook], now=now)[cook.pk]


def progress_of_all(cooks: Sequence[Cook], *, now: datetime) -> dict[int, CookProgress]:
    """Return how far each of these cooks is. Two queries, however many."""
    ids = [cook.pk for cook in cooks]
    counts = {status.value: Count("pk", filter=Q(status=status)) for status in PieceStatus}
    recent = Count("pk", filter=Q(settled_at__gte=now - RECENT))
    rows = Piece.objects.filter(cook__in=ids).order_by().values("cook_id").annotate(**counts, recent=recent)
    pieces = {row["cook_id"]: row for row in rows}
    costs = PieceAttempt.objects.filter(cook__in=ids).order_by().values_list("cook_id").annotate(Sum("cast__cost_usd"))
    spent: dict[int, Decimal] = dict(costs)
    return {cook.pk: _progress(cook, pieces.get(cook.pk, {}), spent.get(cook.pk, Decimal(0)), now) for cook in cooks}


def _progress(cook: Cook, counted: Mapping[str, Any], cost: Decimal, now: datetime) -> CookProgress:
    count = {status: counted.get(status.value, 0) for status in PieceStatus}
    settled = count[PieceStatus.MADE] + count[PieceStatus.FAILED]
    rate = _per_second(cook, settled=settled, recent=counted.get("recent", 0), now=now)
    return CookProgress(
        total=cook.wanted,
        pending=count[PieceStatus.PENDING],
        cooking=count[PieceStatus.COOKING],
        made=count[PieceStatus.MADE],
        failed=count[PieceStatus.FAILED],
        per_minute=None if rate is None else round(rate * 60, 2),
        seconds_left=None if rate is None else round((cook.wanted - settled) / rate),
        cost_usd=cost,
        quote_usd=cook.quote_usd,
    )


def _per_second(cook: Cook, *, settled: int, recent: int, now: datetime) -> float | None:
    """Return how many pieces are settled in a second; None when nothing goes on, or nobody can tell yet."""
    if cook.status != CookStatus.RUNNING or not settled:
        return None
    since_the_beginning = max((now - cook.created_at).total_seconds(), 1.0)
    if recent >= FEW:
        return recent / min(since_the_beginning, RECENT.total_seconds())
    return settled / since_the_beginning
