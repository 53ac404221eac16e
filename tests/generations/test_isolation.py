import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from generations import isolation
from generations.artifacts import StoredArtifact, Workbench
from generations.tools import registry
from generations.tools.contract import Adapter, RemoteFile, Request, Result, ToolError
from tests.offering import offer


class Alone(Adapter):
    """Does in its process what its inputs say."""

    key = "test.alone"
    isolated = True

    def run(self, request: Request) -> Result:
        match request.inputs["do"]:
            case "hang":
                Path(request.inputs["pid_file"]).write_text(str(os.getpid()))
                signal.pause()
            case "die":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "raise":
                raise ZeroDivisionError("by zero")
            case "refuse":
                raise ToolError("No.", code="refused", permanent=True, details={"why": object()})
            case "keep":
                sys.stdout.write("noise on standard output\n")
                return Result(output={"file": request.keep(b"made here", mime_type="text/plain")})
            case "leave":
                return Result(output={"file": RemoteFile(url="data:text/plain,made%20there")})
        return Result(output={"pid": os.getpid()})


@pytest.fixture(autouse=True)
def offered(monkeypatch, tmp_path):
    offer(Alone, folder=tmp_path, monkeypatch=monkeypatch)
    yield
    registry.forget()


def request(**inputs) -> Request:
    return Request(
        tool="test.alone",
        config={},
        pricing={},
        inputs=inputs,
        generation_id=uuid4(),
        cast_id=uuid4(),
        attempt=1,
        idempotency_key=uuid4(),
        timeout_seconds=30,
        workbench=Workbench(),
    )


def run(asked: Request):
    return asyncio.run(isolation.run(adapter_key="test.alone", request=asked))


def test_a_call_is_made_in_another_process():
    assert run(request(do="tell")).output["pid"] != os.getpid()


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
