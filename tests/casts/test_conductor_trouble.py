"""A conductor in trouble: hostile adapters, no room, calls that kill, claims lost while calls are at work."""

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar
from typing import cast as cast_to

import pytest
from django.db import OperationalError

from casts import engine
from casts.clock import database_now
from casts.conductor import settling
from casts.conductor.database import in_halves
from casts.models import Cast, Wakeup
from generations.isolation import ROOT
from generations.models import Generation
from generations.tools import registry
from generations.tools.contract import Adapter, Cost, Progress, Request, Result, Submitted, ToolError
from tests import forked
from tests.offering import offer

from . import adapters
from .scenes import billed, cast, statuses, tool, user, version
from .test_conductor import conducting, ended, using, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


class SlowPoll(Adapter):
    """A job whose provider takes its time to answer a poll."""

    key: ClassVar[str] = "test.slow_poll"

    async def run(self, request: Request) -> Submitted:
        return Submitted(job_id="job", poll_after=0.05)

    async def poll(self, request: Request, job_id: str) -> Result | Progress:
        adapters.gate.step_in()
        while not adapters.gate.open.is_set():  # noqa: ASYNC110 - the gate is opened from another thread
            await asyncio.sleep(0.01)
        adapters.gate.step_out()
        return Result(output={"job": job_id})


class Hostile(Adapter):
    """Answers what no database stores."""

    key: ClassVar[str] = "test.hostile"

    answers: ClassVar[dict[str, Any]] = {
        "job id": Submitted(job_id="x" * 300),
        "no job id": Submitted(job_id=cast_to("str", None)),
        "cost": Result(output={}, cost=Cost(usd=Decimal("NaN"))),
        "negative": Result(output={}, cost=Cost(usd=Decimal(-1))),
        "retry after": ToolError("later", retry_after=float("inf")),
        "code": ToolError("later", code="\0", permanent=True),
        "exit": SystemExit("I leave."),
        "cancelled": asyncio.CancelledError(),
        "panic": BaseException("nobody catches it"),
        "no cost": Result(output={}, cost=cast_to("Cost", Decimal(1))),
        "number": Submitted(job_id=cast_to("str", 10**5000)),
        "basis": Result(output={}, cost=Cost(usd=Decimal(1), basis={"x": object()})),
        "output": Result(output={"x": b"bytes"}, cost=Cost(usd=Decimal("0.5"))),
    }

    async def run(self, request: Request) -> Any:
        answer = self.answers.get(request.inputs["what"], Submitted(job_id="job", poll_after=float("nan")))
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def poll(self, request: Request, job_id: str) -> Any:
        match request.inputs["what"]:
            case "progress" if not adapters.gate.open.is_set():
                adapters.gate.open.set()
                return Progress(percent=float("nan"), stage="\0", poll_after=0.0)
            case "flaky poll" if not adapters.gate.open.is_set():
                adapters.gate.open.set()
                raise ToolError("Busy.", code="rate_limited", retry_after=0.05)
            case "flaky poll 2" if not adapters.gate.open.is_set():
                adapters.gate.open.set()
                raise ToolError("Internal error.")
            case "refused poll" if not adapters.gate.open.is_set():
                adapters.gate.open.set()
                raise ToolError("This key was withdrawn.", code="unauthorized", permanent=True)
            case "gone":
                return ToolError("Nobody can be asked.", permanent=True, ambiguous=True)
            case "failed job":
                return ToolError("The model crashed.", permanent=True, cost=Cost(usd=Decimal("0.25")))
        return Result(output={})


class Blocks(Adapter):
    """Blocks the loop on which it should wait."""

    key: ClassVar[str] = "test.blocks"

    async def run(self, request: Request) -> Result:
        time.sleep(2)  # noqa: ASYNC251 - that is the fault
        return Result(output={})


class PaidGate(adapters.AsyncGate):
    key: ClassVar[str] = "test.paid_gate"


@pytest.fixture(autouse=True)
def gate(monkeypatch):
    monkeypatch.setattr("generations.answers.DEFAULT_WAIT_SECONDS", 0.05)
    monkeypatch.setattr("casts.conductor.calls.ASK_AGAIN_SECONDS", 0.05)
    for each in (*adapters.ALL, SlowPoll, Hostile, Blocks, PaidGate):
        monkeypatch.setitem(registry.BUILT_IN, each.key, f"{each.__module__}:{each.__name__}")
    registry.forget()
    yield adapters.reset()
    registry.forget()


