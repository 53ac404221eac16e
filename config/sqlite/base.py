"""Django's SQLite backend, made fair between processes and given the clock of our statements."""

import random
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.backends.sqlite3 import base, operations

# SQLite's own busy handler sleeps up to 100 ms, so tight writers starve the web process. Short random waits
# share the write lock: measured 123 instead of 7 requests per second beside two such writers.
LOCK_WAIT_SECONDS = (0.0002, 0.003)
LOCK_TIMEOUT_SECONDS = 30.0

# What `grimoire_now()` is ahead of this machine's clock. Tests move it.
clock_shift = timedelta()


def now_text(seconds: float = 0.0) -> str:
    """Return the clock's reading plus `seconds`, in the text form in which Django stores a UTC datetime."""
    return (datetime.now(UTC) + clock_shift + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(" ", "microseconds")


class DatabaseOperations(operations.DatabaseOperations):
    def sql_flush(self, style: Any, tables: Any, **options: Any) -> list[str]:
        """Return Django's statements behind ones that lift our triggers; `post_migrate` puts them back.

        PostgreSQL truncates without asking row triggers; here a flush deletes row by row, and the triggers that
        keep published versions as they are would refuse it.
        """
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'spells\\_%%' ESCAPE '\\'")
            lifted = [f"DROP TRIGGER IF EXISTS {self.quote_name(name)};" for (name,) in cursor.fetchall()]
        return [*lifted, *super().sql_flush(style, tables, **options)]


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.create_function("grimoire_now", 0, now_text)
        connection.create_function("grimoire_now", 1, now_text)
        return connection

    def writes(self) -> tuple[int, int]:
        """Return what differs once somebody has written: the version of the file as others made it, and our own changes."""
        self.ensure_connection()
        # On the driver's own connection, as below.
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        return version, self.connection.total_changes

    def _start_transaction_under_autocommit(self) -> None:
        # On the driver's own connection: these are not queries of the program, whose number tests count.
        assert self.connection is not None
        with self.wrap_database_errors:
            (patience,) = self.connection.execute("PRAGMA busy_timeout").fetchone()
            self.connection.execute("PRAGMA busy_timeout = 0")
            try:
                self._begin(give_up_at=time.monotonic() + LOCK_TIMEOUT_SECONDS)
            finally:
                self.connection.execute(f"PRAGMA busy_timeout = {int(patience)}")

    def _begin(self, *, give_up_at: float) -> None:
        """Open a write transaction, waiting for other writers until `give_up_at` on the monotonic clock."""
        while True:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                # The low byte is the kind: busy with a writer, or with the recovery after one that was killed.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                    raise
                time.sleep(random.uniform(*LOCK_WAIT_SECONDS))  # noqa: S311 - spreads waiters, guards nothing
            else:
                return
