"""Casts that nobody seems to look at: what an operator wants to see first."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from casts.models import LIVE, Cast

# A wakeup may be a little late when all conductors are busy.
PATIENCE = timedelta(minutes=1)


def stranded(now: datetime) -> Q:  # noqa: ARG001 - the others need it
    return Q(wakeup__isnull=True)


def overdue(now: datetime) -> Q:
    return Q(wakeup__due_at__lt=now - PATIENCE)


def expired(now: datetime) -> Q:
    return Q(wakeup__claimed_until__lt=now)


KINDS: Mapping[str, tuple[str, Callable[[datetime], Q]]] = {
    "stranded": ("without a wakeup", stranded),
    "overdue": ("overdue by over a minute", overdue),
    "expired": ("whose holder vanished", expired),
}
ANY = "any"


def stuck(casts: QuerySet[Cast], *, kind: str, now: datetime) -> QuerySet[Cast]:
    """Keep the unfinished casts that are stuck in one way, or in `any`. PostgreSQL has a partial index for it."""
    live = casts.filter(status__in=LIVE)
    if kind != ANY:
        return live.filter(KINDS[kind][1](now))
    condition = Q()
    for _, of_kind in KINDS.values():
        condition |= of_kind(now)
    return live.filter(condition)
