import asyncio
import os
import signal
import time
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from generations import isolation
from generations.artifacts import StoredArtifact, Workbench
from generations.tools import registry
from generations.tools.contract import Cost, Request, ToolError
from tests.offering import offer

from .alone import Alone


@pytest.fixture(autouse=True)
def offered(monkeypatch, tmp_path):
    offer(Alone, folder=tmp_path, monkeypatch=monkeypatch)
    yield
    registry.forget()


def request(*, timeout_seconds: float = 30, **inputs) -> Request:
    return Request(
        tool="test.alone",
        config={},
        pricing={},
        inputs=inputs,
        generation_id=uuid4(),
        cast_id=uuid4(),
        attempt=1,
        idempotency_key=uuid4(),
        timeout_seconds=timeout_seconds,
        workbench=Workbench(),
    )


def run(asked: Request):
    return asyncio.run(isolation.run(adapter_key="test.alone", request=asked))


def test_what_the_child_stores_is_on_the_parents_workbench_and_its_prints_do_no_harm():
    asked = request(do="keep")
    outcome = run(asked)
    (made,) = asked.workbench.made
    assert isinstance(made, StoredArtifact)
    assert outcome.output["file"] == made.reference()


def test_the_child_keeps_the_files_that_its_provider_made():
    asked = request(do="leave")
    outcome = run(asked)
    (made,) = asked.workbench.made
    assert outcome.output["file"] == made.reference()
    assert made.size == len("made there")


@pytest.mark.parametrize(
    ("do", "code", "words"), [("raise", "adapter_crashed", "by zero"), ("refuse", "refused", "No."), ("die", "adapter_crashed", "code -11")]
)
def test_whatever_becomes_of_the_child_is_told(do, code, words):
    with pytest.raises(ToolError, match=words) as told:
        run(request(do=do))
    assert told.value.code == code


def test_a_child_that_hangs_is_killed_when_its_time_is_up(tmp_path):
    pid_file = tmp_path / "pid"

    async def until_it_hangs() -> None:
        task = asyncio.create_task(isolation.run(adapter_key="test.alone", request=request(do="hang", pid_file=str(pid_file))))
        async with asyncio.timeout(60):
            while not (pid_file.exists() and pid_file.read_text()):  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(until_it_hangs())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_files_are_waited_for_no_longer_than_they_may_take(monkeypatch):
    monkeypatch.setattr(isolation, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(isolation, "KEEPING_SECONDS", 0.5)
    with pytest.raises(ToolError, match="files") as told:
        run(request(do="leave", seconds=60, timeout_seconds=1))
    assert (told.value.code, told.value.permanent, told.value.cost) == ("output_not_kept", True, Cost(usd=Decimal(2)))


def test_what_a_call_cost_is_known_of_a_child_that_died_over_its_files():
    with pytest.raises(ToolError, match="code -9") as told:
        run(request(do="leave", die=True))
    assert (told.value.code, told.value.ambiguous, told.value.cost) == ("output_not_kept", False, Cost(usd=Decimal(2)))


def test_a_call_is_made_in_another_process_and_its_time_begins_there():
    begun = time.monotonic()
    assert run(request(do="tell", timeout_seconds=0.25)).output["pid"] != os.getpid()
    assert time.monotonic() - begun > 0.25


def test_a_child_that_does_not_begin_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(isolation, "STARTING_SECONDS", 0.1)
    with pytest.raises(ToolError, match="did not begin") as told:
        run(request(do="tell"))
    assert (told.value.code, told.value.ambiguous) == ("adapter_crashed", True)


def test_a_call_that_takes_too_long_is_told_as_such(tmp_path):
    with pytest.raises(ToolError, match="longer than 1 seconds") as told:
        run(request(do="hang", pid_file=str(tmp_path / "pid"), timeout_seconds=1))
    assert (told.value.code, told.value.ambiguous) == ("timeout", True)


@pytest.mark.parametrize("do", ["fork", "fork away"])
def test_a_process_that_a_call_left_behind_costs_neither_its_answer_nor_time(do, tmp_path):
    pid_file = tmp_path / "pid"
    try:
        assert run(request(do=do, pid_file=str(pid_file))).output["pid"] != os.getpid()
    finally:
        grandchild = int(pid_file.read_text())
        if do == "fork away":
            os.kill(grandchild, signal.SIGKILL)
    wait_until_gone(grandchild)


def test_a_child_that_died_is_not_waited_for_because_it_left_a_process_behind(tmp_path):
    with pytest.raises(ToolError, match="code -9") as told:
        run(request(do="fork and die", pid_file=str(tmp_path / "pid")))
    assert told.value.code == "adapter_crashed"
    wait_until_gone(int((tmp_path / "pid").read_text()))


def test_an_answer_counts_however_its_process_ends():
    assert run(request(do="end badly")).output["pid"] != os.getpid()


def wait_until_gone(pid: int) -> None:
    """Wait until a process that is no child of ours has ended. One that nobody waited for counts as ended."""
    deadline = time.monotonic() + 20
    while _state(pid) not in ("", "Z", "X"):
        assert time.monotonic() < deadline, "the process is still there"
        time.sleep(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
