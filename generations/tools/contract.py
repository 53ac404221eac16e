"""The contract between Grimoire and the code that makes a call.

An adapter is a class with one method that matters, `run`. It returns a `Result` when the call is done, `Submitted`
when a provider took it as a job, and raises `ToolError` when it failed. Each method may be a plain function (it gets a
thread) or `async def` (it shares the event loop); all else is the engine's: retries, deadlines, accounting.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from generations.artifacts import StoredArtifact, Workbench
from spells.problems import Problem

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
class RemoteFile:
    """A file that a provider made, still over there: an http(s) URL, or a `data:` URI.

    It may stand anywhere in a `Result.output` and as a `Progress.preview`. It is fetched and kept before the answer is
    stored, and a reference to the artefact takes its place. `mime_type` is what the provider says, if it does.
    """

    url: str
    name: str = ""
    mime_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A call that is done. `output` is a JSON object; bytes stand in it as a `RemoteFile` or by what `Request.keep` returned."""

    output: Mapping[str, Json]
    cost: Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A call that a provider took as a job: its id there, and the seconds after which to ask for it.

    `handle` is what else is needed to ask, like the URLs that the provider named: `Request.job_handle` brings it back.
    """

    job_id: str
    poll_after: float = 5.0
    handle: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A job that is still at work. `percent` is 0 to 100; `poll_after` is in seconds.

    `preview` is a picture of the unfinished work: a `RemoteFile` or the reference to an artefact.
    """

    percent: float | None = None
    stage: str = ""
    poll_after: float = 5.0
    preview: "RemoteFile | Mapping[str, Json] | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A provider's definite word that it knows of no such job, in words for the initiator."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook as it came in: header names in lower case, the raw body, and the configuration of the tool it is for."""

    tool: str
    config: Mapping[str, Json]
    headers: Mapping[str, str]
    body: bytes


class CallbackRefusedError(Exception):
    """A webhook whose signature or form is not its provider's."""