@pytest.fixture
def looks(monkeypatch):
    """Count the transactions in which the conductor looks at casts."""
    counted: list[float] = []
    settle = settling.settle

    def counting(**values):
        counted.append(time.monotonic())
        return settle(**values)

    monkeypatch.setattr(settling, "settle", counting)
    return counted


def test_a_poll_at_work_costs_no_looks(gate, looks):
    started = cast(using(SlowPoll, key="one"))
    with conducting():
        assert gate.entered.acquire(timeout=60)
        before = len(looks)
        threading.Event().wait(1.0)
        assert len(looks) - before < 5
        gate.open.set()
        wait_for(lambda: ended(started), what="the cast ends")


def test_a_call_that_outlives_the_deadline_of_its_cast_costs_no_looks(gate, looks):
    paid = billed(PaidGate.key)
    started = cast({"key": "one", "tool": paid})
    with conducting():
        assert gate.entered.acquire(timeout=60)
        Cast.objects.update(deadline_at=database_now())
        engine.ring(cast_id=started.pk)
        threading.Event().wait(0.7)
        before = len(looks)
        threading.Event().wait(1.0)
        assert len(looks) - before < 5
        gate.open.set()
        wait_for(lambda: ended(started), what="the cast ends")
    assert started.status == "failed"


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("job id", "unknown", "bad_job_id"),
        ("no job id", "unknown", "bad_job_id"),
        ("cost", "succeeded", None),
        ("negative", "succeeded", None),
        ("basis", "succeeded", None),
        ("retry after", "failed", "tool_failed"),
        ("code", "failed", "\N{REPLACEMENT CHARACTER}"),
        ("exit", "unknown", "adapter_crashed"),
        ("cancelled", "unknown", "adapter_crashed"),
        ("panic", "unknown", "adapter_crashed"),
        ("no cost", "unknown", "adapter_crashed"),
        ("number", "unknown", "adapter_crashed"),
        ("output", "failed", "bad_output"),
        ("poll after", "succeeded", None),
        ("progress", "succeeded", None),
        ("flaky poll", "succeeded", None),
        ("flaky poll 2", "succeeded", None),
        ("refused poll", "succeeded", None),
        ("gone", "unknown", "tool_failed"),
        ("failed job", "failed", "tool_failed"),
    ],
)
def test_hostile_answers_hold_up_nobody(gate, what, status, code):
    started = cast({"key": "one", "tool": billed(Hostile.key), "params": {"what": what}, "max_attempts": 1})
    neighbour = cast(using(adapters.Echo, key="one"), slug="neighbour")
    with conducting():
        wait_for(lambda: ended(neighbour), what="the neighbour ends")
        wait_for(lambda: Generation.objects.filter(cast=started, finished_at__isnull=False).exists(), what="the call is settled")
    (generation,) = started.generations.all()
    assert generation.status == status
    assert (generation.error or {}).get("code") == code
    started.refresh_from_db()
    assert started.error is None or started.error["code"] != "engine_error"
    if what == "output":
        assert started.cost_usd == Decimal("0.5")
    if what == "failed job":
        assert started.cost_usd == Decimal("0.25")


def test_a_conductor_that_hung_past_its_lease_goes_on_with_the_calls_that_it_had_at_work(gate):
    waiting = cast({"key": "one", "tool": billed(PaidGate.key)})
    with conducting(lease=1.0):
        assert gate.entered.acquire(timeout=60)
        first = Wakeup.objects.get(pk=waiting.pk).epoch
        blocking = cast(using(Blocks, key="one"), slug="blocks")
        wait_for(lambda: ended(blocking), what="the loop is free again")
        wait_for(lambda: Wakeup.objects.get(pk=waiting.pk).claimed_until > database_now(), what="the cast is held again")
        assert statuses(waiting) == {"one": ["running"]}
        gate.open.set()
        wait_for(lambda: ended(waiting), what="the cast ends")
    assert (waiting.status, statuses(waiting)) == ("succeeded", {"one": ["succeeded"]})
    assert first >= 1


@pytest.mark.timeout(240)
def test_a_call_that_kills_its_worker_fails_in_the_end_and_its_neighbours_succeed(database_url, tmp_path, monkeypatch):
    offer(adapters.Poison, folder=tmp_path, monkeypatch=monkeypatch)
    values = {"tool": tool(adapters.Poison.key, backoff_seconds=0.1, max_backoff_seconds=0.2), "max_attempts": 2}
    poison = cast({"key": "one", **values, "params": {"deadly": True}}, slug="poison")
    neighbours = [cast({"key": "one", **values, "params": {"seconds": 1}}, slug=f"n{n}") for n in range(3)]
    environment = {**os.environ, "DATABASE_URL": database_url, "GRIMOIRE_LEASE_SECONDS": "2"}
    crashes = 0
    deadline = time.monotonic() + 120
    while Cast.objects.live().exists():
        assert time.monotonic() < deadline
        conductor = forked.start("manage.py", "conduct", environment=environment, folder=ROOT, stdout=tmp_path / "said", prepared=True)
        while Cast.objects.live().exists() and conductor.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if conductor.poll() is None:
            conductor.terminate()
        crashes += conductor.wait(60) != 0
    poison.refresh_from_db()
    assert crashes == 2
    assert (poison.status, poison.error["code"]) == ("failed", "adapter_crashed")
    for neighbour in neighbours:
        neighbour.refresh_from_db()
        assert neighbour.status == "succeeded", statuses(neighbour)


