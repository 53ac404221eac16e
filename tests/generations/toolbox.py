"""Running built-in tools as the engine does: checked params, defaults filled in, an adapter from the registry."""

import asyncio
import inspect
import io
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from PIL import Image
from uuid_utils.compat import uuid7

from generations import artifacts
from generations.artifacts import StoredArtifact, Workbench
from generations.tools import registry
from generations.tools.contract import Adapter, Progress, Request, Result, ToolDefinition
from spells.schemas import check, complete


def definitions() -> dict[str, ToolDefinition]:
    """Return what all built-in adapters declare, by slug."""
    return {definition.slug: definition for key in registry.BUILT_IN for definition in registry.get(key).definitions}


def adapter_key_of(slug: str) -> str:
    """Return the key of the adapter that declares a tool."""
    (key,) = (key for key in registry.BUILT_IN if slug in {definition.slug for definition in registry.get(key).definitions})
    return key


def keep(data: bytes, *, mime_type: str = "image/png", id_: UUID | None = None) -> StoredArtifact:
    """Store bytes as an artefact of the caster."""
    stored = artifacts.store(data, mime_type=mime_type)
    return stored if id_ is None else StoredArtifact(id=id_, sha256=stored.sha256, mime_type=mime_type, size=len(data))


def picture(
    *, width: int = 60, height: int = 40, colour: str = "#336699", mode: str = "RGB", file_format: str = "PNG", **options: Any
) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA" if mode == "RGBA" else "RGB", (width, height), colour).convert(mode).save(out, file_format, **options)
    return out.getvalue()


def request_for(
    slug: str,
    inputs: Mapping[str, Any],
    *,
    readable: Mapping[UUID, StoredArtifact] | None = None,
    config: Mapping[str, Any] | None = None,
    pricing: Mapping[str, Any] | None = None,
    timeout_seconds: float = 10,
    on_progress: Any = None,
    **more: Any,
) -> Request:
    definition = definitions()[slug]
    problems = check(dict(inputs), definition.input_schema, path="params")
    assert problems == [], problems
    return Request(
        tool=slug,
        config=definition.config if config is None else config,
        pricing=definition.pricing if pricing is None else pricing,
        inputs=complete(inputs, definition.input_schema),
        generation_id=uuid7(),
        cast_id=uuid7(),
        attempt=1,
        idempotency_key=uuid7(),
        timeout_seconds=timeout_seconds,
        workbench=Workbench(readable=readable or {}),
        on_progress=on_progress or (lambda _: None),
        **more,
    )


def run(request: Request) -> Result:
    """Run a tool and check its output against its own schema."""
    outcome = ask(request, "run")
    assert isinstance(outcome, Result)
    assert check(dict(outcome.output), definitions()[request.tool].output_schema, path="output") == []
    return outcome


def ask(request: Request, method: str, *arguments: Any) -> Any:
    """Return what a method of a tool's adapter answers: `run`, `poll`, `cancel`, `read_callback`."""
    adapter: Adapter = registry.get(adapter_key_of(request.tool))
    outcome: Any = getattr(adapter, method)(request, *arguments)
    return awaited(outcome)


def awaited(outcome: Any) -> Any:
    """Return what came of a call, waited for if it must be."""
    return asyncio.run(_awaited(outcome)) if inspect.isawaitable(outcome) else outcome


async def _awaited(outcome: Any) -> Any:
    return await outcome


def call(slug: str, *, pictures: Mapping[str, bytes] | None = None, **inputs: Any) -> dict[str, Any]:
    """Return the output of a tool. A param that is a name in `pictures` stands for that picture."""
    stored = {name: keep(data) for name, data in (pictures or {}).items()}
    placed = {name: _placed(value, stored) for name, value in inputs.items()}
    return dict(run(request_for(slug, placed, readable={each.id: each for each in stored.values()})).output)


def _placed(value: Any, stored: Mapping[str, StoredArtifact]) -> Any:
    if isinstance(value, list):
        return [_placed(inner, stored) for inner in value]
    return stored[value].reference() if isinstance(value, str) and value in stored else value


def opened(reference: Mapping[str, Any]) -> Image.Image:
    """Return the picture behind a reference in an output."""
    with artifacts.open_stored(reference["sha256"]) as file:
        image = Image.open(io.BytesIO(file.read()))
        image.load()
    return image


def problems_with(slug: str, **inputs: Any) -> list[str]:
    """Return the places of params that the tool's schema refuses."""
    return [problem.path for problem in check(inputs, definitions()[slug].input_schema, path="params")]


__all__ = [
    "Progress",
    "adapter_key_of",
    "ask",
    "awaited",
    "call",
    "definitions",
    "keep",
    "opened",
    "picture",
    "problems_with",
    "request_for",
    "run",
]
