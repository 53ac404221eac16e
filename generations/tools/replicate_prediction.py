"""A prediction, as Replicate and cog tell it, read as news of a call."""

import logging
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field

from generations.outputs import clean_text

from .contract import Cost, Progress, Request, Result, ToolError
from .http_errors import MAX_WORDS
from .made_files import FileFinder
from .pricing import charge, counted
from .provider_answers import JobId, read_as

logger = logging.getLogger(__name__)

AT_WORK = frozenset({"starting", "processing"})
# The last lines; what a model prints may be as long as it likes.
_TAIL_CHARACTERS = 8000
_PERCENTAGE = re.compile(r"(\d{1,3})%\|")


class Prediction(BaseModel):
    """What we read of a prediction. Other fields may come and go."""

    id: JobId | None = None
    status: str = Field(max_length=100)
    output: Any = None
    error: Any = None
    logs: str | None = None
    metrics: Any = None

    @property
    def seconds(self) -> Decimal | None:
        """Return how long it ran, which is what is charged; None when that is not told, or not in a way that can be read."""
        return counted(self.metrics.get("predict_time")) if isinstance(self.metrics, Mapping) else None


def read_prediction(told: Any, *, host: str) -> Prediction:
    """Return the prediction that a provider told. Raises ToolError as `read_as`."""
    return read_as(Prediction, told, host=host, what="prediction")


def news(request: Request, config: Mapping[str, Any], prediction: Prediction) -> Result | Progress | ToolError:
    """Return what a prediction says of its call. A status that nobody knows is taken for work that goes on."""
    cost = _cost(request, prediction)
    match prediction.status:
        case "succeeded":
            finder = FileFinder.of(config)
            output = finder.output(prediction.output)
            return Result(output=output, cost=_cost(request, prediction, also={"per_call": 1, "per_image": finder.count}))
        case "failed":
            words = words_of(prediction.error) or "it does not say why"
            return ToolError(f"The model failed: {words}", code="job_failed", cost=cost)
        case "canceled":
            return ToolError("The prediction was cancelled at the provider.", code="job_cancelled", permanent=True, cost=cost)
        case "aborted":
            return ToolError("The prediction did not start before its deadline.", code="job_aborted")
    if prediction.status not in AT_WORK:
        logger.warning("Generation %s: unknown status of a prediction: %s", request.generation_id, clean_text(prediction.status))
    return Progress(percent=_percent(prediction.logs or ""), stage=clean_text(prediction.status), poll_after=config["poll_seconds"])


def words_of(error: Any) -> str:
    """Return a provider's own words of what went wrong, whatever JSON they stand in."""
    return clean_text((error if isinstance(error, str) else str(error or ""))[:MAX_WORDS]).strip()


def _cost(request: Request, prediction: Prediction, *, also: Mapping[str, int | None] | None = None) -> Cost | None:
    """Return what a prediction cost: the time that it ran, also when it was stopped; each file and the call, when it succeeded."""
    return charge(request, {**(also or {}), "per_second": prediction.seconds})


def _percent(logs: str) -> float | None:
    found = _PERCENTAGE.findall(logs[-_TAIL_CHARACTERS:])
    return min(100.0, float(found[-1])) if found else None