def test_a_place_that_is_left_is_taken_at_once(gate):
    pinned = version(using(adapters.Echo, key="one"), using(adapters.Echo, key="two", params={"after": "{{ steps.one }}"}))
    started = [engine.start(version=pinned, initiator_id=user().pk, inputs={}, now=database_now()).cast for _ in range(24)]
    begun = time.monotonic()
    with conducting(threads=2, poll=60.0):
        wait_for(lambda: not Cast.objects.live().exists(), what="all casts end")
    assert time.monotonic() - begun < 20, "a place is not waited for until the next poll"
    assert {cast.status for cast in Cast.objects.all()} == {"succeeded"}
    assert len(started) == 24


def test_a_crowd_that_waits_for_room_is_looked_at_now_and_then(gate, looks):
    pinned = version(using(adapters.ThreadGate, key="one"))
    for _ in range(40):
        engine.start(version=pinned, initiator_id=user().pk, inputs={}, now=database_now())
    other = version(using(adapters.AsyncEcho, key="one"), slug="other")
    with conducting(threads=1):
        assert gate.entered.acquire(timeout=60)
        before = len(looks)
        threading.Event().wait(1.0)
        assert len(looks) - before < 20
        on_another_lane = engine.start(version=other, initiator_id=user().pk, inputs={}, now=database_now()).cast
        wait_for(lambda: ended(on_another_lane), what="a cast that needs another lane passes by")
        gate.open.set()
        wait_for(lambda: not Cast.objects.live().exists(), what="all casts end")


def test_a_large_fan_out_leaves_room_for_its_neighbours():
    large = cast(using(adapters.AsyncEcho, key="each", for_each="{{ range(6000) | list }}", params={"n": "{{ item }}"}))
    with conducting():
        wait_for(lambda: Generation.objects.filter(status="succeeded").exists(), what="the fan-out is under way")
        small = cast(using(adapters.Echo, key="one"), slug="small")
        wait_for(lambda: ended(small), what="the neighbour ends")
        assert not ended(large)
        engine.cancel(cast_id=large.pk, actor_id=None, now=database_now())
        wait_for(lambda: ended(large), what="the fan-out ends")
    assert large.status == "cancelled"


class Refused(Exception):
    """What psycopg raises, as far as it is looked at."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def refusal(sqlstate: str) -> OperationalError:
    error = OperationalError("refused")
    error.__cause__ = Refused(sqlstate)
    return error


def done_in_halves(things: list[int], *, at_most: int, sqlstate: str) -> tuple[list[list[int]], list[int]]:
    """Return which sets were done, by a database that refuses any larger than `at_most`, and how large each try was."""
    tries: list[int] = []

    def do(some: Sequence[int]) -> list[int]:
        tries.append(len(some))
        if len(some) > at_most:
            raise refusal(sqlstate)
        return list(some)

    def spare(one: int, error: Exception) -> None:
        pytest.fail(f"{one} was given up: {error}")

    return in_halves(things, do, spare=spare), tries


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_set_that_is_in_the_way_of_others_is_done_in_smaller_ones(sqlstate):
    done, tries = done_in_halves([1, 2, 3, 4, 5], at_most=2, sqlstate=sqlstate)
    assert done == [[1, 2], [3], [4, 5]]
    assert tries == [5, 2, 3, 1, 2]


def test_one_alone_that_is_in_the_way_of_others_is_not_given_up():
    with pytest.raises(OperationalError):
        done_in_halves([1], at_most=0, sqlstate="40001")


def test_a_database_that_cannot_be_reached_is_asked_once_for_a_set():
    tries: list[int] = []

    def do(some: Sequence[int]) -> None:
        tries.append(len(some))
        raise refusal("57P01")

    with pytest.raises(OperationalError):
        in_halves([1, 2, 3], do, spare=lambda one, error: pytest.fail(f"{one} was given up: {error}"))
    assert tries == [3]
