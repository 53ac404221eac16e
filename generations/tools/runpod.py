"""runpod: serverless endpoints at RunPod."""

import base64
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from generations.outputs import clean_text
from spells.models.tool import Effects

from .configuration import read_config
from .contract import Adapter, Cost, Lost, Progress, Request, Result, Submitted, ToolDefinition, ToolError
from .definition import object_schema
from .file_fetch import UNKNOWN_TYPE, mime_type_of
from .given_files import GivenFile, with_files
from .http_errors import MAX_WORDS, provider_words
from .made_files import KEEP_PROPERTIES, FileFinder, files_schema
from .pricing import charge
from .provider_answers import Duration, JobId, no_lookup, read_as, taken
from .provider_api import ProviderApi, provider_schema

logger = logging.getLogger(__name__)

# RunPod refuses larger requests.
MAX_GIVEN_BYTES = 7 * 2**20
MIN_EXECUTION_SECONDS, MIN_TTL_SECONDS = 5, 10
MAX_POLICY_SECONDS = 7 * 24 * 3600
AT_WORK = frozenset({"IN_QUEUE", "IN_PROGRESS", "RUNNING"})

_CONFIG_SCHEMA = provider_schema(
    {
        "endpoint": {"type": "string", "description": "The id of the endpoint.", "pattern": "^[A-Za-z0-9_-]{1,100}$"},
        "files_as": {
            "type": "string",
            "description": "How artefacts of the input go along: as a data URI, or in bare base64.",
            "enum": ["data_uri", "base64"],
            "default": "data_uri",
        },
        "base64_fields": {
            "type": "array",
            "description": "The fields of an output, at any depth, whose bare base64 is a file.",
            "items": {"type": "string", "maxLength": 100},
            "maxItems": 50,
            "default": ["image", "images", "image_base64", "images_base64", "base64", "data", "video", "audio", "file", "files"],
        },
        **KEEP_PROPERTIES,
    },
    base_url="https://api.runpod.ai/v2",
    api_key_env="RUNPOD_API_KEY",
    required=("endpoint",),
)


class RunPod(Adapter):
    """Runs a serverless endpoint."""

    key = "runpod"
    config_schema: ClassVar[Mapping[str, Any]] = _CONFIG_SCHEMA
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="runpod",
            provider="runpod",
            name="Run an endpoint at RunPod",
            description="Runs a serverless endpoint at RunPod. Files go in as artefacts; files that come out are kept.",
            category="model",
            input_schema=object_schema(
                {
                    "input": {
                        "type": "object",
                        "description": "What the endpoint takes, by its own names. Artefacts, at any place in it, go along as files.",
                        "default": {},
                    }
                }
            ),
            output_schema=files_schema("What the endpoint gave, of whatever shape, with files where it had URLs or base64."),
            example={"input": {"prompt": "a lighthouse in a storm, woodcut"}},
            config={"endpoint": "your-endpoint"},
            effects=Effects.BILLED,
            run_timeout_seconds=60,
        ),
    )

    async def run(self, request: Request) -> Result | Submitted:
        config = read_config(request, self.config_schema)
        api = _api(request, config)

        async def give(file: GivenFile) -> str:
            return file.data_uri() if config["files_as"] == "data_uri" else base64.b64encode(file.data).decode()

        given = await with_files(request, request.inputs["input"], give=give, max_bytes=MAX_GIVEN_BYTES)
        body: dict[str, Any] = {"input": given, "policy": _policy(request)}
        if request.callback_url:
            body["webhook"] = request.callback_url
        told = await api.ask("POST", f"{config['endpoint']}/run", json=body)
        with taken():
            job = read_as(_Job, told, host=api.host, what="job")
            outcome = _outcome(job, request, config)
        if isinstance(outcome, Progress):
            return Submitted(job_id=job.id, poll_after=config["poll_seconds"])
        if isinstance(outcome, ToolError):
            raise outcome
        return outcome

    async def poll(self, request: Request, job_id: str) -> Result | Progress | Lost | ToolError:
        config = read_config(request, self.config_schema)
        api = _api(request, config)
        if not job_id:
            return no_lookup(api.host)
        answer = await api.send("GET", f"{config['endpoint']}/status/{job_id}", expected=(HTTPStatus.NOT_FOUND,))
        if answer.status == HTTPStatus.NOT_FOUND:
            return Lost(message=f"{api.host} no longer knows the job {job_id}: it keeps jobs for half an hour after their end.")
        return _outcome(read_as(_Job, api.json_of(answer), host=api.host, what="job"), request, config)

    async def cancel(self, request: Request, job_id: str) -> None:
        config = read_config(request, self.config_schema)
        ended = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
        await _api(request, config).send("POST", f"{config['endpoint']}/cancel/{job_id}", expected=ended)

    def read_callback(self, request: Request, payload: Any) -> Result | Progress | ToolError | None:
        config = read_config(request, self.config_schema)
        job = read_as(_Job, payload, host="RunPod", what="job")
        # Its status tells the time that is charged and what was made, if the webhook does not.
        is_silent = job.status not in AT_WORK and job.executionTime is None and "per_second" in request.pricing
        is_empty = job.status == "COMPLETED" and job.is_empty
        return None if is_silent or is_empty else _outcome(job, request, config)


