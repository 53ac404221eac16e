"""What clients see of providers and of casts that wait for them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from casts.engine import sql
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
    ahead = _ahead([waiter.pk for waiter in waiters])
    return {waiter.pk: {"at": str(waiter.gate), "since": waiter.since, "ahead": ahead.get(waiter.pk, 0)} for waiter in waiters}


def _ahead(ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many came before each of these to its gate, up to a bound: entries of an index beyond it are not read."""
    rows = sql.fetch(
        f"""
        SELECT mine.cast_id, (
            SELECT COUNT(*) FROM (
                SELECT 1 FROM casts_waiter AS other WHERE other.gate_id = mine.gate_id AND other.since < mine.since LIMIT %(most)s
            ) AS before
        )
        FROM casts_waiter AS mine WHERE {sql.ids_in("mine.cast_id")}
        """,  # noqa: S608 - our own words; every value is a parameter
        {"most": MAX_AHEAD, "ids": sql.ids_parameter(ids)},
    )
    return {sql.uuid_of(cast_id): number for cast_id, number in rows}
