"""Which of the due wakeups a claim takes: interactive before batch, and within each the initiators in turns.

A backlog of one initiator is never read as a whole. The candidates of a claim are the wakeups that have been due
longest, and the first ones of each initiator. The initiators are found by one probe of an index for each, up to a bound;
beyond it a claim asks some of them, beginning with another one each time.
"""

import random
from typing import Any

from casts.models import Priority

from . import sql

# Initiators that a claim asks in each bucket of priority.
MOST_INITIATORS = 32
# From how many places on a claim keeps one for the first of each bucket: however much is urgent, the rest moves on.
KEEPS_A_PLACE_FROM = 10

# A cast whose holders vanished twice in a row, before their first look at it was done, may be what made them vanish.
SUSPICION = "claimed_until IS NOT NULL AND lost >= 1"
# by a table `clock`
DUE = "due_at <= (SELECT at FROM clock) AND (claimed_until IS NULL OR claimed_until <= (SELECT at FROM clock))"
_LOCKED = "FOR UPDATE SKIP LOCKED"


def suspects(*, limit: int) -> str:
    """Return SQL for a table `due` of the suspects that are due, locked. It asks for `clock`.

    How many is part of the text: while it is a parameter, PostgreSQL takes a plan for any number for so bad that it plans
    each claim anew, which takes longer than the claim.
    """
    return f"""
        due AS MATERIALIZED (
            SELECT cast_id FROM casts_wakeup WHERE {DUE} AND {SUSPICION}
            ORDER BY due_at LIMIT {limit:d} {sql.on_postgresql(_LOCKED)}
        )"""


def unsuspected(*, limit: int) -> str:
    """Return SQL for a table `due` of the wakeups that a claim takes, locked. It asks for `clock` and `parameters`.

    How many is part of the text, as it is for suspects.
    """
    return f"""
        bucket(priority) AS (VALUES {", ".join(f"({priority})" for priority in Priority.values)}),
        {_ring()},
        candidate AS (
            SELECT * FROM (
                SELECT cast_id, priority, initiator_id, due_at FROM casts_wakeup
                WHERE {DUE} AND NOT ({SUSPICION}) ORDER BY due_at LIMIT {4 * limit:d}
            ) AS oldest
            UNION
            SELECT head.cast_id, head.priority, head.initiator_id, head.due_at
            FROM (SELECT DISTINCT priority, initiator_id FROM ring) AS queue {_heads(limit=limit)}
        ),
        in_turns AS (
            SELECT cast_id, priority, due_at, ROW_NUMBER() OVER (PARTITION BY priority, initiator_id ORDER BY due_at, cast_id) AS turn
            FROM candidate
        ),
        line AS (
            SELECT cast_id, priority, ROW_NUMBER() OVER (PARTITION BY priority ORDER BY turn, due_at, cast_id) AS place FROM in_turns
        ),
        chosen AS MATERIALIZED (
            SELECT cast_id FROM line
            ORDER BY CASE WHEN place <= %(kept)s THEN {min(Priority.values)} ELSE priority END, place LIMIT {4 * limit:d}
        ),
        due AS MATERIALIZED (SELECT chosen.cast_id FROM chosen {_untaken()} LIMIT {limit:d})"""


def parameters(*, limit: int) -> dict[str, Any]:
    """Return what the statements ask for. `lot` says with which initiator to begin."""
    return {"kept": int(limit >= KEEPS_A_PLACE_FROM), "lot": random.random()}  # noqa: S311 - spreads turns, guards nothing


def _ring() -> str:
    """Return SQL that goes around the initiators of each bucket, from a random one on, until it comes back or has enough.

    The one that it comes back to is listed twice.
    """
    after = "SELECT MIN(initiator_id) FROM casts_wakeup AS other WHERE other.priority = ring.priority"
    return f"""
        span(priority, least, most) AS MATERIALIZED (
            SELECT priority, (SELECT MIN(initiator_id) FROM casts_wakeup AS one WHERE one.priority = bucket.priority),
                (SELECT MAX(initiator_id) FROM casts_wakeup AS one WHERE one.priority = bucket.priority)
            FROM bucket
        ),
        beginning(priority, initiator_id) AS MATERIALIZED (
            SELECT priority, (
                SELECT MIN(initiator_id) FROM casts_wakeup AS one
                WHERE one.priority = span.priority AND one.initiator_id >= least + CAST(%(lot)s * (most - least) AS bigint)
            ) FROM span WHERE least IS NOT NULL
        ),
        ring(priority, begin_id, initiator_id, place) AS (
            SELECT priority, initiator_id, initiator_id, 1 FROM beginning
            UNION ALL
            SELECT priority, begin_id, COALESCE(({after} AND other.initiator_id > ring.initiator_id), ({after})), place + 1 FROM ring
            WHERE place <= {MOST_INITIATORS} AND (place = 1 OR initiator_id <> begin_id)
        )"""


def _heads(*, limit: int) -> str:
    """Return SQL that joins each `queue` of an initiator with those of its wakeups that have been due longest, as `head`.

    It compares rows, and not column by column, so that one index alone can serve it.
    """
    head = f"""
        FROM casts_wakeup AS own
        WHERE (own.priority, own.initiator_id) >= (queue.priority, queue.initiator_id)
          AND (own.priority, own.initiator_id, own.due_at) <= (queue.priority, queue.initiator_id, (SELECT at FROM clock))
          AND {DUE} AND NOT ({SUSPICION})
        ORDER BY own.priority, own.initiator_id, own.due_at LIMIT {limit:d}
        """
    if sql.is_postgresql():
        return f"CROSS JOIN LATERAL (SELECT cast_id, priority, initiator_id, due_at {head}) AS head"
    return f"JOIN casts_wakeup AS head ON head.cast_id IN (SELECT own.cast_id {head})"


def _untaken() -> str:
    """Return SQL that locks the `chosen` one by one, in their order, and passes over those that another claim has or had.

    On SQLite there is no other claim meanwhile.
    """
    locked = f"SELECT 1 FROM casts_wakeup AS wakeup WHERE wakeup.cast_id = chosen.cast_id AND {DUE} {_LOCKED}"
    return sql.on_postgresql(f"CROSS JOIN LATERAL ({locked}) AS untaken")
