"""What an operator sees first: how casts stand, what is stuck, what waits for somebody, and who conducts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, QuerySet
from django.urls import reverse

from casts.clock import database_now
from casts.models import ENDED, LIVE, Alert, Cast, CastStatus, ConductorProcess
from casts.progress import ShownStatus, with_shown_status
from generations.models import Generation, GenerationStatus
from spells.admin.filters import first_id_since
from spells.admin.records import MAX_COUNT

from . import stuck

SHOWN_CONDUCTORS = 10
SHOWN_ALERTS = 20
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number, what it counts, and the list behind it. `look` is the class by which it is drawn."""

    title: str
    count: int
    url: str
    look: str
    hint: str = ""

    @property
    def shown(self) -> str:
        return f"{MAX_COUNT:,}+" if self.count >= MAX_COUNT else f"{self.count:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The state of the site at one moment. `worries` are tiles that should read zero."""

    live: list[Tile]
    ended: list[Tile]
    worries: list[Tile]
    alerts: Sequence[Alert]
    conductors: Sequence[ConductorProcess]
    due: bool

    @property
    def is_calm(self) -> bool:
        return not any(tile.count for tile in self.worries)


def overview() -> Overview:
    """Count what indexes hold together, on PostgreSQL at least: live casts, those of the last day, open calls. Eight queries."""
    now = database_now()
    conductors = list(ConductorProcess.objects.filter(alive_until__gt=now).order_by("-started_at")[:SHOWN_CONDUCTORS])
    live = _live()
    return Overview(
        live=[_casts(status, live.get(status, 0), status=status) for status in ShownStatus.values if status not in ENDED],
        ended=_ended(now),
        worries=[*_stuck(now), _unknown()],
        alerts=list(Alert.objects.open().defer("details").order_by("-pk")[:SHOWN_ALERTS]),
        conductors=conductors,
        due=bool(live.get(CastStatus.QUEUED) or live.get(CastStatus.RUNNING)),
    )


def _casts(title: str, count: int, *, hint: str = "", look: str = "", **query: str) -> Tile:
    url = f"{reverse('admin:casts_cast_changelist')}?{urlencode(query)}"
    return Tile(title=title, count=count, url=url, look=look or title, hint=hint)


def _capped(rows: QuerySet[Any]) -> int:
    return rows.order_by()[:MAX_COUNT].count()


def _live() -> dict[str, int]:
    counts = dict(Cast.objects.filter(status__in=LIVE).order_by().values_list("status").annotate(count=Count("pk")))
    running = Cast.objects.filter(status=CastStatus.RUNNING)
    waiting = _capped(with_shown_status(running).filter(shown_status=ShownStatus.WAITING)) if counts.get(CastStatus.RUNNING) else 0
    in_hand = max(0, counts.get(CastStatus.RUNNING, 0) - waiting)
    return {**counts, CastStatus.RUNNING.value: in_hand, ShownStatus.WAITING.value: waiting}


def _ended(now: datetime) -> list[Tile]:
    """Count the ended ones among the casts of the last day, found by their ids."""
    rows = Cast.objects.filter(pk__gte=first_id_since(now - DAY), status__in=ENDED)
    counts = dict(rows.order_by().values_list("status").annotate(count=Count("pk")))
    return [_casts(status, counts.get(status, 0), status=status, since="day") for status in ENDED]


def _stuck(now: datetime) -> list[Tile]:
    kinds = {kind: Count("pk", filter=of_kind(now)) for kind, (_, of_kind) in stuck.KINDS.items()}
    counts = Cast.objects.filter(status__in=LIVE).aggregate(**kinds)
    hints = {
        "stranded": "Nobody will ever look at them. manage.py reap gives them a wakeup.",
        "overdue": "They are due, and no conductor takes them. Is one running, and has it room?",
        "expired": "A conductor went away without a word. The next one takes them.",
    }
    return [_casts(f"casts {title}", counts[kind], stuck=kind, look="stuck", hint=hints[kind]) for kind, (title, _) in stuck.KINDS.items()]


def _unknown() -> Tile:
    rows = Generation.objects.filter(status=GenerationStatus.UNKNOWN)
    return Tile(
        title="calls of which nobody knows",
        count=_capped(rows),
        url=f"{reverse('admin:generations_generation_changelist')}?status__exact={GenerationStatus.UNKNOWN}",
        look="unknown",
        hint="They may have been billed. Look them up at their provider, and settle them on the page of their cast.",
    )
