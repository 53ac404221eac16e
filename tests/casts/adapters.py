"""Adapters for the conductor's tests: real code at the tool boundary, which waits, fails or dies as its inputs say."""

import asyncio
import os
import signal
import threading
import time
from decimal import Decimal
from typing import Any, ClassVar

from generations.tools.contract import Adapter, Cost, Progress, Request, Result, Submitted, ToolError


class Gate:
    """Lets a test see which calls are at work, and let them go on."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.most = 0
        self._inside = 0
        self._lock = threading.Lock()

    def step_in(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self.entered.release()

    def step_out(self) -> None:
        with self._lock:
            self._inside -= 1


gate = Gate()


def reset() -> Gate:
    global gate
    gate = Gate()
    return gate


class Echo(Adapter):
    """Returns its inputs, on a thread."""

    key: ClassVar[str] = "test.echo"

    def run(self, request: Request) -> Result:
        return Result(output={"echo": dict(request.inputs), "thread": threading.current_thread().name})


class AsyncEcho(Adapter):
    """Returns its inputs, on the loop."""

    key: ClassVar[str] = "test.async_echo"

    async def run(self, request: Request) -> Result:
        return Result(output={"echo": dict(request.inputs), "thread": threading.current_thread().name}, cost=Cost(usd=Decimal("0.01")))


class AsyncGate(Adapter):
    """Waits on the loop until the test opens the gate."""

    key: ClassVar[str] = "test.async_gate"

    async def run(self, request: Request) -> Result:
        gate.step_in()
        try:
            while not gate.open.is_set():  # noqa: ASYNC110 - the gate is opened from another thread
                await asyncio.sleep(0.01)
        finally:
            gate.step_out()
        return Result(output={})


class ThreadGate(Adapter):
    """Waits on its thread until the test opens the gate."""

    key: ClassVar[str] = "test.thread_gate"

    def run(self, request: Request) -> Result:
        gate.step_in()
        try:
            assert gate.open.wait(60)
        finally:
            gate.step_out()
        return Result(output={})


class Keeps(Adapter):
    """Stores its text as an artefact and reads it back."""

    key: ClassVar[str] = "test.keeps"

    def run(self, request: Request) -> Result:
        if "file" in request.inputs:
            return Result(output={"text": request.read(request.inputs["file"]).decode()})
        return Result(output={"file": request.keep(request.inputs["text"].encode(), mime_type="text/plain", name="note.txt")})


class Raises(Adapter):
    """Fails in the way that its inputs name."""

    key: ClassVar[str] = "test.raises"

    def run(self, request: Request) -> Any:
        match request.inputs["how"]:
            case "bug":
                raise ZeroDivisionError("division by zero\0")
            case "once" if request.attempt == 1:
                raise ToolError("Not yet.", code="busy", retry_after=0.05)
            case "details":
                raise ToolError("bad\ud800", permanent=True, details={"object": object()})
            case "wrong type":
                return {"not": "a result"}
            case "nan":
                return Result(output={"x": float("nan")})
        return Result(output={"attempt": request.attempt})


class Job(Adapter):
    """Submits, and is done at the second poll."""

    key: ClassVar[str] = "test.job"
    polls: ClassVar[dict[str, int]] = {}

    async def run(self, request: Request) -> Submitted:
        return Submitted(job_id=f"job-{request.generation_id}", poll_after=0.05)

    def poll(self, request: Request, job_id: str) -> Result | Progress:
        self.polls[job_id] = self.polls.get(job_id, 0) + 1
        if self.polls[job_id] < 2:
            return Progress(percent=50, stage="painting", poll_after=0.05)
        return Result(output={"job": job_id})


class Poison(Adapter):
    """Takes its process down."""

    key: ClassVar[str] = "test.poison"

    def run(self, request: Request) -> Result:
        if request.inputs.get("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(request.inputs.get("seconds", 0))
        return Result(output={})


ALL = (Echo, AsyncEcho, AsyncGate, ThreadGate, Keeps, Raises, Job)
