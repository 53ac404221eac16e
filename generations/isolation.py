"""Calls in a process of their own: for adapters that may hang or crash, which a thread or a loop could not be saved from.

The parent writes one JSON document to the child's standard input and reads one from its standard output; bytes travel
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
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from .answers import Answer, clean_answer
from .artifacts import StoredArtifact, Workbench
from .keeping import keep
from .tools import registry
from .tools.contract import Adapter, Cost, Request, Result, Submitted, ToolError

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
    )
    try:
        answer, _ = await child.communicate(json.dumps(_written(adapter_key, request)).encode())
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    if child.returncode or not answer:
        raise ToolError(f"The process of {adapter_key} ended with code {child.returncode}.", code="adapter_crashed", ambiguous=True)
    return _read(json.loads(answer), request)


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


def answer(order: Mapping[str, Any]) -> dict[str, Any]:
    """Make the call that an order describes, and return what to tell the parent."""
    workbench = Workbench(readable={UUID(id_): _artifact(values) for id_, values in order["readable"].items()})
    ids: dict[str, Any] = {name: UUID(value) for name, value in order["ids"].items()}
    request = Request(**order["plain"], **ids, workbench=workbench)
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
    told = answer(json.load(sys.stdin))
    with out:
        json.dump(told, out)
