"""Errands: rows with a due time that any conductor may take, like a callback to apply.

A model of errands has `due_at`, empty once the errand is done, and `attempts`. A claim parks `due_at` at the end of a
lease and counts the attempt in the same statement, so that an errand whose conductor vanishes comes due again, and the
count fences out whoever took it before. What may be tried too often is for the errand itself to say.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, models

from casts.engine import sql
from casts.engine.retrying import in_one_statement
from casts.models import AlertMail, AlertWatch, Cook, Export, Notification
from generations.models import Callback, Cancellation

LEASE_SECONDS = 60.0
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 300.0

MODELS: tuple[type[models.Model], ...] = (Callback, Cancellation, Cook, Export, Notification, AlertMail, AlertWatch)

# Errands that change nothing when two do them at once, even under the same count. So a claim of one may be forgotten by a
# database that crashes (not by one whose clients do), and nobody waits until it is on the disk.
REPEATABLE: frozenset[type[models.Model]] = frozenset({Callback})

_COLUMNS = {"id": "bigint", "attempts": "bigint"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """The right to do one errand, until its lease runs out. `attempts` counts this one, and fences as an epoch does."""

    id: int
    attempts: int


def claim(model: type[models.Model], *, limit: int, lease_seconds: float = LEASE_SECONDS) -> list[Errand]:
    """Take up to `limit` errands that are due, the longest due first. On SQLite it takes the write lock: ask `due` first."""
    return _claim(model, limit=limit, lease_seconds=lease_seconds) if limit > 0 else []


@in_one_statement
def _claim(model: type[models.Model], *, limit: int, lease_seconds: float) -> list[Errand]:
    table = model._meta.db_table
    # of this statement alone: in a transaction of the caller's it would be off for all that is written there
    is_unwaited = model in REPEATABLE and not connection.in_atomic_block
    unwaited = "CROSS JOIN (SELECT set_config('synchronous_commit', 'off', true)) AS unwaited" if is_unwaited else ""
    rows = sql.fetch(
        f"""
        WITH due AS MATERIALIZED (
            SELECT id FROM {table} WHERE due_at <= (SELECT grimoire_now())
            ORDER BY due_at LIMIT %(limit)s {sql.on_postgresql("FOR UPDATE SKIP LOCKED")}
        )
        UPDATE {table} SET due_at = (SELECT {sql.now_plus("lease")}), attempts = attempts + 1
        FROM due {sql.on_postgresql(unwaited)} WHERE {table}.id = due.id RETURNING {table}.id, attempts
        """,  # noqa: S608 - the table is our own model's
        {"limit": limit, "lease": lease_seconds},
    )
    return sorted((Errand(id=id_, attempts=attempts) for id_, attempts in rows), key=lambda errand: errand.id)


def due(kinds: Sequence[type[models.Model]], *, within_seconds: float = 0.0) -> list[type[models.Model]]:
    """Return those of these models of which an errand is due, or will be within so many seconds. One query that reads only."""
    bound = f"due_at <= (SELECT {sql.now_plus('within')})"
    asked = (f"SELECT {number} WHERE {sql.is_any(each._meta.db_table, bound, by='due_at')}" for number, each in enumerate(kinds))
    return [kinds[number] for (number,) in sql.fetch(" UNION ALL ".join(asked), {"within": within_seconds})] if kinds else []


def is_due(kind: type[models.Model]) -> str:
    """Return SQL that tells whether an errand of this model is due, for whoever asks for more in the same query."""
    return sql.is_any(kind._meta.db_table, "due_at <= (SELECT grimoire_now())", by="due_at")


def is_any_due(*kinds: type[models.Model], within_seconds: float = 0.0) -> bool:
    """Tell whether an errand, of these models or of any, is due or will be within so many seconds. Reads only."""
    return bool(due(kinds or MODELS, within_seconds=within_seconds))


def renew(model: type[models.Model], errands: Sequence[Errand], *, lease_seconds: float = LEASE_SECONDS) -> None:
    """Hold on to errands that are at work for another lease."""
    put_off(model, errands, seconds=lease_seconds)


@in_one_statement
def put_off(model: type[models.Model], errands: Sequence[Errand], *, seconds: float) -> int:
    """Make errands due in so many seconds, those that are still ours. Returns how many were."""
    if not errands:
        return 0
    table = model._meta.db_table
    return sql.count(
        f"""
        UPDATE {table} SET due_at = (SELECT {sql.now_plus("seconds")})
        FROM {sql.recordset("mine", _COLUMNS)}
        WHERE {table}.id = mine.id AND {table}.attempts = mine.attempts AND {table}.due_at IS NOT NULL
        """,  # noqa: S608 - as above
        {"seconds": seconds, "rows": sql.rows_parameter({"id": each.id, "attempts": each.attempts} for each in errands)},
    )


def wait_before_retry(errand: Errand) -> float:
    """Return the seconds before the next attempt: exponential backoff, full jitter, at least one second."""
    ceiling = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(errand.attempts - 1, 60))
    return 1.0 + random.uniform(0.0, ceiling)  # noqa: S311 - spreads retries, guards nothing
