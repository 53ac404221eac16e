"""What providers answer, read strictly: a shape of our own, in which each text and number is bounded."""

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from generations.outputs import clean_text

from .contract import Cost, ToolError

M = TypeVar("M", bound=BaseModel)

# What can stand in the path of a URL: an id is a provider's word, and must not lead to another address.
JobId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$")]
Count = Annotated[int, Field(strict=True, ge=0, le=10**12)]
# Seconds or milliseconds that a machine worked.
Duration = Annotated[float, Field(strict=True, ge=0, le=10**12, allow_inf_nan=False)]

MAX_PLACES = 3

_EXCERPT = reprlib.Repr()
_EXCERPT.maxstring = _EXCERPT.maxother = 500


def read_as(model: type[M], told: Any, *, host: str, what: str) -> M:
    """Return an answer in the shape that we read of it. `what` is what it should be, like `chat completion`.

    Raises:
        ToolError: `bad_answer`: it is of another shape; the message names the places.
    """
    try:
        return model.model_validate(told)
    except ValidationError as error:
        places = ", ".join(".".join(map(str, fault["loc"])) or "all of it" for fault in error.errors()[:MAX_PLACES])
        message = f"The answer of {host} is no {what}: wrong in {clean_text(places[:300])}."
        raise ToolError(message, code="bad_answer", details={"body": clean_text(_EXCERPT.repr(told))}) from error


@contextmanager
def taken(cost: Cost | None = None) -> Iterator[None]:
    """Make the errors of reading the answer to a submission ambiguous: the provider took it, whatever we make of its answer.

    `cost` is what it says that the call cost. What an answer says of itself, like that its job failed, is no such error.
    """
    try:
        yield
    except ToolError as error:
        error.ambiguous = True
        error.cost = error.cost or cost
        raise


def no_lookup(host: str) -> ToolError:
    """Return what a poll answers for a job whose id never came, at a provider that knows jobs by their ids alone."""
    message = f"{host} can be asked for a job by its id only, and that was lost."
    return ToolError(message, code="no_lookup", permanent=True, ambiguous=True)
