"""The contract between Grimoire and the code that makes a call.

An adapter is a class with one method that matters, `run`. It returns a `Result` when the call is done, `Submitted`
when a provider took it as a job, and raises `ToolError` when it failed. `run` and `poll` may be plain functions (they
get a thread) or `async def` (they share the event loop); all else is the engine's: retries, deadlines, accounting.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from generations.artifacts import StoredArtifact, Workbench

from .definition import ToolDefinition

Json = Any

# As many places, and no more than the database keeps.
SMALLEST_USD = Decimal("1e-10")
MAX_USD = Decimal(10) ** 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call cost: US dollars, rounded to as many places as the database keeps, and the basis on which that was reckoned."""

    usd: Decimal
    basis: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Round here, so that the sum over many calls is the sum of what stands with each."""
        if isinstance(self.usd, Decimal) and self.usd.is_finite() and abs(self.usd) <= MAX_USD:
            object.__setattr__(self, "usd", self.usd.quantize(SMALLEST_USD))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A call that is done. `output` is a JSON object; bytes go through `Request.keep` and appear in it by reference."""

    output: Mapping[str, Json]
    cost: Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A call that a provider took as a job: its id there, and the seconds after which to ask for it."""

    job_id: str
    poll_after: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A job that is still at work. `percent` is 0 to 100; `poll_after` is in seconds."""

    percent: float | None = None
    stage: str = ""
    poll_after: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackUpdate:
    """What a provider's webhook said of a job. `None` as news means: ask the provider, by `poll`."""

    delivery_id: str
    job_id: str
    news: "Result | Progress | ToolError | None"


class ToolError(Exception):
    """A call that failed, in words that its initiator can use.

    `permanent`: trying again cannot help. `retry_after`: seconds that the provider asked us to wait. `ambiguous`: the
    request may have reached the provider and its answer was lost, so a billed call must not be sent again blindly.
    `cost`: what the failure cost all the same. `code` is a short machine-readable word, `details` what the provider
    said beyond the message.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "tool_failed",
        permanent: bool = False,
        retry_after: float | None = None,
        ambiguous: bool = False,
        cost: Cost | None = None,
        details: Json = None,
    ) -> None:
        """Take the message for the initiator and, by keyword, what the engine has to know."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.permanent = permanent
        self.retry_after = retry_after
        self.ambiguous = ambiguous
        self.cost = cost
        self.details = details


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call, as its adapter sees it.

    `inputs` have been checked against the tool's schema and filled with its defaults. `idempotency_key` is the same
    for each try of one call whose answer was lost, and new for a try after a definite failure. `timeout_seconds` is
    what the engine allows the call; an adapter hands it on to its client.
    """

    tool: str
    config: Mapping[str, Json]
    pricing: Mapping[str, Json]
    inputs: Mapping[str, Json]
    generation_id: UUID
    cast_id: UUID
    attempt: int
    idempotency_key: UUID
    timeout_seconds: float
    workbench: Workbench
    on_progress: Callable[[Progress], None] = lambda progress: None  # noqa: ARG005 - nobody listens unless told to

    def read(self, reference: Mapping[str, Json]) -> bytes:
        """Return the bytes of an artefact that stands by reference in `inputs`. Blocks on storage.

        Raises:
            ToolError: the reference names no artefact of this cast's initiator.
        """
        try:
            return self.workbench.read(reference)
        except KeyError as error:
            raise ToolError(f"No artefact {error.args[0]} of yours.", code="artifact_not_found", permanent=True) from error

    def keep(self, data: bytes, *, mime_type: str, name: str = "", source_url: str = "") -> dict[str, Json]:
        """Store bytes and return the reference that stands for them in the output. Blocks on storage."""
        return self.workbench.keep(data, mime_type=mime_type, name=name, source_url=source_url).reference()

    def report(self, percent: float, stage: str = "") -> None:
        """Tell how far the call is: `percent` from 0 to 100, and in words what it is doing."""
        self.on_progress(Progress(percent=percent, stage=stage))


class Adapter:
    """Base of all adapters. Only `run` must be written; the rest is for providers that work in jobs.

    `key` names the adapter in `Tool.adapter`. `config_schema` is the JSON Schema of `Tool.config`. `definitions` are
    the tools that `manage.py sync_tools` makes of it. `isolated` gives each call a process of its own, which is killed
    when its time is up: for blocking code that may hang or crash. Its `run` must be a plain function.
    """

    key: ClassVar[str]
    isolated: ClassVar[bool] = False
    definitions: ClassVar[tuple[ToolDefinition, ...]] = ()
    config_schema: ClassVar[Mapping[str, Json]] = {"type": "object", "additionalProperties": False}

    def run(self, request: Request) -> Result | Submitted | Awaitable[Result | Submitted]:
        """Make the call."""
        raise NotImplementedError

    def poll(self, request: Request, job_id: str) -> Result | Progress | ToolError | Awaitable[Result | Progress | ToolError]:
        """Ask the provider for a job. An empty `job_id` means: look it up by `request.idempotency_key`.

        A job that failed is told by a returned ToolError. One that is raised says nothing of the job: that the
        provider could not be asked, which is tried again, or, if it is permanent, that it knows of no such job.
        """
        raise NotImplementedError

    def cancel(self, request: Request, job_id: str) -> Awaitable[None] | None:
        """Ask the provider to stop a job, best effort."""
        raise NotImplementedError

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackUpdate:
        """Verify the signature of a webhook and read what it says."""
        raise NotImplementedError


__all__ = [
    "Adapter",
    "CallbackUpdate",
    "Cost",
    "Json",
    "Progress",
    "Request",
    "Result",
    "StoredArtifact",
    "Submitted",
    "ToolDefinition",
    "ToolError",
    "Workbench",
]
