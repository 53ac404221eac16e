"""Tools of load runs that tell when they were called. `House.offer_clocks` offers them."""

import time
from typing import ClassVar

from generations.tools.contract import Adapter, Json, Progress, Request, Result, Submitted, ToolDefinition
from generations.tools.definition import object_schema

# Nobody asks for a job of a load run by itself.
NEVER_SECONDS = 86_400.0
_OUTPUT = object_schema({"at": {"type": "number", "description": "Seconds since 1970."}}, required=("at",))


class Clock(Adapter):
    """Answers at once."""

    key = "benchmark.clock"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug=key,
            name="Tell the time",
            description="Tells when it was called.",
            category="text",
            input_schema=object_schema({"after": {"type": "number", "description": "What must be known before."}}),
            output_schema=_OUTPUT,
            example={},
        ),
    )

    async def run(self, request: Request) -> Result:  # noqa: ARG002 - the time is all
        return Result(output={"at": time.time()})


class Job(Adapter):
    """Has each call taken as a job, of which a callback alone tells the end."""

    key = "benchmark.job"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug=key,
            name="Wait for a callback",
            description="Ends when a callback comes, and tells when that was read.",
            category="text",
            input_schema=object_schema({}),
            output_schema=_OUTPUT,
            example={},
            deadline_seconds=int(NEVER_SECONDS),
        ),
    )

    async def run(self, request: Request) -> Submitted:
        return Submitted(job_id=str(request.generation_id), poll_after=NEVER_SECONDS)

    async def poll(self, request: Request, job_id: str) -> Progress:  # noqa: ARG002 - whichever it is
        return Progress(poll_after=NEVER_SECONDS)

    def read_callback(self, request: Request, payload: Json) -> Result:  # noqa: ARG002 - that it came is all
        return Result(output={"at": time.time()})
