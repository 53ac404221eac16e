"""One call of one adapter: run it within its time, and turn whatever happens into news for the engine."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from types import NoneType
from typing import Any

import structlog

from casts.engine import News, Unasked
from generations import isolation, tracing
from generations.answers import Answer, clean_answer, clean_error, too_slow
from generations.keeping import keep, keep_rest
from generations.tools import registry
from generations.tools.contract import Adapter, Lost, Progress, Request, Result, Submitted, ToolError

from .lanes import Place

logger = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 5.0
# How long one try for the files of a call may take: they may be large, and their server slow.
FETCH_SECONDS = 300.0
CANNOT_CANCEL = "cannot_cancel"
NO_THREAD = "no_thread"


async def run(*, adapter_key: str, request: Request, threads: Executor, place: Place, apart: bool = False) -> News:
    """Make a call, in a process of its own if it must be `apart`."""

    async def attempt(adapter: Adapter, limit: asyncio.Timeout) -> Any:
        if adapter.isolated or apart:
            limit.reschedule(None)  # the call has its limit there, and the files that it made another
            return await isolation.run(adapter_key=adapter_key, request=request)
        return await _invoke(partial(adapter.run, request), threads=threads, place=place, limit=limit, seconds=request.timeout_seconds)

    try:
        news: News = await _answer("run", adapter_key, request, attempt, (Result, Submitted))
    except ToolError as error:
        return clean_answer(error)
    return news


async def poll(*, adapter_key: str, request: Request, job_id: str, threads: Executor, place: Place) -> News:
    """Ask a provider for a job; without its id, look it up. An error that is raised is no news of the job, whatever it is: it is asked again.

    Of a call that is done and whose files are missing, these are asked for, and its provider is not.
    """
    if request.unfetched is not None:
        return await _fetch_rest(adapter_key=adapter_key, request=request)

    def attempt(adapter: Adapter, limit: asyncio.Timeout) -> Awaitable[Any]:
        ask = partial(adapter.poll, request, job_id)
        return _invoke(ask, threads=threads, place=place, limit=limit, seconds=request.timeout_seconds)

    try:
        found = () if job_id else (Submitted,)
        news: News = await _answer("poll", adapter_key, request, attempt, (Result, Progress, Lost, ToolError, *found))
    except ToolError as error:
        logger.warning("%s could not be asked for the job of generation %s: %s", adapter_key, request.generation_id, error)
        told = clean_error(error)
        return Unasked(error=told, poll_after=ASK_AGAIN_SECONDS if told.retry_after is None else told.retry_after)
    return news


async def _fetch_rest(*, adapter_key: str, request: Request) -> News:
    try:
        adapter = registry.get(adapter_key)
    except registry.AdapterNotFound as error:  # it tells where the key goes that files may want
        return Unasked(error=ToolError(str(error), code="adapter_not_found"), poll_after=ASK_AGAIN_SECONDS)
    with _noted("fetch", adapter_key, request) as noted:
        kept = await keep_rest(request=request, adapter=adapter, seconds=max(FETCH_SECONDS, request.timeout_seconds))
        noted.note({"grimoire.answer": type(kept).__name__.lower()})
    news: News = clean_answer(kept)
    return news


async def read(*, adapter_key: str, request: Request, payload: Any, threads: Executor, place: Place) -> News | None:
    """Return what a callback says, None when that is only that the provider has news.

    Raises:
        ToolError: the adapter cannot read it.
    """

    def attempt(adapter: Adapter, limit: asyncio.Timeout) -> Awaitable[Any]:
        ask = partial(adapter.read_callback, request, payload)
        return _invoke(ask, threads=threads, place=place, limit=limit, seconds=request.timeout_seconds)

    news: News | None = await _answer("read callback", adapter_key, request, attempt, (Result, Progress, ToolError, NoneType))
    return news


class CannotCancelError(Exception):
    """The adapter has no way to stop a job."""


async def cancel(*, adapter_key: str, request: Request, job_id: str, threads: Executor, place: Place) -> None:
    """Ask a provider to stop a job.

    Raises:
        CannotCancelError: the adapter does not say how.
        ToolError: the provider could not be asked, or refused.
    """

    async def attempt(adapter: Adapter, limit: asyncio.Timeout) -> None:
        if type(adapter).cancel is Adapter.cancel:
            raise ToolError(f"The adapter {adapter_key} cannot cancel.", code=CANNOT_CANCEL, permanent=True)
        ask = partial(adapter.cancel, request, job_id)
        await _invoke(ask, threads=threads, place=place, limit=limit, seconds=request.timeout_seconds)

    try:
        await _answer("cancel", adapter_key, request, attempt, (NoneType,))
    except ToolError as error:
        if error.code == CANNOT_CANCEL:
            raise CannotCancelError(error.message) from error
        raise


async def _answer(
    what: str,
    adapter_key: str,
    request: Request,
    attempt: Callable[[Adapter, asyncio.Timeout], Awaitable[Any]],
    expected: tuple[type[Answer | None], ...],
) -> Any:
    """Return what an adapter answers, fit to be stored. Raises ToolError, whatever the adapter raises."""
    with _noted(what, adapter_key, request) as noted:
        answer = await _asked(adapter_key, request, attempt, expected)
        noted.note({"grimoire.answer": type(answer).__name__.lower()})
        if isinstance(answer, ToolError):
            noted.fail(answer.code)
        return answer


@contextmanager
def _noted(what: str, adapter_key: str, request: Request) -> "Iterator[tracing.Noted]":
    """Have what is done in the block stand under the ids of its call in logs and traces."""
    ids = {"cast_id": str(request.cast_id), "generation_id": str(request.generation_id)}
    bound = structlog.contextvars.bind_contextvars(**ids)
    try:
        if not tracing.is_asked_for():
            yield tracing.Noted()
            return
        about: tracing.Attributes = {
            "grimoire.cast_id": ids["cast_id"],
            "grimoire.generation_id": ids["generation_id"],
            "grimoire.adapter": adapter_key,
            "grimoire.attempt": request.attempt,
        }
        with tracing.span(f"{what} {request.tool}", kind="client", parent=request.traceparent, attributes=about) as noted:
            yield noted
    finally:
        structlog.contextvars.reset_contextvars(**bound)


async def _asked(
    adapter_key: str,
    request: Request,
    attempt: Callable[[Adapter, asyncio.Timeout], Awaitable[Any]],
    expected: tuple[type[Answer | None], ...],
) -> Any:
    limit = asyncio.timeout(request.timeout_seconds)
    try:
        adapter = registry.get(adapter_key)
        async with limit:
            outcome = await attempt(adapter, limit)
    except registry.AdapterNotFound as error:
        raise ToolError(str(error), code="adapter_not_found", permanent=True) from error
    except ToolError:
        raise
    except (Exception, SystemExit) as error:  # an adapter that exits must not take the conductor along
        if limit.expired():
            raise too_slow(request) from error
        # whatever an adapter raises is news of its call, and is told to the initiator
        logger.exception("The adapter %s raised on generation %s", adapter_key, request.generation_id)
        raise ToolError(f"{type(error).__name__}: {error}", code="adapter_crashed", ambiguous=True) from error
    if not isinstance(outcome, expected):
        names = " or ".join(kind.__name__ for kind in expected)
        raise ToolError(f"The adapter returned {type(outcome).__name__}, not {names}.", code="bad_output", permanent=True)
    if outcome is None:
        return None
    left = (limit.when() or 0.0) - asyncio.get_running_loop().time()
    return await keep(outcome, request=request, adapter=adapter, seconds=left)


async def _invoke(ask: "partial[Any]", *, threads: Executor, place: Place, limit: asyncio.Timeout, seconds: float) -> Any:
    """Have an adapter do something, within so many seconds from when it begins. What blocks may wait as long for a thread.

    Raises:
        ToolError: `no_thread`: nothing was begun.
    """
    if inspect.iscoroutinefunction(ask.func):
        return await ask()
    limit.reschedule(None)
    work, taken_up = place.submit(threads, ask)
    try:
        async with asyncio.timeout(seconds):
            await taken_up.wait()
    except TimeoutError as error:
        if work.cancel():
            raise ToolError(f"No thread was free for {seconds:g} seconds.", code=NO_THREAD) from error
    except asyncio.CancelledError:
        work.cancel()
        raise
    limit.reschedule(asyncio.get_running_loop().time() + seconds)
    return await asyncio.wrap_future(work)
