"""fal's queue: what it says of a request, read as news of a call."""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field

from generations.outputs import clean_text

from .contract import Cost, Progress, Request, Result, ToolError
from .http_errors import MAX_WORDS, RETRYABLE
from .made_files import FileFinder
from .pricing import charge, counted
from .provider_answers import JobId, read_as, taken

logger = logging.getLogger(__name__)

AT_WORK = frozenset({"IN_QUEUE", "IN_PROGRESS"})
MEGAPIXEL = 1_000_000
_PERCENTAGE = re.compile(r"(\d{1,3})%\|")
# fal's words for what is its own fault, or nobody's; all else is about the request.
_PASSING = frozenset(
    {
        "request_timeout",
        "startup_timeout",
        "generation_timeout",
        "internal_error",
        "internal_server_error",
        "downstream_service_error",
        "downstream_service_unavailable",
        "client_disconnected",
    }
)
_CANCELLED = frozenset({"client_cancelled", "request_cancelled"})
_MAX_FAULTS = 5


class Place(BaseModel):
    """The answer to a submission. Other fields may come and go."""

    request_id: JobId
    response_url: str = Field(default="", max_length=2000)
    status_url: str = Field(default="", max_length=2000)
    cancel_url: str = Field(default="", max_length=2000)


class Status(BaseModel):
    """What the queue says of a request."""

    status: str = Field(max_length=100)
    queue_position: Any = None
    logs: Any = None
    metrics: Any = None
    error: Any = None
    error_type: Any = None

    @property
    def seconds(self) -> Any:
        return self.metrics.get("inference_time") if isinstance(self.metrics, Mapping) else None

    def progress(self, request: Request, *, poll_after: float) -> Progress:
        """Return how far a request is that is at work. A status that nobody knows is taken for that."""
        if self.status not in AT_WORK:
            logger.warning("Generation %s: unknown status of a fal request: %s", request.generation_id, clean_text(self.status))
        stage = clean_text(self.status).lower().replace("_", " ")
        if self.status == "IN_QUEUE" and counted(self.queue_position) is not None:
            stage = f"in queue, {self.queue_position} before it"
        return Progress(percent=_percent(self.logs), stage=stage, poll_after=poll_after)


class Hook(BaseModel):
    """The body of a webhook."""

    request_id: str = Field(max_length=200)
    status: str = Field(max_length=100)
    payload: Any = None
    payload_error: Any = None
    error: Any = None


def _percent(logs: Any) -> float | None:
    lines = logs[-50:] if isinstance(logs, list) else []
    said = [line["message"][-1000:] for line in lines if isinstance(line, Mapping) and isinstance(line.get("message"), str)]
    found = [percentage for text in said for percentage in _PERCENTAGE.findall(text)]
    return min(100.0, float(found[-1])) if found else None


def read_place(told: Any, *, host: str) -> Place:
    """Read the answer to a submission. Raises ToolError, ambiguous: a job may have begun."""
    with taken():
        return read_as(Place, told, host=host, what="place in a queue")


def result_of(request: Request, config: Mapping[str, Any], output: Any, *, seconds: Any = None, units: Any = None) -> Result:
    """Return the result of a request that succeeded. `seconds` and `units` are what fal says that it used."""
    finder = FileFinder.of(config)
    return Result(output=finder.output(output), cost=_cost(request, output, files=finder.count, seconds=seconds, units=units))


def needs_a_poll(request: Request) -> bool:
    """Tell whether the cost depends on what a webhook does not tell."""
    return not {"per_second", "per_unit"}.isdisjoint(request.pricing)


def _cost(request: Request, output: Any, *, files: int | None, seconds: Any, units: Any) -> Cost | None:
    quantities = {"per_call": 1, "per_image": files, "per_megapixel": _megapixels(output), "per_second": seconds, "per_unit": units}
    return charge(request, {unit: counted(quantity) for unit, quantity in quantities.items()})


def _megapixels(output: Any) -> float | None:
    """Return the size of all pictures that tell theirs, in millions of pixels; None when none does."""
    pixels: list[float] = []
    stack = [output]
    while stack:
        current = stack.pop()
        if isinstance(current, list):
            stack.extend(current)
        elif isinstance(current, Mapping):
            width, height = counted(current.get("width")), counted(current.get("height"))
            if isinstance(current.get("url"), str) and width is not None and height is not None:
                pixels.append(float(width * height))
            stack.extend(current.values())
    return sum(pixels) / MEGAPIXEL if pixels else None


def failure(told: Any, *, status: int = 0, kind: str = "", retryable: str = "", cost: Cost | None = None) -> ToolError:
    """Return the error of a request that failed, in fal's words.

    `told` is the body of fal's answer or of its webhook. `status` is the answer's, `kind` fal's word for the sort of
    error and `retryable` its opinion (`true`, `false`), where they came.
    """
    kinds = {word for word in (kind, *_kinds(told)) if word}
    if kinds & _CANCELLED:
        return ToolError("The request was cancelled at the provider.", code="job_cancelled", permanent=True, cost=cost)
    passing = any(word in _PASSING or word.startswith("runner_") for word in kinds)
    is_refusal = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in RETRYABLE
    permanent = not passing and (is_refusal or bool(kinds))
    if retryable.lower() in ("true", "false"):
        permanent = retryable.lower() == "false"
    details = {"types": sorted(clean_text(word[:100]) for word in kinds)[:_MAX_FAULTS]} if kinds else None
    words = words_of(told) or "it does not say why"
    return ToolError(f"The model failed: {words}", code="job_failed", permanent=permanent, cost=cost, details=details)


def tells_sort(told: Any) -> bool:
    """Tell whether an error says of which sort it is, as fal's own do."""
    return bool(_kinds(told))


def words_of(told: Any) -> str:
    """Return the words of an error: its text, or what is wrong at which place."""
    if isinstance(told, Mapping):
        told = next((told[name] for name in ("detail", "error", "message") if told.get(name)), "")
    if isinstance(told, list):
        told = "; ".join(_fault(each) for each in told[:_MAX_FAULTS])
    return clean_text(str(told)[:MAX_WORDS]).strip()


def _fault(told: Any) -> str:
    if not isinstance(told, Mapping):
        return str(told)
    way = told.get("loc")
    place = ".".join(str(part) for part in way if part != "body") if isinstance(way, list) else ""
    return f"{place}: {told.get('msg', '')}" if place else str(told.get("msg", ""))


def _kinds(told: Any) -> list[str]:
    if not isinstance(told, Mapping):
        return []
    faults = told["detail"] if isinstance(told.get("detail"), list) else []
    sorts = [told.get("error_type"), *(each.get("type") for each in faults[:_MAX_FAULTS] if isinstance(each, Mapping))]
    return [sort for sort in sorts if isinstance(sort, str)]
