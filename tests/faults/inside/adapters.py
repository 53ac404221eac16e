"""Adapters for steps that are made to suffer. They are offered as another package's: by entry points.

`fault.step` is pure and does what its inputs say; it writes down each time that it is run. The others are billed, by the
fake provider, and leave the generation's id with it, so that each line of its bill can be told apart.
"""

import json
import math
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from generations.tools.contract import Adapter, Lost, Progress, Request, Result, ToolError
from generations.tools.openai_chat import OpenAIChat
from generations.tools.provider_api import ProviderApi
from generations.tools.replicate import Replicate

HELD_SECONDS = 120.0
MEBIBYTE = 2**20
STRANGE: Mapping[str, dict[str, Any]] = {
    "nul": {"text": "before\0after", "na\0me": 1},
    "surrogates": {"text": "lone \ud800 and \udfff", "\udc00": 1},
    "nan": {"number": math.nan, "other": math.inf},
    "undecodable": {"bytes": b"\xff\xfe\x00"},
}


def folder() -> Path:
    return Path(os.environ["FAULT_FOLDER"])


class Step(Adapter):
    """Runs, and says so in a file."""

    key: ClassVar[str] = "fault.step"

    def run(self, request: Request) -> Result:
        inputs = request.inputs
        line = {"generation": str(request.generation_id), "name": inputs.get("name", ""), "pid": os.getpid()}
        with (folder() / "runs.jsonl").open("ab", buffering=0) as runs:
            runs.write(json.dumps(line).encode() + b"\n")
        if inputs.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if inputs.get("hold"):
            _wait_for(folder() / f"go-{inputs['hold']}")
        if inputs.get("fail"):
            raise ToolError(inputs["fail"], permanent=True)
        return Result(output=made(inputs.get("make", "")))


def _wait_for(file: Path) -> None:
    give_up_at = time.monotonic() + HELD_SECONDS
    while not file.exists():
        if time.monotonic() > give_up_at:
            raise ToolError(f"Nobody made {file.name}.", permanent=True)
        time.sleep(0.01)


def made(what: str) -> dict[str, Any]:
    """Return an output that is as strange as its name says."""
    if what == "large":
        return {"text": "x" * (50 * MEBIBYTE)}
    if what == "deep":
        nested: Any = 0
        for _ in range(100_000):
            nested = [nested]
        return {"nested": nested}
    return STRANGE.get(what, {"n": 1})


class Ask(OpenAIChat):
    """Asks a language model, and says for which generation, unless its key does: under one key all requests must be alike."""

    key: ClassVar[str] = "fault.ask"
    definitions = ()

    async def run(self, request: Request) -> Result:
        if not request.config.get("idempotency_key_header"):
            metadata = {"generation": str(request.generation_id)}
            request = replace(request, config={**request.config, "extra_body": {"metadata": metadata}})
        return await super().run(request)


class LookUp(Replicate):
    """Runs a model, and finds its prediction again by the key that went in with it."""

    key: ClassVar[str] = "fault.lookup"
    definitions = ()

    async def run(self, request: Request) -> Any:
        given = {**request.inputs["input"], "key": str(request.idempotency_key)}
        return await super().run(replace(request, inputs={"input": given}))

    async def poll(self, request: Request, job_id: str) -> Result | Progress | Lost | ToolError:
        if not job_id:
            found = [each for each in await self._all(request) if each["input"].get("key") == str(request.idempotency_key)]
            if not found:
                return Lost(message="There is no prediction with this key.")
            job_id = found[0]["id"]
        return await super().poll(request, job_id)

    async def _all(self, request: Request) -> list[Mapping[str, Any]]:
        answer = await ProviderApi.of(request, self._config(request)).ask("GET", "predictions")
        results: list[Mapping[str, Any]] = answer["results"]
        return results


ALL: tuple[type[Adapter], ...] = (Step, Ask, LookUp)
