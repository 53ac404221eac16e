import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from django.db import connection

from casts import engine
from casts.clock import database_now
from casts.conductor import Conductor
from casts.conductor.batches import BATCH
from casts.conductor.pace import Pace
from casts.engine import loading
from casts.models import Cast, ConductorProcess, Wakeup
from casts.models.conductor import ConductorKind
from generations.artifacts import open_stored
from generations.models import Artifact, Generation
from generations.tools import registry
from generations.tools.contract import Adapter
from spells.models import SpellVersion
from spells.plan import plan_of
from tests.generations.alone import Alone
from tests.offering import offer

from . import adapters
from .scenes import cast, statuses, tool, user, version

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def gate(monkeypatch):
    for each in adapters.ALL:
        monkeypatch.setitem(registry.BUILT_IN, each.key, f"{each.__module__}:{each.__name__}")
    registry.forget()
    yield adapters.reset()
    registry.forget()


def using(adapter: type[Adapter], **values):
    return {"tool": tool(adapter.key, backoff_seconds=0.05, max_backoff_seconds=0.1), **values}


def conduct(*, batch: int = BATCH, **values) -> None:
    """Conduct in this thread until nothing is due for a second."""
    pace = Pace.of_settings(shift=60.0, linger=1.0, **values)
    asyncio.run(Conductor(kind=ConductorKind.TASK, pace=pace, batch=batch).run())


@contextmanager
def conducting(**values):
    """Conduct on another thread while the block runs; stop and drain at its end."""
    options = {name: values.pop(name) for name in ("kind", "threads", "coroutines", "batch") if name in values}
    with ThreadPoolExecutor(max_workers=1) as pool:
        conductor = Conductor(pace=Pace.of_settings(**values), **options)
        running = pool.submit(asyncio.run, conductor.run())
        try:
            yield conductor
        finally:
            with suppress(RuntimeError):  # its shift may have ended before
                conductor.stop()
            running.result(60)


def wait_for(condition, *, what: str) -> None:
    pause = threading.Event()
    for _ in range(1200):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError(f"It did not come about: {what}.")


def ended(started: Cast):
    started.refresh_from_db()
    return started.finished_at is not None


def test_it_conducts_blocking_and_async_tools_until_nothing_is_due():
    steps = (
        using(adapters.Echo, key="one", params={"n": 1}),
        using(adapters.AsyncEcho, key="two", params={"n": "{{ steps.one.echo.n }}"}),
    )
    started = cast(*steps, outputs={"n": "{{ steps.two.echo.n }}"})
    conduct()
    started.refresh_from_db()
    assert (started.status, started.outputs) == ("succeeded", {"n": 1})
    one, two = Generation.objects.order_by("step__position")
    assert one.output["thread"].startswith("conductor-call")
    assert not two.output["thread"].startswith("conductor-call")
    assert not ConductorProcess.objects.exists()
    assert not Wakeup.objects.exists()


def test_what_a_tool_stores_is_an_artefact_of_the_initiator_and_can_be_read_by_a_later_step():
    started = cast(
        using(adapters.Keeps, key="write", params={"text": "hello"}),
        using(adapters.Keeps, key="read", params={"file": "{{ steps.write.file }}"}),
        outputs={"text": "{{ steps.read.text }}"},
    )
    conduct()
    started.refresh_from_db()
    assert started.outputs == {"text": "hello"}
    artifact = Artifact.objects.get()
    assert (artifact.owner_id, artifact.generation.step.key, artifact.size) == (started.initiator_id, "write", 5)
    with open_stored(artifact.sha256) as file:
        assert file.read() == b"hello"


