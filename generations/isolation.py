"""Calls in a process of their own: for adapters that may hang or crash, which a thread or a loop could not be saved from.

The parent writes one JSON document to the child's standard input. The child writes lines of JSON to its standard output:
that the call begins; how far it is, as often as its adapter says so; that it has a result, and what it cost; and at the end
its answer.
Bytes travel through the storage of artefacts: the child keeps what it made, remote files too, and has time of its own
for that. A child that outlives its time is killed, with all that it started; so is what an answer leaves behind.
"""

import asyncio
import ctypes
import gc
import inspect
import json
import logging
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from . import tracing
from .answers import Answer, clean_answer, clean_cost, too_slow
from .artifacts import StoredArtifact, Workbench, referenced_ids
from .keeping import LEAST_SECONDS, keep
from .tools import registry
from .tools.contract import Adapter, Cost, Progress, RemoteFile, Request, Result, Submitted, ToolError

logger = logging.getLogger(__name__)

# The longest answer of a child: outputs are bounded, what it stored is told by name.
MAX_LINE_BYTES = 64 * 2**20
QUIET_SECONDS = 0.1
# How long a child may take to begin.
STARTING_SECONDS = 60.0
# How much longer than it should take the child may take to keep what a call made, before nobody waits for it any more.
KEEPING_SECONDS = 30.0
# How long a child that has answered may take to end, and what a child that has ended wrote to arrive.
EXIT_SECONDS = 5.0
ARRIVAL_SECONDS = 1.0
ROOT = Path(__file__).resolve().parent.parent
# Models can be imported only once Django is set up, so this module cannot be the child's first.
CHILD = "import django; django.setup(); from generations.isolation import main; main()"


