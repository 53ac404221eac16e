import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from casts import waiting
from casts.models import Cast
from casts.waiting import wait_for_end
from tests.casts.factories import CastFactory


def end(cast):
    now = timezone.now()
    Cast.objects.filter(pk=cast.pk).update(status="succeeded", outputs={}, started_at=now, finished_at=now)


@pytest.mark.django_db
def test_waiting_for_an_ended_cast_asks_once(django_assert_num_queries):
    cast = CastFactory.create(status="failed")
    with django_assert_num_queries(1):
        assert wait_for_end(cast_id=cast.pk, seconds=30)


@pytest.mark.django_db
def test_waiting_gives_up_after_its_seconds():
    cast = CastFactory.create()
    began = time.monotonic()
    assert wait_for_end(cast_id=cast.pk, seconds=0.2)
    assert 0.2 <= time.monotonic() - began < 5


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_with_the_cast_and_holds_no_transaction():
    cast = CastFactory.create()
    waited: list[float] = []

    def wait() -> None:
        began = time.monotonic()
        try:
            assert wait_for_end(cast_id=cast.pk, seconds=60)
            assert not connection.in_atomic_block
            waited.append(time.monotonic() - began)
        finally:
            connection.close()

    thread = threading.Thread(target=wait)
    thread.start()
    end(cast)  # on SQLite it would block, if the one who waits held a transaction
    thread.join(timeout=30)
    assert len(waited) == 1
    assert waited[0] < 30


@pytest.mark.django_db
def test_whoever_finds_no_seat_is_answered_at_once(monkeypatch):
    monkeypatch.setattr(waiting, "_seats", threading.BoundedSemaphore(1))
    cast = CastFactory.create()
    assert waiting._seats.acquire(blocking=False)
    assert not wait_for_end(cast_id=cast.pk, seconds=60)
    waiting._seats.release()
    assert wait_for_end(cast_id=cast.pk, seconds=0)


@pytest.fixture
def pool_of_one(transactional_db):
    """A pool with a single connection, for all threads of this test."""
    connection.close()
    pooled = {"OPTIONS": {**connection.settings_dict["OPTIONS"], "pool": {"min_size": 1, "max_size": 1, "timeout": 1}}, "CONN_MAX_AGE": 0}
    before = {name: connection.settings_dict[name] for name in pooled}
    connection.settings_dict.update(pooled)
    yield
    connection.close()
    pooled_connection: Any = connection
    pooled_connection.pool.wait(timeout=10)  # connections come back on a thread of the pool's own
    pooled_connection.close_pool()
    connection.settings_dict.update(before)


@pytest.mark.postgresql
def test_those_who_wait_share_the_connections_of_a_pool(pool_of_one):
    cast = CastFactory.create()
    connection.close()

    def wait(_: int) -> bool:
        try:
            return wait_for_end(cast_id=cast.pk, seconds=2)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(wait, range(4))) == [True] * 4
