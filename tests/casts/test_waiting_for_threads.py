"""Adapters that block: what hangs on a thread keeps nothing of another kind waiting, and what waits was not asked."""

import asyncio
import threading
from typing import Any, ClassVar

import pytest

from casts import engine, inbox
from casts.clock import database_now
from casts.conductor import calls
from casts.conductor.lanes import Place
from casts.conductor.threads import Threads
from casts.engine import Unasked
from casts.errands import claim
from generations.models import Callback, Cancellation, Generation
from generations.tools import registry
from generations.tools.contract import Progress, Request
from tests.generations.test_isolation import request

from . import adapters
from .factories import CallbackFactory
from .providers import Provider, register, send
from .scenes import Hand, billed, cast
from .test_conductor import conducting, ended, wait_for

DONE = {"status": "done", "output": {"n": 1}, "cost": "0.25"}


class Blocking(Provider):
    """The same provider through a client that blocks, and that hangs when it is asked, or only when it is to stop a job."""

    key: ClassVar[str] = "test.blocking_provider"
    hangs: ClassVar[set[str]] = set()

    def poll(self, request: Request, job_id: str) -> Any:
        if "poll" in self.hangs:
            adapters.gate.step_in()
            assert adapters.gate.open.wait(60)
        return Progress(poll_after=600)

    def cancel(self, request: Request, job_id: str) -> Any:
        if "cancel" in self.hangs:
            adapters.gate.step_in()
            assert adapters.gate.open.wait(60)
        self.cancelled.append(job_id)


@pytest.fixture(autouse=True)
def gate(monkeypatch):
    register(monkeypatch)
    monkeypatch.setitem(registry.BUILT_IN, Blocking.key, f"{__name__}:Blocking")
    Blocking.hangs.clear()
    registry.forget()
    yield adapters.reset()
    adapters.gate.open.set()
    registry.forget()


def started(slug: str, *, poll_after: float = 600):
    return cast({"key": "one", "tool": billed(Blocking.key), "params": {"poll_after": poll_after}}, slug=slug)


def is_submitted(each) -> bool:
    return Generation.objects.filter(cast=each, status="submitted").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_a_webhook_is_applied_while_polls_and_cancellations_hang(gate):
    Blocking.hangs.update(("poll", "cancel"))
    asked, stopped, told = started("asked", poll_after=0.05), started("stopped"), started("told")
    with conducting(threads=1):
        assert gate.entered.acquire(timeout=60)
        wait_for(lambda: is_submitted(stopped) and is_submitted(told), what="the jobs are submitted")
        engine.cancel(cast_id=stopped.pk, actor_id=None, now=database_now())
        assert gate.entered.acquire(timeout=60), "a cancellation waits for a poll"
        send(Generation.objects.get(cast=told), DONE, adapter=Blocking.key)
        wait_for(lambda: ended(told), what="the webhook is applied")
        assert (told.status, Callback.objects.get().outcome) == ("succeeded", "applied")
        assert not ended(asked)
        gate.open.set()
        wait_for(lambda: Cancellation.objects.filter(outcome="requested").exists(), what="the provider is asked to stop the job")
        for each in (asked, stopped):
            send(Generation.objects.get(cast=each), DONE, adapter=Blocking.key)
            wait_for(lambda each=each: ended(each), what="the cast ends")


@pytest.mark.django_db
def test_reading_a_callback_or_asking_for_more_may_take_half_a_minute_whatever_its_tool_may():
    hand = Hand(cast({"key": "one", "tool": billed(Provider.key, run_timeout_seconds=3600)}))
    hand.look()
    CallbackFactory.create(generation=hand.generation("one"), adapter=Provider.key, due_at=database_now())
    [letter] = inbox.load(claim(Callback, limit=1))
    assert letter.request.timeout_seconds == inbox.READ_SECONDS == 30


async def poll(threads: Threads, *, seconds: float):
    place = Place(on_free=lambda: None)
    return await calls.poll(
        adapter_key=Blocking.key, request=request(timeout_seconds=seconds), job_id="job-1", threads=threads.polls, place=place
    )


def test_a_poll_that_found_no_thread_was_not_made_and_says_so(gate):
    threads = Threads(each=1)
    held = threads.polls.submit(gate.open.wait, 60)
    told = asyncio.run(poll(threads, seconds=0.2))
    gate.open.set()
    held.result()
    threads.shut_down()
    assert isinstance(told, Unasked)
    assert told.error.code == calls.NO_THREAD


def test_the_time_of_a_poll_begins_when_a_thread_takes_it_up(gate):
    threads = Threads(each=1)
    threads.polls.submit(threading.Event().wait, 3)
    Blocking.hangs.add("poll")
    opening = threading.Timer(5.5, gate.open.set)
    opening.start()
    told = asyncio.run(poll(threads, seconds=4))
    opening.join()
    threads.shut_down()
    assert isinstance(told, Progress)