def test_a_strangers_artefact_cannot_be_read():
    cast(using(adapters.Keeps, key="write", params={"text": "secret"}))
    conduct()
    theirs = {"artifact": str(Artifact.objects.get().pk)}
    pinned = SpellVersion.objects.get()
    stolen = cast(using(adapters.Keeps, key="read", params={"file": theirs}), slug="thief")
    Cast.objects.filter(pk=stolen.pk).update(initiator=user("mallory"))
    conduct()
    stolen.refresh_from_db()
    assert (stolen.status, stolen.error["code"]) == ("failed", "artifact_not_found")
    assert pinned.is_published


def test_a_tool_that_fails_once_is_tried_again():
    started = cast(using(adapters.Raises, key="one", params={"how": "once"}), outputs={"attempt": "{{ steps.one.attempt }}"})
    conduct()
    started.refresh_from_db()
    assert started.outputs == {"attempt": 2}
    assert statuses(started) == {"one": ["failed", "succeeded"]}


@pytest.mark.parametrize(
    ("how", "code"), [("bug", "adapter_crashed"), ("details", "tool_failed"), ("wrong type", "bad_output"), ("nan", "bad_output")]
)
def test_whatever_an_adapter_does_is_told_and_stored(how, code):
    started = cast(using(adapters.Raises, key="one", params={"how": how}, max_attempts=1))
    conduct()
    started.refresh_from_db()
    assert (started.status, started.error["code"]) == ("failed", code)
    assert "\0" not in started.error["message"]


def test_an_adapter_that_is_gone_fails_the_step_at_once_with_the_reason(monkeypatch):
    started = cast({"key": "one", "tool": tool("vanished.tool")})
    conduct()
    started.refresh_from_db()
    assert started.error["code"] == "adapter_not_found"
    assert "vanished.tool" in started.error["message"]


@pytest.mark.parametrize("adapter", [adapters.AsyncGate, adapters.ThreadGate])
def test_a_call_that_takes_too_long_is_given_up(adapter, gate):
    started = cast(using(adapter, key="one", max_attempts=1, run_timeout_seconds=1))
    with conducting():
        wait_for(lambda: ended(started), what="the cast ends")
        gate.open.set()
    assert started.error["code"] == "timeout"


def test_a_call_in_a_process_of_its_own_is_killed_when_its_time_is_up(monkeypatch, tmp_path):
    offer(Alone, folder=tmp_path, monkeypatch=monkeypatch)
    pid_file = tmp_path / "pid"
    hanging = using(Alone, key="one", params={"do": "hang", "pid_file": str(pid_file)}, max_attempts=1, run_timeout_seconds=2)
    started = cast(hanging, slug="hangs")
    with conducting():
        wait_for(pid_file.exists, what="the call is at work")
        wait_for(lambda: ended(started), what="the cast ends")
    assert started.error["code"] == "timeout"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_job_is_submitted_polled_and_settled():
    started = cast(using(adapters.Job, key="one"), outputs={"job": "{{ steps.one.job }}"})
    conduct()
    started.refresh_from_db()
    generation = Generation.objects.get()
    assert started.outputs == {"job": f"job-{generation.pk}"}
    assert (generation.job_id, generation.progress["stage"]) == (f"job-{generation.pk}", "painting")


def test_claims_are_renewed_while_a_call_is_at_work(gate):
    started = cast(using(adapters.AsyncGate, key="one"))
    with conducting(lease=1.0):
        assert gate.entered.acquire(timeout=60)
        first = Wakeup.objects.get().claimed_until
        wait_for(lambda: Wakeup.objects.get().claimed_until > first, what="the claim is renewed")
        wait_for(lambda: database_now() > first, what="the first lease would have ended")
        assert engine.claim(limit=1) == []
        gate.open.set()
        wait_for(lambda: ended(started), what="the cast ends")
    assert statuses(started) == {"one": ["succeeded"]}


def test_stop_drains_what_is_in_flight_and_claims_no_more(gate):
    started = cast(using(adapters.ThreadGate, key="one"), using(adapters.Echo, key="two", params={"after": "{{ steps.one }}"}))
    with conducting() as conductor:
        assert gate.entered.acquire(timeout=60)
        conductor.stop()
        other = cast(using(adapters.Echo, key="one"), slug="other")
        gate.open.set()
    assert statuses(started)["one"] == ["succeeded"]
    other.refresh_from_db()
    assert other.status == "queued"
    assert not ConductorProcess.objects.exists()


