"""Many at once at one gate: never more calls than its limits allow, and nobody is forgotten."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from casts import engine
from casts.clock import database_now
from casts.conductor import Conductor
from casts.conductor.pace import Pace
from casts.engine import Claim, Report, Via
from casts.models import Cast, Waiter
from casts.models.conductor import ConductorKind
from generations.models import Generation
from generations.tools import registry
from generations.tools.contract import Result
from spells.models import Provider

from . import adapters
from .scenes import Unlimited, tool, user, version

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

WORKERS = 5


@pytest.fixture(autouse=True)
def gate(monkeypatch):
    for each in adapters.ALL:
        monkeypatch.setitem(registry.BUILT_IN, each.key, f"{each.__module__}:{each.__name__}")
    registry.forget()
    yield adapters.reset()
    registry.forget()


def casts_of(pinned, number: int, *names: str) -> None:
    now = database_now()
    for place in range(number):
        engine.start(version=pinned, initiator_id=user(names[place % len(names)]).pk, inputs={}, now=now)


class Worker:
    """Conducts on a connection of its own: claims a few, starts what it may, answers some of its calls, again and again."""

    def __init__(self, *, counter: adapters.Gate, start: threading.Barrier, rounds: int, answers: bool) -> None:
        self._counter, self._start, self._rounds, self._answers = counter, start, rounds, answers
        self._calls: dict[UUID, Claim] = {}

    def run(self) -> None:
        try:
            self._start.wait(30)
            for _ in range(self._rounds):
                self._round()
            while self._calls and self._answers:
                self._round()
        finally:
            connection.close()

    def _round(self) -> None:
        reports = [self._report(generation_id) for generation_id in list(self._calls)[:2]] if self._answers else []
        engine.tend_gates()
        claimed = engine.claim(limit=3)
        advanced = engine.settle(reports=reports, claimed=claimed, slots=Unlimited(), in_flight=set(self._calls))
        for turn in advanced.turns:
            for call in turn.calls:
                self._counter.step_in()
                self._calls[call.pk] = turn.state.claim

    def _report(self, generation_id) -> Report:
        claim = self._calls.pop(generation_id)
        self._counter.step_out()
        return Report(generation_id=generation_id, claim=claim, via=Via.RUN, news=Result(output={}))


def race(counter: adapters.Gate, *, rounds: int, answers: bool = True) -> None:
    start = threading.Barrier(WORKERS)
    with ThreadPoolExecutor(WORKERS) as pool:
        for running in [pool.submit(Worker(counter=counter, start=start, rounds=rounds, answers=answers).run) for _ in range(WORKERS)]:
            running.result(100)


def test_workers_that_race_for_room_at_once_never_take_more_than_there_is(gate):
    casts_of(version({"key": "one", "tool": tool("seven.at.once", max_in_flight=7)}), 60, "ada", "bob")
    race(gate, rounds=5, answers=False)
    assert Generation.objects.count() == 7


def test_the_calls_at_work_never_exceed_the_limits_of_tool_and_provider(gate):
    provider = Provider.objects.create(slug="faraway", name="faraway", max_in_flight=3)
    one, two = tool("far.one", provider=provider), tool("far.two", provider=provider, max_in_flight=2)
    steps = ({"key": "a", "tool": one}, {"key": "b", "tool": two}, {"key": "c", "tool": one, "params": {"n": "{{ steps.a }}"}})
    casts_of(version(*steps), 12, "ada", "bob")
    race(gate, rounds=25)
    assert 0 < gate.most <= 3
    assert Generation.objects.exists()


def test_workers_that_race_within_a_minute_start_no_more_than_allowed(gate, clock):
    casts_of(version({"key": "one", "tool": tool("five.a.minute", max_per_minute=5)}), 30, "ada", "bob")
    race(gate, rounds=4, answers=False)
    assert Generation.objects.count() == 5
    clock.advance(seconds=62)
    race(gate, rounds=4, answers=False)
    begun = sorted(Generation.objects.values_list("started_at", flat=True))
    assert len(begun) == 10
    assert all(later - earlier >= timedelta(seconds=60) for earlier, later in zip(begun, begun[5:], strict=False))


def conduct(conductors: int) -> None:
    """Conduct in as many threads until nothing is due for a while."""
    with ThreadPoolExecutor(conductors) as pool:
        pace = Pace.of_settings(shift=60.0, linger=20.0)
        for running in [pool.submit(asyncio.run, Conductor(kind=ConductorKind.TASK, pace=pace).run()) for _ in range(conductors)]:
            running.result(100)


def test_conductors_bring_all_casts_through_a_narrow_gate(gate):
    gate.open.set()
    narrow = tool(adapters.AsyncGate.key, max_in_flight=2)
    casts_of(version({"key": "each", "tool": narrow, "for_each": "{{ [1, 2, 3] }}"}), 8, "ada", "bob")
    conduct(3)
    assert set(Cast.objects.values_list("status", flat=True)) == {"succeeded"}
    assert gate.most <= 2
    assert not Waiter.objects.exists()
