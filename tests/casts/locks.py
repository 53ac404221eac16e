"""Transactions that are kept open, and whoever waits for them."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from tests.processes import wait_for

PATIENCE_SECONDS = 100.0


@contextmanager
def another_connection() -> Iterator[ThreadPoolExecutor]:
    """Run functions on a thread with a database connection of its own."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool
        pool.submit(lambda: connection.close()).result()  # noqa: PLW0108 - `connection` is another one on that thread


@contextmanager
def open_transaction(work: Callable[[], Any]) -> Iterator[threading.Event]:
    """Run `work` in a transaction on another connection, open until the block ends or the event is set; then it commits."""
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                work()
                entered.set()
                assert leave.wait(PATIENCE_SECONDS)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        holding: Future[None] = pool.submit(hold)
        assert entered.wait(PATIENCE_SECONDS) or holding.exception()
        try:
            yield leave
        finally:
            leave.set()
        holding.result()


def wait_until_blocked() -> None:
    """Wait until some connection to this database waits for a lock that another holds. PostgreSQL only."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with connection.cursor() as cursor:

        def look() -> bool:
            cursor.execute(waiting)
            return bool(cursor.fetchone()[0])

        wait_for("somebody waits for a lock", look, pause=0.005)