def test_what_is_not_drained_within_the_grace_is_handed_back(gate):
    cast(using(adapters.AsyncGate, key="one"))
    with conducting(grace=0.2):
        assert gate.entered.acquire(timeout=60)
    assert Wakeup.objects.get().claimed_until is None
    gate.open.set()
    conduct()
    assert Cast.objects.get().status == "succeeded"
    assert statuses(Cast.objects.get()) == {"one": ["failed", "succeeded"]}


def test_cancel_stops_a_pure_call_at_work(gate):
    started = cast(using(adapters.AsyncGate, key="one"))
    with conducting():
        assert gate.entered.acquire(timeout=60)
        engine.cancel(cast_id=started.pk, actor_id=None, now=database_now())
        wait_for(lambda: ended(started), what="the cast ends")
    assert (started.status, statuses(started)) == ("cancelled", {"one": ["cancelled"]})


def test_many_slow_calls_are_at_work_at_once_on_one_loop(gate):
    slow = version(using(adapters.AsyncGate, key="one"))
    started = [engine.start(version=slow, initiator_id=user().pk, inputs={}, now=database_now()).cast for _ in range(60)]
    with conducting():
        for _ in started:
            assert gate.entered.acquire(timeout=60)
        assert gate.most == 60
        gate.open.set()
        wait_for(lambda: not Cast.objects.live().exists(), what="all casts end")


def test_no_more_threads_are_at_work_than_there_are(gate):
    items = using(adapters.ThreadGate, key="each", for_each="{{ [1, 2, 3, 4, 5] }}")
    started = cast(items)
    with conducting(threads=2):
        for _ in range(2):
            assert gate.entered.acquire(timeout=60)
        assert Generation.objects.filter(status="running").count() == 2
        gate.open.set()
        wait_for(lambda: ended(started), what="the cast ends")
    assert (started.status, gate.most) == ("succeeded", 2)


def test_a_cast_that_cannot_be_advanced_fails_alone(monkeypatch):
    poison, neighbours = (
        cast(using(adapters.Echo, key="one"), slug="poison"),
        [cast(using(adapters.Echo, key="one"), slug=f"n{n}") for n in range(3)],
    )
    monkeypatch.setattr(loading, "plan_of", lambda version_id: 1 / 0 if version_id == poison.version_id else plan_of(version_id))
    conduct()
    poison.refresh_from_db()
    assert (poison.status, poison.error["code"]) == ("failed", "engine_error")
    assert all(ended(neighbour) and neighbour.status == "succeeded" for neighbour in neighbours)


@pytest.mark.postgresql
def test_a_lost_database_connection_loses_no_result(gate):
    started = cast(using(adapters.AsyncGate, key="one"), using(adapters.Echo, key="two", params={"after": "{{ steps.one }}"}))
    with conducting():
        assert gate.entered.acquire(timeout=60)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        gate.open.set()
        wait_for(lambda: ended(started), what="the cast ends")
    assert statuses(started) == {"one": ["succeeded"], "two": ["succeeded"]}


def is_listening() -> bool:
    if connection.vendor == "sqlite":
        return True  # it looks who writes, from the first
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %%' AND datname = current_database()")
        return bool(cursor.fetchone()[0])


def test_a_knock_is_heard_at_once():
    with conducting(poll=600.0, bells=600.0):
        wait_for(is_listening, what="the conductor listens")
        # The first may be found by the polls with which a conductor begins; the second by the doorbell alone.
        for slug in ("first", "second"):
            started = cast(using(adapters.Echo, key="one"), slug=slug)
            wait_for(lambda started=started: ended(started), what=f"the {slug} cast ends")
            assert started.status == "succeeded"
