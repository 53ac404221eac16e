"""How PostgreSQL stores our tables: settings that a migration makes, and which changes write no index."""

from importlib import import_module
from uuid import uuid4

import pytest
from django.db import connection

from casts.models import Cast
from generations.tools.contract import Result
from tests.factories import UserFactory

from .factories import CastEventFactory, CastFactory, NotificationFactory
from .scenes import Hand, billed, cast, cost

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

SETTINGS = import_module("casts.migrations.0015_storage_settings").SETTINGS


def in_place(table: str) -> int:
    """Return how many changes of rows of this transaction wrote no index."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_tuples_hot_updated(%s::regclass)", [table])
        return int(cursor.fetchone()[0])


def test_tables_have_the_settings_of_the_migration():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, reloptions FROM pg_class WHERE relname = ANY(%s)", [list(SETTINGS)])
        found = dict(cursor.fetchall())
    assert {table: set(options) for table, options in found.items()} == {
        table: {f"{name}={value}" for name, value in settings.items()} for table, settings in SETTINGS.items()
    }


def test_booking_a_cost_writes_no_index():
    hand = Hand(cast({"key": "one", "tool": billed()}, {"key": "two"}))
    hand.look()
    before = in_place(Cast._meta.db_table)
    hand.answer("one", Result(output={}, cost=cost("0.1")))
    assert in_place(Cast._meta.db_table) == before + 1


def planned(query: str) -> str:
    """Return how a query is answered where no whole table may be read or sorted, by a plan that knows no parameter."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; "
            "SET LOCAL plan_cache_mode = force_generic_plan"
        )
        cursor.execute(f"PREPARE asked(bigint) AS {query}")
        cursor.execute("EXPLAIN EXECUTE asked(1)")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("DEALLOCATE asked")
    return plan


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM casts_cast WHERE initiator_id = $1 ORDER BY id DESC LIMIT 50", "Backward using cast_of_initiator"),
        ("SELECT 1 FROM casts_cast WHERE initiator_id = $1 FOR KEY SHARE", "using cast_of_initiator"),
        ("SELECT * FROM casts_notification WHERE recipient_id = $1 ORDER BY id DESC LIMIT 50", "Backward using notification_to_recipient"),
        ("SELECT 1 FROM casts_notification WHERE recipient_id = $1 FOR KEY SHARE", "using notification_to_recipient"),
        ("SELECT 1 FROM casts_notification WHERE subscription_id = $1 FOR KEY SHARE", "using notification_of_subscription"),
        ("SELECT 1 FROM casts_castevent WHERE actor_id = $1 FOR KEY SHARE", "using castevent_of_actor"),
    ],
)
def test_lists_and_foreign_keys_are_served_by_the_indexes_that_are_there(query: str, index: str):
    """Those with `FOR KEY SHARE` are what PostgreSQL itself asks before the row goes to which they refer."""
    CastFactory.create_batch(30)
    NotificationFactory.create_batch(30)
    NotificationFactory.create_batch(30, channel="webhook")
    CastEventFactory.create_batch(30, actor=None)
    CastEventFactory.create_batch(30, actor=UserFactory.create())
    for table in ("casts_cast", "casts_notification", "casts_castevent"):
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {table}")
    assert index in planned(query)


@pytest.mark.parametrize(
    ("table", "column", "index"),
    [
        ("generations_generation", "cast_id", "generation_attempt_is_unique_per_step_item"),
        ("casts_notification", "cast_id", "notification_is_sent_once_per_round_and_generation"),
        ("casts_notification", "message_id", "notification_message_id_is_unique"),
    ],
)
def test_rows_are_found_by_a_constraint_that_begins_with_what_they_are_of(table: str, column: str, index: str):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN SELECT id FROM {table} WHERE {column} = %s FOR KEY SHARE", [uuid4()])
        assert index in "".join(line for (line,) in cursor.fetchall())
