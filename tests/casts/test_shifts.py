import time
from contextlib import contextmanager

import pytest
from django_q.models import OrmQ

from casts import tasks
from casts.conductor.lanes import Lanes
from casts.doorbell import knock, shift_begins
from casts.models import Cast, ConductorProcess, Wakeup
from casts.models.conductor import ConductorKind
from generations.tools import registry

from . import adapters
from .scenes import cast, tool
from .test_conductor import conducting, ended, using, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def gate(monkeypatch):
    for each in adapters.ALL:
        monkeypatch.setitem(registry.BUILT_IN, each.key, f"{each.__module__}:{each.__name__}")
    registry.forget()
    yield adapters.reset()
    registry.forget()


@contextmanager
def draining(gate):
    """Have a shift that is over and waits for one long call."""
    last = cast(using(adapters.AsyncGate, key="one", run_timeout_seconds=40), slug="last")
    with conducting(kind=ConductorKind.TASK, shift=0.5, overtime=60.0):
        assert gate.entered.acquire(timeout=60)
        wait_for(lambda: ConductorProcess.objects.filter(draining=True).exists(), what="the shift is over")
        yield
        gate.open.set()
        wait_for(lambda: ended(last), what="the long call ends")
    assert last.status == "succeeded"


def forget_what_was_asked_for():
    OrmQ.objects.all().delete()
    shift_begins()


def test_casts_do_not_wait_for_the_last_call_of_a_shift_that_is_over(gate, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 2}
    with draining(gate):
        new = cast(using(adapters.Echo, key="one"))
        assert OrmQ.objects.exists()
        tasks.continue_casts()
        assert ended(new)
        assert not gate.open.is_set()


def test_a_knock_asks_for_a_shift_while_the_only_conductor_drains(gate):
    with draining(gate):
        forget_what_was_asked_for()
        knock(cast_id=Cast.objects.get().pk)
        assert OrmQ.objects.count() == 1


def test_a_shift_that_is_over_asks_for_another_when_something_is_due(gate):
    for number in range(60):
        cast(using(adapters.AsyncGate, key="one"), slug=f"many-{number}")
    forget_what_was_asked_for()
    with conducting(kind=ConductorKind.TASK, shift=1.0, overtime=60.0, coroutines=2):
        wait_for(OrmQ.objects.exists, what="another shift is asked for")
        gate.open.set()


def test_a_shift_does_not_take_again_and_again_what_it_has_no_time_for(gate, monkeypatch):
    monkeypatch.setattr(Lanes, "limit", lambda lanes, **_: setattr(lanes, "ends_at", time.monotonic() + 30.0))
    long = cast(using(adapters.AsyncGate, key="one", run_timeout_seconds=60))
    with conducting(kind=ConductorKind.TASK, shift=2.0, overtime=0.1):
        wait_for(lambda: Wakeup.objects.get().epoch, what="the cast is looked at")
        wait_for(lambda: not ConductorProcess.objects.exists(), what="the shift is over")
    assert not long.generations.exists()
    assert Wakeup.objects.get(cast=long).epoch < 10


def test_one_worker_is_left_to_other_tasks_while_a_shift_claims(gate, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 2}
    cast(using(adapters.AsyncGate, key="one"), slug="long")
    with conducting(kind=ConductorKind.TASK, shift=60.0):
        assert gate.entered.acquire(timeout=60)
        tasks.continue_casts()  # returns at once: it would wait for the long call
        gate.open.set()


def test_the_overtime_of_a_shift_is_shorter_than_the_silence_of_a_canary(settings):
    assert tasks.OVERTIME_SECONDS < 120
    assert settings.Q_CLUSTER["timeout"] > tasks.SHIFT_SECONDS + tasks.OVERTIME_SECONDS


def test_a_call_that_could_outlast_its_shift_is_not_started():
    pure = tool(adapters.AsyncEcho.key)
    lanes = Lanes(coroutines=5, threads=1, processes=1)
    lanes.limit(seconds=450.0, overtime=90.0)
    lanes.ends_at -= 400.0
    late = lanes.reserve().slots()
    assert late.has_room(pure, apart=False, seconds=130)
    assert not late.has_room(pure, apart=False, seconds=141)
    assert not late.may_wait()


def test_a_call_that_takes_longer_than_any_shift_starts_at_the_beginning_of_one():
    lanes = Lanes(coroutines=5, threads=1, processes=1)
    lanes.limit(seconds=450.0, overtime=90.0)
    assert lanes.reserve().slots().has_room(tool(adapters.AsyncEcho.key), apart=False, seconds=3600)