@dataclass(slots=True)
class _Talk:
    """What a child tells of its call: that it has begun, what it cost once it has a result, and its answer. Each moves the limit."""

    adapter_key: str
    request: Request
    limit: asyncio.Timeout
    has_begun: bool = False
    has_result: bool = False
    cost: Cost | None = None
    answer: Mapping[str, Any] | None = None

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Take in what is told, and pass on how far the call says it is, up to the answer or the end of all words."""
        while self.answer is None and (line := await reader.readline()):
            self._hear(json.loads(line), now=asyncio.get_running_loop().time())

    def _hear(self, words: Mapping[str, Any], *, now: float) -> None:
        if "progress" in words:
            self.request.on_progress(_progress(words, self.request))
        elif "begins" in words:
            self.has_begun = True
            self._extend(now + self.request.timeout_seconds)
        elif "result" in words:
            self.has_result, self.cost = True, _cost(words["result"])
            self._extend(max(self.limit.when() or 0.0, now + LEAST_SECONDS) + KEEPING_SECONDS)
        else:
            self.answer = words
            self._extend(None)

    def _extend(self, to: float | None) -> None:
        if not self.limit.expired():
            self.limit.reschedule(to)

    def overdue(self) -> ToolError:
        """Return the error of a child that was not waited for any longer."""
        if self.has_result:
            return self._not_kept("keeping its files took too long.")
        if self.has_begun:
            return too_slow(self.request)
        message = f"The process of {self.adapter_key} did not begin within {STARTING_SECONDS:g} seconds."
        return ToolError(message, code="adapter_crashed", ambiguous=True)

    def ended(self, code: int | None) -> ToolError:
        """Return the error of a child that ended without an answer."""
        ended = f"process of {self.adapter_key} ended with code {code}"
        if self.has_result:
            return self._not_kept(f"the {ended} over its files.")
        return ToolError(f"The {ended}.", code="adapter_crashed", ambiguous=True)

    def _not_kept(self, why: str) -> ToolError:
        return ToolError(f"The call was made, but {why}", code="output_not_kept", permanent=True, cost=self.cost)


async def run(*, adapter_key: str, request: Request) -> Result | Submitted:
    """Make a call in a child, which dies with this coroutine. The call has its time, and its start and its files have theirs.

    Raises:
        ToolError: the adapter's own; `timeout`; `adapter_crashed` when the child did not begin, or ended without an answer: how
            far it came is unknown; `output_not_kept` when the call had a result and what it made could not be kept.
    """
    reader, pipe, stdout = await _pipe()
    try:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CHILD), cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=stdout, start_new_session=True
        )
    except BaseException:
        pipe.close()
        raise
    finally:
        os.close(stdout)
    talk = _Talk(adapter_key, request, limit=asyncio.timeout(STARTING_SECONDS))
    try:
        async with talk.limit:
            await _converse(child, reader, talk, order=json.dumps(_written(adapter_key, request)).encode())
    except TimeoutError as error:
        if talk.answer is None:
            raise talk.overdue() from error
    finally:
        _kill(child)
        pipe.close()
        await child.wait()
    if talk.answer is None:
        raise talk.ended(child.returncode)
    return _read(talk.answer, request)


async def _pipe() -> tuple[asyncio.StreamReader, asyncio.ReadTransport, int]:
    """Return a reader with its transport, and the descriptor to write to.

    A pipe of our own can be closed while others hold its other end. With asyncio's, even waiting for the child waits for them.
    """
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    readable, writable = os.pipe()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(readable, "rb"))
    return reader, pipe, writable


def _kill(child: Process) -> None:
    """Kill what is left of a child and of those that it started, but for those that went away into sessions of their own."""
    with suppress(ProcessLookupError, PermissionError):  # nobody is left
        os.killpg(child.pid, signal.SIGKILL)


async def _converse(child: Process, reader: asyncio.StreamReader, talk: _Talk, *, order: bytes) -> None:
    """Hand a child its order and listen until it has answered, or ended without: whoever else holds its pipe is not waited for."""
    assert child.stdin is not None
    listening, leaving = asyncio.create_task(talk.listen(reader)), asyncio.create_task(child.wait())
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # it ended at once: its exit code tells
            child.stdin.write(order)
            await child.stdin.drain()
            child.stdin.close()
        await asyncio.wait({listening, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            await asyncio.wait({listening}, timeout=ARRIVAL_SECONDS)
        if listening.done():
            listening.result()
            await asyncio.wait({leaving}, timeout=EXIT_SECONDS)
    finally:
        listening.cancel()
        leaving.cancel()


def _progress(told: Mapping[str, Any], request: Request) -> Progress:
    """Return what a child told of how far it is. What its preview refers to is on our workbench from now on."""
    request.workbench.made.extend(_artifact(values) for values in told["made"])
    remote = told["remote"] and RemoteFile(**told["remote"])
    return Progress(**{**told["progress"], "preview": remote or told["progress"]["preview"]})


def _written(adapter_key: str, request: Request) -> dict[str, Any]:
    readable = {str(id_): _stored(stored) for id_, stored in request.workbench.readable.items()}
    plain = {
        name: getattr(request, name)
        for name in (
            "tool",
            "config",
            "pricing",
            "inputs",
            "attempt",
            "timeout_seconds",
            "deadline_seconds",
            "callback_url",
            "job_handle",
            "price_table",
            "traceparent",
        )
    }
    ids = {name: str(getattr(request, name)) for name in ("generation_id", "cast_id", "idempotency_key")}
    return {"adapter": adapter_key, "plain": plain, "ids": ids, "readable": readable, "traceparent": tracing.current()}


def _stored(stored: StoredArtifact) -> dict[str, Any]:
    return {**asdict(stored), "id": str(stored.id)}


def _artifact(values: Mapping[str, Any]) -> StoredArtifact:
    return StoredArtifact(**{**values, "id": UUID(values["id"])})


def _read(answer: Mapping[str, Any], request: Request) -> Result | Submitted:
    request.workbench.made.extend(_artifact(values) for values in answer["made"])
    cost = _cost(answer["cost"])
    match answer["kind"]:
        case "result":
            return Result(output=answer["output"], cost=cost)
        case "submitted":
            return Submitted(**answer["submitted"])
    raise ToolError(**answer["error"], cost=cost)


def _cost(written: Mapping[str, Any] | None) -> Cost | None:
    return None if written is None else Cost(usd=Decimal(written["usd"]), basis=written["basis"])


class Teller:
    """Tells the parent how far a call is, from any thread, a few times a second at most."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], workbench: Workbench) -> None:
        """Take what writes a line to the parent, and where the call keeps what it makes."""
        self._tell = tell
        self._workbench = workbench
        self._lock = threading.Lock()
        self._quiet_until = 0.0

    def __call__(self, progress: Progress) -> None:
        """Tell it, unless something was told just now."""
        with self._lock:
            if time.monotonic() < self._quiet_until or not isinstance(progress, Progress):
                return
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            preview = progress.preview
            remote = asdict(preview) if isinstance(preview, RemoteFile) else None
            cleaned = clean_answer(replace(progress, preview=None) if remote else progress)
            assert isinstance(cleaned, Progress)
            ids = referenced_ids(cleaned.preview)
            made = [_stored(stored) for stored in list(self._workbench.made) if stored.id in ids]
            self._tell({"progress": asdict(cleaned), "remote": remote, "made": made})


