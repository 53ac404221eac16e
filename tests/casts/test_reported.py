"""What running calls say of themselves: kept while they are at work, never backwards, and without a look at their casts."""

import asyncio
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

from casts.engine import Reported, keep_reported
from casts.models import Wakeup
from generations import artifacts
from generations.models import Artifact, Generation
from generations.tools import registry
from generations.tools.contract import Adapter, Progress, RemoteFile, Request, Result, Submitted
from tests.offering import offer

from . import adapters
from .scenes import Hand, cast, tool
from .test_conductor import conducting, ended, wait_for

DATA_URI = "data:text/plain;base64,aGVsbG8="


class Teller(Adapter):
    """Tells from its thread how far it is, with a preview, and waits for the gate."""

    key: ClassVar[str] = "test.teller"

    def run(self, request: Request) -> Result:
        request.report(10, "thinking")
        request.on_progress(Progress(percent=40, stage="painting", preview=request.keep(b"half", mime_type="text/plain")))
        request.report(30, "painting again")
        adapters.gate.step_in()
        assert adapters.gate.open.wait(60)
        return Result(output={})


class AsyncTeller(Adapter):
    """Tells from the loop, with a preview that is still elsewhere."""

    key: ClassVar[str] = "test.async_teller"

    async def run(self, request: Request) -> Result:
        request.on_progress(Progress(percent=40, stage="painting", preview=RemoteFile(url=DATA_URI)))
        adapters.gate.step_in()
        while not adapters.gate.open.is_set():  # noqa: ASYNC110 - the gate is opened from another thread
            await asyncio.sleep(0.01)
        return Result(output={})


class LateTeller(Adapter):
    """Tells of a preview once the gate is open, and goes on until it is let."""

    key: ClassVar[str] = "test.late_teller"
    may_end: ClassVar[threading.Event]

    async def run(self, request: Request) -> Result:
        adapters.gate.step_in()
        while not adapters.gate.open.is_set():  # noqa: ASYNC110 - the gate is opened from another thread
            await asyncio.sleep(0.01)
        request.on_progress(Progress(percent=40, preview=request.keep(b"half", mime_type="text/plain")))
        adapters.gate.step_in()
        await asyncio.to_thread(self.may_end.wait, 120)
        return Result(output={})


class ApartTeller(Adapter):
    """Tells from a process of its own, and waits for a file."""

    key: ClassVar[str] = "test.apart_teller"
    isolated: ClassVar[bool] = True

    def run(self, request: Request) -> Result:
        import time  # noqa: PLC0415 - in the child alone

        request.on_progress(Progress(percent=40, stage="painting", preview=request.keep(b"half", mime_type="text/plain")))
        for _ in range(100):
            request.report(41, "\0 too much at once")
        while not Path(request.inputs["file"]).exists():
            time.sleep(0.02)
        return Result(output={"size": len("x" * 200_000), "text": "x" * 200_000})


class JobTeller(Adapter):
    """Tells at what it is, hands in a job once that has been written, and is asked for it at once."""

    key: ClassVar[str] = "test.job_teller"

    async def run(self, request: Request) -> Submitted:
        request.on_progress(Progress(percent=40, stage="painting"))
        while not adapters.gate.open.is_set():  # noqa: ASYNC110 - the gate is opened from another thread
            await asyncio.sleep(0.01)
        return Submitted(job_id="job", poll_after=0.0)

    async def poll(self, request: Request, job_id: str) -> Progress:
        return Progress(percent=60)


def reported(generation: Generation, *, epoch: int = 1, made=(), **progress) -> Reported:
    told = {"percent": None, "stage": "", "preview": None, **progress}
    return Reported(generation_id=generation.pk, epoch=epoch, owner_id=generation.cast.initiator_id, progress=told, made=made)


@pytest.fixture
def running(db):
    hand = Hand(cast({"key": "one"}, {"key": "two"}))
    hand.look()
    return hand


def shown(hand: Hand, key: str = "one"):
    return hand.generation(key).progress


def test_what_calls_say_is_written_as_a_set(running, django_assert_num_queries):
    one, two = running.generation("one"), running.generation("two")
    told = [reported(one, percent=40, stage="painting"), reported(two, stage="thinking")]
    with django_assert_num_queries(4):  # begin, clock, update, commit
        assert keep_reported(told) == 2
    assert shown(running) == {"percent": 40, "stage": "painting", "preview": None}
    assert shown(running, "two")["stage"] == "thinking"


