import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from config.sqlite import base
from tests.conftest import Clock

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def counter() -> Iterator[None]:
    """A table with one row that counts."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE counter (value integer NOT NULL)")
        cursor.execute("INSERT INTO counter VALUES (0)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE counter")


def count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM counter")
        return int(cursor.fetchone()[0])


def write(value: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE counter SET value = %s", [value])


@contextmanager
def stranger() -> Iterator[sqlite3.Connection]:
    """Another connection to the same file, that does not wait."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)) as other:
        yield other


def test_eight_writers_lose_no_update_meet_no_lock_error_and_share_the_lock():
    written = [0] * 8
    errors: list[Exception] = []
    ends_at = time.monotonic() + 1.5

    def write_on(writer: int) -> None:
        try:
            while time.monotonic() < ends_at:
                with transaction.atomic():
                    write(count() + 1)
                written[writer] += 1
        except OperationalError as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write_on, args=[writer]) for writer in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert count() == sum(written)
    assert min(written) > 0


def test_a_transaction_holds_the_write_lock_from_its_first_moment():
    with transaction.atomic(), stranger() as other:
        count()
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            other.execute("BEGIN IMMEDIATE")
    with stranger() as other:
        other.execute("BEGIN IMMEDIATE")


def test_readers_do_not_wait_for_a_writer():
    with transaction.atomic(), stranger() as other:
        write(7)
        assert other.execute("SELECT value FROM counter").fetchone() == (0,)


def test_a_writer_waits_for_the_lock():
    connection.ensure_connection()
    with stranger() as other:
        other.execute("BEGIN IMMEDIATE")
        asked: list[float] = []

        def let_go(at_most: float, spent: float = 0.0) -> None:
            asked.append(at_most)
            if len(asked) == 3:
                other.execute("COMMIT")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("config.sqlite.base.time.sleep", let_go)
            with transaction.atomic():
                write(1)
    assert len(asked) == 3
    assert all(base.LOCK_WAIT_SECONDS[0] <= seconds <= base.LOCK_WAIT_SECONDS[1] for seconds in asked)
    assert count() == 1


def test_a_writer_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "LOCK_TIMEOUT_SECONDS", 0.05)
    with stranger() as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"), transaction.atomic():
            write(1)
    with transaction.atomic():
        write(2)
    assert count() == 2


def test_waiting_leaves_the_driver_as_patient_as_it_was():
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        before = cursor.fetchone()
        with transaction.atomic():
            write(1)
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone() == before == (20_000,)


def test_taking_the_lock_is_no_query_of_the_program():
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        write(1)
    assert [query["sql"].split()[0] for query in queries if "PRAGMA" in query["sql"]] == []


def test_the_file_is_written_ahead():
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone() == ("wal",)


def test_the_clock_of_statements_reads_like_a_stored_datetime(clock: Clock):
    now = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [connection.ops.adapt_datetimefield_value(now)])
        [stored] = cursor.fetchone()
        cursor.execute("SELECT grimoire_now()")
        [shown] = cursor.fetchone()
    assert len(shown) == len(stored) == len("2026-03-04 05:06:07.000089")
    assert abs(datetime.fromisoformat(shown).replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_clock_of_statements_tells_what_comes_later(clock: Clock):
    with connection.cursor() as cursor:
        cursor.execute("SELECT grimoire_now() < grimoire_now(30), grimoire_now(-30) < grimoire_now()")
        assert cursor.fetchone() == (1, 1)