def answer(order: Mapping[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Make the call that an order describes, and return what to tell the parent. `tell` writes to it meanwhile."""
    workbench = Workbench(readable={UUID(id_): _artifact(values) for id_, values in order["readable"].items()})
    ids: dict[str, Any] = {name: UUID(value) for name, value in order["ids"].items()}
    request = Request(**order["plain"], **ids, workbench=workbench, on_progress=Teller(tell, workbench))
    try:
        with tracing.under(order["traceparent"]):
            adapter = registry.get(order["adapter"])
            tell({"begins": True})
            begun = time.monotonic()
            outcome = _outcome(adapter, request)
            if isinstance(outcome, Result):
                tell({"result": _written_cost(clean_cost(outcome.cost))})
            left = request.timeout_seconds - (time.monotonic() - begun)
            told = _told(asyncio.run(keep(outcome, request=request, adapter=adapter, seconds=left)))
    except (Exception, SystemExit) as raised:  # noqa: BLE001 - the child's last words are all that its parent can tell the initiator
        told = _told(clean_answer(raised if isinstance(raised, ToolError) else _crash(raised)))
    tracing.flush()
    return {**told, "made": [_stored(stored) for stored in workbench.made]}


def _outcome(adapter: Adapter, request: Request) -> Result | Submitted:
    """Make the call, on a loop of its own if it needs one."""
    outcome: Any = asyncio.run(adapter.run(request)) if inspect.iscoroutinefunction(adapter.run) else adapter.run(request)
    if not isinstance(outcome, Result | Submitted):
        raise ToolError(f"The adapter returned {type(outcome).__name__}, not Result or Submitted.", code="bad_output", permanent=True)
    return outcome


def _told(answer: Answer) -> dict[str, Any]:
    """Return an answer as a JSON object."""
    if isinstance(answer, Submitted):
        return {"kind": "submitted", "submitted": asdict(answer), "cost": None}
    shared = {"cost": _written_cost(getattr(answer, "cost", None))}
    if isinstance(answer, Result):
        return {"kind": "result", "output": answer.output, **shared}
    names = ("message", "code", "permanent", "retry_after", "ambiguous", "outage", "elsewhere", "details")
    return {"kind": "error", "error": {name: getattr(answer, name) for name in names}, **shared}


def _written_cost(cost: Cost | None) -> dict[str, Any] | None:
    return None if cost is None else {"usd": str(cost.usd), "basis": dict(cost.basis)}


def _crash(raised: BaseException) -> ToolError:
    logger.error("An adapter raised in a process of its own", exc_info=raised)
    return ToolError(f"{type(raised).__name__}: {raised}", code="adapter_crashed", ambiguous=True)


def _die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent dies: nobody would read its answer."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, see prctl(2)


def main() -> None:
    """Answer one order from standard input. What an adapter prints goes to standard error."""
    _die_with_parent()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def tell(words: Mapping[str, Any]) -> None:
        line = f"{json.dumps(words)}\n"
        with lock:  # calls may tell from threads of theirs
            out.write(line)
            out.flush()

    with out:
        order = json.load(sys.stdin)
        structlog.contextvars.bind_contextvars(**{name: order["ids"][name] for name in ("cast_id", "generation_id")})
        tell(answer(order, tell))
    gc.freeze()  # the parent waits for the end, which would look through all that there is for garbage
