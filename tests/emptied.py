"""What a test committed is taken out of its database again, at the cost of what it wrote and not of all there is.

Django's own flush empties every table, and has `post_migrate` make again what it misses: content types, permissions, schedules,
triggers. That takes 40 ms and more, after each test that commits. Few tables have rows then, and fewer had any before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.test import TestCase, TransactionTestCase

Rows = list[tuple[Any, ...]]
# PostgreSQL keeps the room of rows that are gone, also of those that were rolled back. Of so many bytes it is given back.
MANY_BYTES = 1 << 20


@contextmanager
def emptied_after_tests() -> Iterator[None]:
    """Have tests that commit be followed by this instead of a flush. The database is as it was migrated."""
    flush, roll_back = TransactionTestCase._fixture_teardown, TestCase._fixture_teardown  # type: ignore[attr-defined]
    database = Database()

    def follow(case: TransactionTestCase) -> None:
        if not database.empty():
            flush(case)
            database.remember()
        database.give_room_back()

    def follow_rolled_back(case: TestCase) -> None:
        roll_back(case)
        database.give_room_back()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", follow)
        patch.setattr(TestCase, "_fixture_teardown", follow_rolled_back)
        yield


class Database:
    """The default database, and the rows that it holds when no test has written any."""

    def __init__(self) -> None:
        """Take it as it is."""
        self._tables = sorted(connection.introspection.django_table_names(only_existing=True, include_views=False))
        self._kept: dict[str, Rows] = {}
        self.remember()

    def remember(self) -> None:
        """Keep the rows that are there now."""
        with connection.cursor() as cursor:
            self._kept = {table: _rows(cursor, table) for table in self._with_rows(cursor)}

    def empty(self) -> bool:
        """Remove all rows but those that are kept. Return False, with none removed, if these have changed or we lack the right to do it."""
        if connection.vendor == "sqlite":
            connection.disable_constraint_checking()  # has no effect inside a transaction
        try:
            with transaction.atomic(durable=True), connection.cursor() as cursor:
                if connection.vendor == "postgresql" and not self._have_alone(cursor):
                    return False
                if any(_rows(cursor, table) != rows for table, rows in self._kept.items()):
                    return False
                _delete(cursor, [table for table in self._with_rows(cursor) if table not in self._kept])
            return True
        finally:
            if connection.vendor == "sqlite":
                connection.enable_constraint_checking()

    def give_room_back(self) -> None:
        """Have PostgreSQL forget rows that are gone, where they are many: each look at their tables would pass over them."""
        if connection.vendor != "postgresql":
            return
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname FROM pg_class WHERE oid = ANY (%s::regclass[]) AND pg_relation_size(oid) > %s", [self._tables, MANY_BYTES]
            )
            for (table,) in cursor.fetchall():
                cursor.execute(f"VACUUM {connection.ops.quote_name(table)}")

    def _with_rows(self, cursor: CursorWrapper) -> list[str]:
        looks = (f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {connection.ops.quote_name(table)})" for table in self._tables)
        cursor.execute(" UNION ALL ".join(looks))
        return [table for (table,) in cursor.fetchall()]

    def _have_alone(self, cursor: CursorWrapper) -> bool:
        """Wait for writers that a test left behind, and lift constraints and triggers for this transaction. False if we may not."""
        cursor.execute("SELECT current_setting('is_superuser')")
        if cursor.fetchone() != ("on",):
            return False
        cursor.execute(f"LOCK TABLE {', '.join(map(connection.ops.quote_name, self._tables))} IN EXCLUSIVE MODE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        return True


def _rows(cursor: CursorWrapper, table: str) -> Rows:
    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY 1")
    rows: Rows = cursor.fetchall()
    return rows


def _delete(cursor: CursorWrapper, tables: list[str]) -> None:
    lifted: Rows = []
    if connection.vendor == "sqlite":
        cursor.execute("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")
        lifted = [trigger for trigger in cursor.fetchall() if trigger[1] in tables]
    for name, _, _ in lifted:
        cursor.execute(f"DROP TRIGGER {connection.ops.quote_name(name)}")
    for table in tables:
        cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")
    for _, _, statement in lifted:
        cursor.execute(statement)
