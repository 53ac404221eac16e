"""What clients see of providers and of casts that wait for them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from django.db.models import Count, F, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce

from casts.models import Waiter

# Counting further tells nobody anything.
MAX_AHEAD = 1_000


class WaitingFor(TypedDict):
    """Where a cast waits for room, since when, and behind how many."""

    at: str
    since: datetime
    ahead: int


def waiting_for(cast_ids: Iterable[UUID]) -> dict[UUID, WaitingFor]:
    """Return where those of these casts that wait for room do so. Two queries, whatever their number, or one."""
    ids = list(cast_ids)
    waiters = list(Waiter.objects.filter(pk__in=ids).select_related("gate__tool", "gate__provider"))
    if not waiters:
        return {}
    ahead = dict(Waiter.objects.filter(pk__in=[waiter.pk for waiter in waiters]).annotate(ahead=_ahead()).values_list("pk", "ahead"))
    return {
        waiter.pk: {"at": str(waiter.gate), "since": waiter.since, "ahead": min(MAX_AHEAD, ahead.get(waiter.pk, 0))} for waiter in waiters
    }


def _ahead() -> Any:
    before = Waiter.objects.filter(gate=OuterRef("gate"), since__lt=OuterRef("since")).order_by()
    counted = before.annotate(every=F("gate")).values("every").annotate(number=Count("*")).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)
