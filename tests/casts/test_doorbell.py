import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection, transaction
from django_q.models import OrmQ

from casts import doorbell, tasks
from casts.clock import database_now
from casts.conductor.ears import ANYTHING, Rang, _read
from casts.models import Cook, ShiftRequest
from casts.models.conductor import ConductorKind
from generations.models import Callback

from .factories import ConductorProcessFactory
from .scenes import cast

pytestmark = pytest.mark.django_db

ID = uuid4()


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


@pytest.mark.parametrize(
    ("knocks", "heard"),
    [
        ([{"errand": Callback}], Rang(errand=Callback)),
        ([{"errand": Callback}, {"errand": Callback}], Rang(errand=Callback)),
        ([{"errand": Callback}, {"errand": Cook}], ANYTHING),
        ([{"errand": Callback}, {}], ANYTHING),
        ([{}], ANYTHING),
        ([{"errand": Callback}, {"cast_id": ID}], Rang(cast_ids=(ID,))),
        ([{}, {"cast_id": ID}], Rang(cast_ids=(ID,))),
    ],
)
def test_what_rang_is_heard_or_that_anything_may_have(monkeypatch, django_capture_on_commit_callbacks, knocks, heard):
    """Whoever hears of casts looks for errands, too."""
    sent = []
    monkeypatch.setattr(doorbell._Ring, "__call__", lambda ring: sent.append(_read(ring.message())))
    with django_capture_on_commit_callbacks(execute=True):
        for each in knocks:
            doorbell.knock(**each)
    assert sent == [heard]


@pytest.mark.parametrize("words", ["", "spells.Tool", "7", "[7]", "[[1]]", '["generations.Callback"]', "{}x"])
def test_the_words_of_others_may_mean_anything(words):
    assert _read(words) == ANYTHING


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_longest_message_is_one_that_postgresql_takes(clock):
    ConductorProcessFactory.create(started_at=clock.now(), alive_until=clock.now().replace(year=2100))
    ring = doorbell._Ring()
    ring.cast_ids = {uuid4() for _ in range(doorbell.MOST_NAMED)}
    assert 7_000 < len(ring.message()) < 8_000
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [doorbell.CHANNEL, ring.message()])


def asked_for() -> int:
    return sum(each.task["func"] == doorbell.TASK for each in OrmQ.objects.all())


@pytest.fixture
def knocks(django_capture_on_commit_callbacks):
    def knock(times: int = 1) -> None:
        for _ in range(times):
            with django_capture_on_commit_callbacks(execute=True):
                doorbell.knock(cast_id=uuid4())
            connection.run_on_commit.clear()  # as the commit does; here the test's own transaction goes on

    return knock


def test_casts_that_start_while_nobody_conducts_ask_the_cluster_for_one_shift(knocks):
    knocks(5)
    assert asked_for() == 1


def test_a_ring_after_a_shift_has_begun_asks_for_another(knocks):
    knocks()
    doorbell.shift_begins()
    knocks(2)
    assert asked_for() == 2


def test_a_shift_that_never_began_is_asked_for_again(knocks, clock):
    knocks()
    clock.advance(seconds=doorbell.ASK_AGAIN_SECONDS - 1)
    knocks()
    assert asked_for() == 1
    clock.advance(seconds=2)
    knocks(2)
    assert asked_for() == 2


def test_a_shift_takes_it_that_it_was_asked_for(knocks, monkeypatch):
    knocks()
    monkeypatch.setitem(settings.Q_CLUSTER, "workers", 1)
    now = database_now()
    ConductorProcessFactory.create(started_at=now, alive_until=now + timedelta(minutes=1), kind=ConductorKind.TASK)
    tasks.continue_casts()  # there are enough of them: it goes at once
    assert ShiftRequest.objects.get().asked_at is None
