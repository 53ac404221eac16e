"""http.job: what a provider's answers say, read where its configuration says."""

import logging
from collections.abc import Mapping
from typing import Any

from generations.outputs import clean_text

from .contract import MAX_USD, Cost, Json, Lost, Progress, Request, Result, ToolError
from .http_errors import MAX_WORDS
from .http_job_config import CANCELLED, FAILED, LOST, RUNNING, USD
from .json_query import query
from .made_files import FileFinder
from .pricing import charge, counted, plain

logger = logging.getLogger(__name__)

MAX_STATUS_CHARACTERS = 200


def find(config: Mapping[str, Any], name: str, told: Json) -> Json:
    """Return what stands where the configuration says; None when it says nothing, or nothing is there.

    Raises:
        ToolError: `bad_answer`: the expression fails on this value. Worth another try: values change.
    """
    return find_at(config[name], told) if name in config else None


def find_at(path: str, told: Json) -> Json:
    """Return what a JMESPath expression finds. Raises ToolError as `find`."""
    try:
        return query(path, told)
    except ToolError as error:
        raise ToolError(f"The provider's answer cannot be read at {path}: {error.message}", code="bad_answer") from error


def outcome_of(request: Request, config: Mapping[str, Any], told: Json) -> str:
    """Return what an answer says of its job. A status that the configuration does not know is taken for work that goes on."""
    word = _word(find(config, "status", told))
    outcome = config["statuses"].get(word)
    if outcome is None:
        logger.warning("Generation %s: unknown status of a job of %s: %s", request.generation_id, request.tool, word)
    return str(outcome or RUNNING)


def _word(status: Json) -> str:
    """Return a status as the configuration writes it: true, 3 and null are words, too."""
    if isinstance(status, bool) or status is None:
        return {True: "true", False: "false", None: "null"}[status]
    return clean_text(str(status)[:MAX_STATUS_CHARACTERS])


def job_text(value: Json, *, most: int) -> str:
    """Return an id or address as text; empty when it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)
    return text if len(text) <= most and clean_text(text) == text else ""


def unfinished(request: Request, config: Mapping[str, Any], told: Json, outcome: str) -> Progress | Lost | ToolError:
    """Return what an answer says of a job that did not succeed."""
    words = clean_text(_words(find(config, "error", told))[:MAX_WORDS]).strip()
    if outcome == FAILED:
        message = f"The job failed: {words or 'it does not say why'}"
        return ToolError(message, code="job_failed", cost=_cost(request, config, told))
    if outcome == CANCELLED:
        cost = _cost(request, config, told)
        return ToolError("The job was cancelled at the provider.", code="job_cancelled", permanent=True, cost=cost)
    if outcome == LOST:
        return Lost(message=f"The provider lost the job{f': {words}' if words else '.'}")
    stage = find(config, "stage", told)
    return Progress(
        percent=_percent(config, told), stage=clean_text(stage) if isinstance(stage, str) else "", poll_after=config["poll_seconds"]
    )


def _words(error: Json) -> str:
    """Return what went wrong in words, whatever shape they have."""
    if isinstance(error, Mapping):
        return next((value for name in ("message", "detail", "error") if isinstance(value := error.get(name), str)), str(error))
    return "" if error is None else str(error)


def _percent(config: Mapping[str, Any], told: Json) -> float | None:
    progress = counted(find(config, "progress", told))
    return None if progress is None else min(100.0, float(progress) / config["progress_of"] * 100)


def result_of(request: Request, config: Mapping[str, Any], result: Json, *, told: Json) -> Result:
    """Return the result of a job that succeeded. `told` is the answer with its status, where the cost is."""
    finder = FileFinder.of(config)
    if "files" in config:
        finder.only = frozenset(text for path in config["files"] for text in _texts(find_at(path, result)))
    output = finder.output(result)
    cost = _cost(request, config, told, also={"per_call": 1, "per_image": finder.count})
    return Result(output=output, cost=cost)


def _texts(value: Json) -> list[str]:
    stack, found = [value], []
    while stack:
        current = stack.pop()
        if isinstance(current, str):
            found.append(current)
        elif isinstance(current, list):
            stack.extend(current)
    return found


def _cost(request: Request, config: Mapping[str, Any], told: Json, *, also: Mapping[str, int | None] | None = None) -> Cost | None:
    """Return what a job cost: what the provider counted, and `also`, by the tool's prices; or the amount that the provider tells."""
    quantities: dict[str, Any] = dict(also or {})
    if "cost" in config:
        quantity, unit = counted(find_at(config["cost"]["quantity"], told)), config["cost"]["unit"]
        if quantity is not None and unit == USD:
            return Cost(usd=quantity, basis={"unit": USD, "quantity": plain(quantity), "price": "1"}) if quantity <= MAX_USD else None
        quantities[unit] = quantity
    return charge(request, quantities)