def _api(request: Request, config: Mapping[str, Any]) -> ProviderApi:
    """Return the provider's API. No redirect is followed: it would take the inputs elsewhere."""
    return replace(ProviderApi.of(request, config), max_redirects=0)


def _policy(request: Request) -> dict[str, int]:
    """Return how long RunPod may work and keep the job waiting, in milliseconds: no longer than we wait for it."""
    seconds = min(request.deadline_seconds, MAX_POLICY_SECONDS)
    return {
        "executionTimeout": int(max(seconds, MIN_EXECUTION_SECONDS) * 1000),
        "ttl": int(max(seconds, MIN_TTL_SECONDS) * 1000),
    }


class _Job(BaseModel):
    """What we read of a job, in RunPod's words. Times are in milliseconds."""

    id: JobId
    status: str = Field(max_length=100)
    executionTime: Duration | None = None  # noqa: N815 - their word
    output: Any = None
    error: Any = None

    @property
    def is_empty(self) -> bool:
        return self.output in (None, "", [], {})


def _outcome(job: _Job, request: Request, config: Mapping[str, Any]) -> Result | Progress | ToolError:
    """Return what became of a job. A status that nobody knows counts as at work, until the job's deadline."""
    cost = _cost(job, request)
    match job.status:
        case "COMPLETED":
            if job.is_empty:
                return ToolError("The endpoint ended without an output.", code="empty_answer", cost=cost)
            finder = FileFinder.of(config)
            return Result(output=finder.output(_with_data_uris(job.output, frozenset(config["base64_fields"]))), cost=cost)
        case "FAILED":
            return ToolError(f"The endpoint failed: {_words(job)}", code="provider_failed", cost=cost)
        case "CANCELLED":
            return ToolError("The job was cancelled at RunPod.", code="cancelled", permanent=True, cost=cost)
        case "TIMED_OUT":
            # One that ran would run as long again; one that waited may find a free worker.
            has_run = bool(job.executionTime)
            why = "worked longer than it may" if has_run else "waited for a worker longer than it may"
            return ToolError(f"The job {why}.", code="timed_out", permanent=has_run, cost=cost)
    if job.status not in AT_WORK:
        logger.warning("RunPod tells of a status that is not known: %r", job.status)
    return _progress(job, config)


def _cost(job: _Job, request: Request) -> Cost | None:
    """Return what the time of execution cost; None when it is not told. A job that was stopped without one never ran."""
    if job.executionTime is None and job.status in ("COMPLETED", "FAILED"):
        return None
    return charge(request, {"per_second": Decimal(str(job.executionTime or 0)) / 1000})


def _words(job: _Job) -> str:
    """Return an error in words: RunPod hands on a text, or a JSON text with the exception of the worker."""
    told = job.error if job.error not in (None, "") else job.output
    try:
        inner = json.loads(told) if isinstance(told, str) else told
    except (ValueError, RecursionError):
        inner = None
    if isinstance(inner, dict) and isinstance(inner.get("error_message"), str):
        told = inner["error_message"]
    words = clean_text(told[:MAX_WORDS]) if isinstance(told, str) else provider_words(json.dumps(told).encode())
    return words.strip() or "It gives no reason."


def _progress(job: _Job, config: Mapping[str, Any]) -> Progress:
    """Return how far a job is: a worker may tell it in place of an output, as text or as an object with `progress`."""
    told, percent = job.output, None
    stage = told if isinstance(told, str) else job.status.replace("_", " ").lower()
    if isinstance(told, dict):
        number = told.get("progress", told.get("percent"))
        percent = float(number) if isinstance(number, int | float) and 0 <= number <= 100 else None  # noqa: PLR2004 - per cent
        stage = told["stage"] if isinstance(told.get("stage"), str) else stage
    return Progress(percent=percent, stage=clean_text(stage[:200]), poll_after=config["poll_seconds"])


_BASE64 = re.compile(r"[A-Za-z0-9+/]{32,}={0,2}")


def _with_data_uris(value: Any, fields: frozenset[str], *, field: str = "") -> Any:
    """Return a copy of an output in which the bare base64 of a known type of file, in one of the fields, is a data URI."""
    # What a provider answers has passed a bound on its depth.
    if isinstance(value, str) and field in fields and _BASE64.fullmatch(value) and len(value) % 4 == 0:
        mime_type = mime_type_of(base64.b64decode(value[:64]), claimed="")
        return value if mime_type == UNKNOWN_TYPE else f"data:{mime_type};base64,{value}"
    if isinstance(value, Mapping):
        return {name: _with_data_uris(inner, fields, field=name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_data_uris(inner, fields, field=field) for inner in value]
    return value