def test_it_never_moves_backwards(running):
    one = running.generation("one")
    assert keep_reported([reported(one, percent=40)]) == 1
    assert keep_reported([reported(one, percent=39.5)]) == 0
    assert keep_reported([reported(one, stage="nothing said of how far")]) == 0
    assert keep_reported([reported(one, percent=40, stage="the same")]) == 1
    assert shown(running)["stage"] == "the same"


def test_it_is_for_running_calls_of_the_claim_that_made_them_alone(running):
    one = running.generation("one")
    assert keep_reported([reported(one, epoch=2, percent=40)]) == 0
    running.answer("one", {"n": 1})
    assert keep_reported([reported(one, percent=40)]) == 0
    assert shown(running) is None


def test_it_neither_rings_nor_advances(running):
    before = Wakeup.objects.values_list("bell", "epoch", "due_at").get()
    keep_reported([reported(running.generation("one"), percent=40)])
    assert Wakeup.objects.values_list("bell", "epoch", "due_at").get() == before


def test_a_preview_is_an_artefact_of_the_initiator_before_the_call_has_ended(running):
    stored = artifacts.store(b"half", mime_type="text/plain")
    keep_reported([reported(running.generation("one"), percent=40, preview=stored.reference(), made=[stored])])
    artifact = Artifact.objects.get()
    assert (artifact.pk, artifact.owner_id, artifact.generation_id) == (
        stored.id,
        running.cast.initiator_id,
        running.generation("one").pk,
    )
    running.answer("one", {"n": 1}, made=[stored])
    assert Artifact.objects.count() == 1


@pytest.fixture
def gate(monkeypatch):
    for each in (Teller, AsyncTeller, LateTeller, JobTeller):
        monkeypatch.setitem(registry.BUILT_IN, each.key, f"{each.__module__}:{each.__name__}")
    registry.forget()
    yield adapters.reset()
    registry.forget()


def progress() -> Any:
    return Generation.objects.values_list("progress", flat=True).first() or {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("adapter", "stage"), [(Teller, "painting again"), (AsyncTeller, "painting")])
def test_a_call_at_work_tells_how_far_it_is(gate, adapter, stage):
    started = cast({"key": "one", "tool": tool(adapter.key)})
    with conducting():
        assert gate.entered.acquire(timeout=60)
        wait_for(lambda: progress().get("preview") and progress()["stage"] == stage, what="the preview and the last stage are shown")
        told = progress()
        assert told["percent"] == 40
        assert told["preview"]["artifact"] == str(Artifact.objects.get().pk)
        assert Generation.objects.get().status == "running"
        gate.open.set()
        wait_for(lambda: ended(started), what="the cast ends")
    assert started.status == "succeeded"
    assert progress()["percent"] == 40


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_what_a_call_said_is_not_forgotten_once_its_job_goes_on(gate):
    cast({"key": "one", "tool": tool(JobTeller.key)})
    with conducting():
        wait_for(lambda: progress().get("stage") == "painting", what="the stage is written")
        gate.open.set()
        wait_for(lambda: progress().get("percent") == 60, what="the job was asked for")
    assert progress()["stage"] == "painting"


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_a_call_in_a_process_of_its_own_tells_how_far_it_is(monkeypatch, tmp_path):
    offer(ApartTeller, folder=tmp_path, monkeypatch=monkeypatch)
    file = tmp_path / "go on"
    started = cast({"key": "one", "tool": tool(ApartTeller.key), "params": {"file": str(file)}})
    with conducting():
        wait_for(lambda: progress().get("preview"), what="the preview is shown")
        assert (progress()["percent"], progress()["stage"]) == (40, "painting")
        file.touch()
        wait_for(lambda: ended(started), what="the cast ends")
    registry.forget()
    assert started.status == "succeeded"
    assert Generation.objects.get().output["size"] == 200_000


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_a_word_that_the_database_refuses_holds_up_no_other(gate):
    """The call of a cast that was deleted since has a preview, which has nothing left to belong to."""
    gone = cast({"key": "one", "tool": tool(LateTeller.key, run_timeout_seconds=300)})
    LateTeller.may_end = threading.Event()
    with conducting():
        assert gate.entered.acquire(timeout=60)
        gone.delete()
        gate.open.set()
        assert gate.entered.acquire(timeout=60)
        started = cast({"key": "one", "tool": tool(AsyncTeller.key)}, slug="another")
        wait_for(lambda: ended(started), what="another cast is claimed, and ends")
        LateTeller.may_end.set()
        assert started.status == "succeeded"
