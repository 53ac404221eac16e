"""One call of one adapter: run it within its time, and turn whatever happens into news for the engine."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from casts.engine import News
from generations import isolation
from generations.outputs import clean_output, clean_text
from generations.tools import registry
from generations.tools.contract import Adapter, Progress, Request, Result, Submitted, ToolError

from .lanes import Place

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARACTERS = 4_000


async def run(*, adapter_key: str, request: Request, threads: Executor, place: Place) -> News:
    """Make a call."""

    async def attempt(adapter: Adapter) -> Any:
        if adapter.isolated:
            return await isolation.run(adapter_key=adapter_key, request=request)
        return await _invoke(adapter.run, request, threads=threads, place=place)

    return await _news(adapter_key, request, attempt, (Result, Submitted))


async def poll(*, adapter_key: str, request: Request, job_id: str, threads: Executor, place: Place) -> News:
    """Ask a provider for a job. A poll that fails for a while is no news of the job: it will be asked again."""
    news = await _news(
        adapter_key, request, lambda adapter: _invoke(adapter.poll, request, job_id, threads=threads, place=place), (Result, Progress)
    )
    if isinstance(news, ToolError) and not news.permanent and (news.ambiguous or news.retry_after is not None):
        return Progress(poll_after=news.retry_after or 5.0)
    return news


async def _news(adapter_key: str, request: Request, attempt: Callable[[Adapter], Awaitable[Any]], expected: tuple[type, ...]) -> News:
    limit = asyncio.timeout(request.timeout_seconds)
    try:
        adapter = registry.get(adapter_key)
        async with limit:
            outcome = await attempt(adapter)
        return _checked(outcome, expected=expected)
    except registry.AdapterNotFound as error:
        return ToolError(str(error), code="adapter_not_found", permanent=True)
    except ToolError as error:
        return _cleaned(error)
    except Exception as error:
        if limit.expired():
            return ToolError(f"The call took longer than {request.timeout_seconds:g} seconds.", code="timeout", ambiguous=True)
        # whatever an adapter raises is news of its call, and is told to the initiator
        logger.exception("The adapter %s raised on generation %s", adapter_key, request.generation_id)
        return _cleaned(ToolError(f"{type(error).__name__}: {error}", code="adapter_crashed", ambiguous=True))


async def _invoke(method: Callable[..., Any], *arguments: Any, threads: Executor, place: Place) -> Any:
    if inspect.iscoroutinefunction(method):
        return await method(*arguments)
    return await place.submit(threads, partial(method, *arguments))


def _checked(outcome: Any, *, expected: tuple[type[Result | Submitted | Progress], ...]) -> News:
    if not isinstance(outcome, expected):
        names = " or ".join(kind.__name__ for kind in expected)
        raise ToolError(f"The adapter returned {type(outcome).__name__}, not {names}.", code="bad_output", permanent=True)
    if isinstance(outcome, Result):
        return Result(output=clean_output(outcome.output), cost=outcome.cost)
    return outcome


def _cleaned(error: ToolError) -> ToolError:
    """Return the error in words that every database stores. Details that are no JSON are left out."""
    details = None
    if error.details is not None:
        try:
            details = clean_output({"details": error.details})["details"]
        except ToolError:
            details = clean_text(repr(error.details))[:MAX_MESSAGE_CHARACTERS]
    return ToolError(
        clean_text(error.message)[:MAX_MESSAGE_CHARACTERS],
        code=error.code,
        permanent=error.permanent,
        retry_after=error.retry_after,
        ambiguous=error.ambiguous,
        cost=error.cost,
        details=details,
    )
