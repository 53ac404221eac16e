import json
from uuid import uuid4

import pytest
from django.db import connection, transaction

from casts import doorbell

from .factories import ConductorProcessFactory
from .scenes import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def rings(monkeypatch):
    """Collect the messages instead of sending them."""
    sent: list[list[str]] = []
    monkeypatch.setattr(doorbell._Ring, "__call__", lambda ring: sent.append(json.loads(ring.message())))
    return sent


def test_a_transaction_rings_once_for_all_its_casts(rings, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        started = [cast({"key": "one"}, slug=f"spell-{n}") for n in range(3)]
    assert rings == [sorted(str(each.pk) for each in started)]


def test_the_next_transaction_rings_again(rings, django_capture_on_commit_callbacks):
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            doorbell.knock(cast_id=uuid4())
        connection.run_on_commit.clear()  # as the commit does; here the test's own transaction goes on
    assert [len(ring) for ring in rings] == [1, 1]


def test_a_ring_of_a_savepoint_that_was_taken_back_does_not_swallow_the_next(rings, django_capture_on_commit_callbacks):
    kept = uuid4()
    with django_capture_on_commit_callbacks(execute=True):
        with transaction.atomic():
            doorbell.knock(cast_id=uuid4())
            transaction.set_rollback(True)
        doorbell.knock(cast_id=kept)
    assert rings == [[str(kept)]]


def test_too_many_casts_for_one_message_ask_for_a_look_at_everything(rings, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(doorbell.MOST_NAMED + 1):
            doorbell.knock(cast_id=uuid4())
    assert rings == [[]]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_longest_message_is_one_that_postgresql_takes(clock):
    ConductorProcessFactory.create(started_at=clock.now(), alive_until=clock.now().replace(year=2100))
    ring = doorbell._Ring()
    ring.cast_ids = {uuid4() for _ in range(doorbell.MOST_NAMED)}
    assert 7_000 < len(ring.message()) < 8_000
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [doorbell.CHANNEL, ring.message()])
