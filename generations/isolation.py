"""Calls in a process of their own: for adapters that may hang or crash, which a thread or a loop could not be saved from.

The parent writes one JSON document to the child's standard input. The child writes lines of JSON to its standard output:
how far it is, as often as its adapter says so, and at the end its answer. Bytes travel
through the storage of artefacts: the child keeps what it made, remote files too. A child that outlives its call's time
is killed.
"""

import asyncio
import ctypes
import inspect
import json
import os
import signal
import sys
import threading
import time
import traceback
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from .answers import Answer, clean_answer
from .artifacts import StoredArtifact, Workbench, referenced_ids
from .keeping import keep
from .tools import registry
from .tools.contract import Adapter, Cost, Progress, RemoteFile, Request, Result, Submitted, ToolError

# The longest answer of a child: outputs are bounded, what it stored is told by name.
MAX_LINE_BYTES = 64 * 2**20
QUIET_SECONDS = 0.1
ROOT = Path(__file__).resolve().parent.parent
# Models can be imported only once Django is set up, so this module cannot be the child's first.
CHILD = "import django; django.setup(); from generations.isolation import main; main()"


async def run(*, adapter_key: str, request: Request) -> Result | Submitted:
    """Make a call in a child, which dies with this coroutine.

    Raises:
        ToolError: the adapter's own, or `adapter_crashed` when the child ended without an answer: how far it came is unknown.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=MAX_LINE_BYTES,
    )
    try:
        answer = await _converse(child, json.dumps(_written(adapter_key, request)).encode(), request)
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    if child.returncode or not answer:
        raise ToolError(f"The process of {adapter_key} ended with code {child.returncode}.", code="adapter_crashed", ambiguous=True)
    return _read(answer, request)


async def _converse(child: Process, order: bytes, request: Request) -> Mapping[str, Any] | None:
    """Hand a child its order and return its answer, None if it ended without. On the way, pass on how far it says it is."""
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError, ConnectionResetError):  # it ended at once: its exit code tells
        child.stdin.write(order)
        await child.stdin.drain()
        child.stdin.close()
    answer = None
    async for line in child.stdout:
        told = json.loads(line)
        if "progress" in told:
            request.on_progress(_progress(told, request))
        else:
            answer = told
    await child.wait()
    return answer


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
        )
    }
    ids = {name: str(getattr(request, name)) for name in ("generation_id", "cast_id", "idempotency_key")}
    return {"adapter": adapter_key, "plain": plain, "ids": ids, "readable": readable}


def _stored(stored: StoredArtifact) -> dict[str, Any]:
    return {**asdict(stored), "id": str(stored.id)}


def _artifact(values: Mapping[str, Any]) -> StoredArtifact:
    return StoredArtifact(**{**values, "id": UUID(values["id"])})


def _read(answer: Mapping[str, Any], request: Request) -> Result | Submitted:
    request.workbench.made.extend(_artifact(values) for values in answer["made"])
    cost = answer["cost"] and Cost(usd=Decimal(answer["cost"]["usd"]), basis=answer["cost"]["basis"])
    match answer["kind"]:
        case "result":
            return Result(output=answer["output"], cost=cost)
        case "submitted":
            return Submitted(**answer["submitted"])
    raise ToolError(**answer["error"], cost=cost)


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
        adapter = registry.get(order["adapter"])
        outcome = _outcome(adapter, request)
        told = _told(clean_answer(asyncio.run(keep(outcome, request=request, adapter=adapter, seconds=request.timeout_seconds))))
    except (Exception, SystemExit) as raised:  # noqa: BLE001 - the child's last words are all that its parent can tell the initiator
        told = _told(clean_answer(raised if isinstance(raised, ToolError) else _crash(raised)))
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
    cost = getattr(answer, "cost", None)
    shared = {"cost": cost and {"usd": str(cost.usd), "basis": dict(cost.basis)}}
    if isinstance(answer, Result):
        return {"kind": "result", "output": answer.output, **shared}
    names = ("message", "code", "permanent", "retry_after", "ambiguous", "outage", "details")
    return {"kind": "error", "error": {name: getattr(answer, name) for name in names}, **shared}


def _crash(raised: BaseException) -> ToolError:
    traceback.print_exception(raised)
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

    def tell(words: Mapping[str, Any]) -> None:
        out.write(f"{json.dumps(words)}\n")
        out.flush()

    with out:
        tell(answer(json.load(sys.stdin), tell))