class ToolError(Exception):
    """A call that failed, in words that its initiator can use.

    `permanent`: trying again cannot help. `retry_after`: seconds that the provider asked us to wait. `ambiguous`: the
    request may have reached the provider and its answer was lost, so a billed call must not be sent again blindly.
    `cost`: what the failure cost all the same. `outage`: the provider as a whole is at fault (it cannot be reached, or
    answers 5xx), which tells nothing of this call. `elsewhere`: it was said by a place that the inputs name, which tells
    nothing of anybody else's calls: neither its outage nor its wish for rest is the tool's. `code` is a short machine-readable word, `details` what the
    provider said beyond the message.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "tool_failed",
        permanent: bool = False,
        retry_after: float | None = None,
        ambiguous: bool = False,
        outage: bool = False,
        elsewhere: bool = False,
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
        self.outage = outage
        self.elsewhere = elsewhere
        self.cost = cost
        self.details = details


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call, as its adapter sees it.

    `inputs` have been checked against the tool's schema and filled with its defaults. `idempotency_key` is the same
    for each try of one call until its provider said what became of it, and new for a try after a definite failure. `timeout_seconds` is
    what the engine allows the call; an adapter hands it on to its client. `callback_url` is where the provider may tell
    us of the job; empty when it could not reach us. `job_handle` is the `handle` of the job that is asked for.
    `unfetched` is what is left to fetch of a result that was told already; no adapter is asked for that.
    `price_table` is the number of the tool's price table that `pricing` holds. `deadline_seconds` is how long a job may
    take in all. `traceparent` is the place of the call in its trace, if it is traced.
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
    deadline_seconds: float = 3600.0
    callback_url: str = ""
    job_handle: Mapping[str, str] = field(default_factory=dict)
    unfetched: Mapping[str, Json] | None = None
    price_table: int = 1
    traceparent: str = ""
    on_progress: Callable[[Progress], None] = lambda progress: None  # noqa: ARG005 - nobody listens unless told to

    def read(self, reference: Mapping[str, Json]) -> bytes:
        """Return the bytes of an artefact that stands by reference in `inputs`. Blocks on storage.

        Raises:
            ToolError: the reference names no artefact of this cast's initiator.
        """
        try:
            return self.workbench.read(reference)
        except KeyError as error:
            raise _not_found(error) from error

    def size_of(self, reference: Mapping[str, Json]) -> int:
        """Return how many bytes an artefact has that stands by reference in `inputs`, without reading them. Raises as `read`."""
        try:
            return self.workbench.find(reference).size
        except KeyError as error:
            raise _not_found(error) from error

    def keep(self, data: bytes, *, mime_type: str, name: str = "", source_url: str = "") -> dict[str, Json]:
        """Store bytes and return the reference that stands for them in the output. Blocks on storage."""
        return self.workbench.keep(data, mime_type=mime_type, name=name, source_url=source_url).reference()

    def report(self, percent: float, stage: str = "") -> None:
        """Tell how far the call is: `percent` from 0 to 100, and in words what it is doing."""
        self.on_progress(Progress(percent=percent, stage=stage))


PollAnswer = Result | Submitted | Progress | Lost | ToolError


def _not_found(error: KeyError) -> ToolError:
    return ToolError(f"No artefact {error.args[0]} of yours.", code="artifact_not_found", permanent=True)


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

    def config_problems(self, config: Mapping[str, Json]) -> list[Problem]:
        """Return what is wrong with a configuration that fits `config_schema`, each with its place (`config.poll.path`)."""
        return []

    def declares(self, config: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return what a tool of this configuration is, where it differs from the first of `definitions`.

        Keys are `input_schema`, `output_schema`, `effects` and `recovery`.
        """
        return {}

    def run(self, request: Request) -> Result | Submitted | Awaitable[Result | Submitted]:
        """Make the call."""
        raise NotImplementedError

    def poll(self, request: Request, job_id: str) -> PollAnswer | Awaitable[PollAnswer]:
        """Ask the provider for a job. An empty `job_id` means: look it up by `request.idempotency_key`.

        One that was found may be told by `Submitted`, so that its id is kept and it is asked for by that.

        A job that failed is told by a returned ToolError; by an ambiguous one, that nobody can be asked what became of
        it. One that is raised says nothing of the job, also if it is permanent: the provider could not be asked, which
        is tried again until the job's deadline.
        """
        raise NotImplementedError

    def cancel(self, request: Request, job_id: str) -> Awaitable[None] | None:
        """Ask the provider to stop a job, best effort. A job that has ended is no error."""
        raise NotImplementedError

    def file_headers(self, request: Request) -> Mapping[str, str]:
        """Return the secret headers with which the provider hands out its own files. They go below `file_prefixes` alone."""
        return {}

    def file_prefixes(self, request: Request) -> Sequence[str]:
        """Return the addresses below which files get the `file_headers`: URLs that end where a name begins, like in / or =.

        An output may name any address: below these, the key must open nothing but files. By default it goes nowhere.
        """
        return ()

    def verify_callback(self, delivery: Delivery) -> str | Awaitable[str]:
        """Check that a webhook is its provider's, and return the sender's id of the delivery; empty if it has none.

        Without a scheme of its own, the signed address that the webhook came to is what shows that it is genuine.

        Raises:
            CallbackRefusedError: it is not. ToolError: that cannot be told now; the provider may send it again.
        """
        return ""

    def job_of_callback(self, payload: Json) -> str:
        """Return the id of the job that a webhook tells of, empty if it tells of none. The payload is unverified.

        For providers that send to one address for all jobs, which is told them once: `/api/v1/callbacks/{adapter}/`.
        """
        return ""

    def read_callback(self, request: Request, payload: Json) -> Result | Progress | ToolError | None:
        """Return what a verified webhook says of the job. None: it is only a hint, ask by `poll`. Reads, and calls nobody."""
        return None


__all__ = [
    "Adapter",
    "CallbackRefusedError",
    "Cost",
    "Delivery",
    "Json",
    "Lost",
    "Problem",
    "Progress",
    "RemoteFile",
    "Request",
    "Result",
    "StoredArtifact",
    "Submitted",
    "ToolDefinition",
    "ToolError",
    "Workbench",
]
