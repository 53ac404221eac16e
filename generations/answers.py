"""What adapters answer, made fit to be stored.

An adapter hands on what its provider said, and neither is trusted: an answer that no database stores must not hold up
the casts that are settled beside it.
"""

import logging
import math
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from .outputs import clean_output, clean_text
from .tools.contract import MAX_USD, Cost, Lost, Progress, Request, Result, Submitted, ToolError
from .unfetched import Unfetched

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARACTERS = 4_000
MAX_CODE_CHARACTERS = 100
MAX_STAGE_CHARACTERS = 200
MAX_JOB_ID_CHARACTERS = 255
MAX_PREVIEW_BYTES = 16 * 1024  # of the reference, not of the picture
MAX_HANDLE_BYTES = 16 * 1024
# A provider that asks for no pause at all is not asked without one.
LEAST_WAIT_SECONDS = 0.05
MOST_WAIT_SECONDS = 24 * 3600.0
DEFAULT_WAIT_SECONDS = 5.0

Answer = Result | Submitted | Progress | Lost | ToolError | Unfetched


def clean_answer(answer: Answer) -> Answer:
    """Return an answer in values that every database stores. What cannot be used as a whole becomes an error that says so."""
    match answer:
        case Result():
            return _clean_result(answer)
        case Submitted():
            return _clean_job(answer)
        case Progress():
            percent = _number(answer.percent)
            return Progress(
                percent=None if percent is None else min(100.0, max(0.0, percent)),
                stage=clean_text(str(answer.stage))[:MAX_STAGE_CHARACTERS],
                poll_after=_wait(answer.poll_after),
                preview=_clean_preview(answer.preview),
            )
        case Lost():
            return Lost(message=_clean_message(answer.message))
        case ToolError():
            return clean_error(answer)
        case Unfetched():
            return replace(answer, error=clean_error(answer.error), cost=clean_cost(answer.cost))


def _clean_result(result: Result) -> Result | ToolError:
    cost = clean_cost(result.cost)
    try:
        return Result(output=clean_output(result.output), cost=cost)
    except ToolError as error:
        error.cost = cost
        return error


def _clean_job(job: Submitted) -> Submitted | ToolError:
    if not isinstance(job.job_id, str) or not 0 < len(job.job_id) <= MAX_JOB_ID_CHARACTERS or clean_text(job.job_id) != job.job_id:
        shown = clean_text(repr(job.job_id))[:MAX_JOB_ID_CHARACTERS]
        # the provider has the job all the same
        return ToolError(f"The provider named its job {shown}, which is no id.", code="bad_job_id", ambiguous=True)
    try:
        handle = clean_output(job.handle, max_bytes=MAX_HANDLE_BYTES)
    except ToolError:
        handle = None
    if handle is None or not all(isinstance(value, str) for value in handle.values()):
        message = f"The provider took the job {job.job_id}, but what is needed to ask for it is no object of short texts."
        return ToolError(message, code="bad_job_handle", ambiguous=True)
    return Submitted(job_id=job.job_id, poll_after=_wait(job.poll_after), handle=handle)


def _clean_message(message: object) -> str:
    return clean_text(str(message))[:MAX_MESSAGE_CHARACTERS]


def _clean_preview(preview: object) -> dict[str, Any] | None:
    """Return the reference to a preview, which is a small picture of what is not finished; None for anything else."""
    try:
        return None if preview is None else clean_output(preview, max_bytes=MAX_PREVIEW_BYTES)
    except ToolError as error:
        logger.warning("A preview is left out: %s", error)
        return None


def clean_error(error: ToolError) -> ToolError:
    """Return the error in words that every database stores. Details that are no JSON are told as text."""
    details = None
    if error.details is not None:
        try:
            details = clean_output({"details": error.details})["details"]
        except ToolError:
            details = clean_text(repr(error.details))[:MAX_MESSAGE_CHARACTERS]
    return ToolError(
        _clean_message(error.message),
        code=clean_text(str(error.code))[:MAX_CODE_CHARACTERS],
        permanent=bool(error.permanent),
        retry_after=None if error.retry_after is None else _wait(error.retry_after),
        ambiguous=bool(error.ambiguous),
        outage=bool(error.outage),
        elsewhere=bool(error.elsewhere),
        cost=clean_cost(error.cost),
        details=details,
    )


def too_slow(request: Request) -> ToolError:
    """Return the error of a call that did not end in its time."""
    return ToolError(f"The call took longer than {request.timeout_seconds:g} seconds.", code="timeout", ambiguous=True)


def clean_cost(cost: Cost | None) -> Cost | None:
    """Return the cost; None, which means unknown, when it is no amount of money."""
    if cost is None:
        return None
    try:
        usd = Decimal(str(cost.usd))
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or not 0 <= usd <= MAX_USD:
        logger.error("A call was said to have cost %r US dollars; what it cost is unknown.", cost.usd)
        return None
    try:
        return Cost(usd=usd, basis=clean_output(cost.basis))
    except ToolError:
        return Cost(usd=usd, basis={"told": clean_text(repr(cost.basis))[:MAX_MESSAGE_CHARACTERS]})


def _wait(value: Any) -> float:
    seconds = _number(value)
    return DEFAULT_WAIT_SECONDS if seconds is None else min(MOST_WAIT_SECONDS, max(LEAST_WAIT_SECONDS, seconds))


def _number(value: Any) -> float | None:
    """Return a finite number, or None for all that is none."""
    try:
        number = float(value) if isinstance(value, int | float | Decimal) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
