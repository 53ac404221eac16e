"""Keeping what a call made: no file is left with its provider, no bytes stand in JSON, nothing large in a row."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spells.schemas import complete

from .answers import Answer, clean_answer, clean_cost
from .embedded import embedded_file
from .large_values import shrink
from .outputs import MAX_OUTPUT_BYTES, FilePlace, FileSearch, clean_output, clean_text
from .remote_files import MAX_FILES, Fetched, FileFetcher
from .tools.contract import Adapter, Cost, Progress, RemoteFile, Request, Result, ToolError
from .unfetched import Unfetched, remains, restored

logger = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 100 * 2**20
# What was paid for is not given up because the call itself took nearly all of its time.
LEAST_SECONDS = 60.0
PREVIEW_SECONDS = 10.0
MAX_PREVIEW_BYTES = 10 * 2**20
# An output of no more has nothing in it that must become an artefact, but for remote files.
SMALL_BYTES = 8 * 1024


async def keep(answer: Answer, *, request: Request, adapter: Adapter, seconds: float) -> Answer:
    """Return an answer with all that it brought kept in our storage, and references in its place; clean, whatever it is (`clean_answer`).

    Remote files are fetched; `data:` URIs and base64 of a known type are decoded; values that are too large become
    artefacts with a preview. `seconds` is what is left of the call's time; there is a minute at least. Without all of
    its files a result is `Unfetched`; what cannot be kept otherwise makes an error of it, which costs what the call
    did. Never raises but to be cancelled. A preview that cannot be had is left out.
    """
    match answer:
        case Result():
            try:
                return Result(output=clean_output(answer.output, max_bytes=SMALL_BYTES), cost=clean_cost(answer.cost))
            except ToolError:
                pass  # it is not small, not clean, or has files in it: what follows tells which
            answer = await _keep_result(answer, request=request, adapter=adapter, seconds=max(seconds, LEAST_SECONDS))
        case Progress(preview=RemoteFile() as preview):
            answer = replace(answer, preview=await _keep_preview(preview, request=request, adapter=adapter))
    return clean_answer(answer)


async def _keep_result(result: Result, *, request: Request, adapter: Adapter, seconds: float) -> Result | Unfetched | ToolError:
    try:
        search = FileSearch(swap=_Embedded(request))
        most = max(_largest(complete(request.config, adapter.config_schema)), MAX_OUTPUT_BYTES)
        cleaned = await asyncio.to_thread(clean_output, result.output, max_bytes=most, files=search)
        return await _fetched(cleaned, search.places, request=request, adapter=adapter, seconds=seconds, cost=result.cost)
    except ToolError as error:
        error.cost = result.cost
        return error
    except Exception as error:  # the storage may be any; whatever it raises, the call was made and has its cost
        logger.exception("The output of generation %s cannot be kept", request.generation_id)
        return _unstored(error, permanent=True, cost=result.cost)


async def keep_rest(*, request: Request, adapter: Adapter, seconds: float) -> Result | Unfetched:
    """Try again to fetch what is left of a result (`request.unfetched`). Never raises but to be cancelled."""
    left = request.unfetched
    assert left is not None
    try:
        output, places, received = restored(left)
        return await _fetched(output, places, request=request, adapter=adapter, seconds=seconds, received=received)
    except Exception as error:  # as above; what was paid for is worth another try
        logger.exception("The rest of the output of generation %s cannot be kept", request.generation_id)
        return Unfetched(left=left, error=_unstored(error, permanent=False))


async def _fetched(
    output: dict[str, Any],
    places: Sequence[FilePlace],
    *,
    request: Request,
    adapter: Adapter,
    seconds: float,
    received: int = 0,
    cost: Cost | None = None,
) -> Result | Unfetched:
    """Return an output with its files fetched, of which so many bytes were received; `Unfetched` if some are missing.

    Raises:
        ToolError: permanent: it cannot be kept, and has no files that anybody could fetch.
    """

    def small(values: dict[str, Any]) -> dict[str, Any]:
        return shrink(values, keep=lambda data, mime_type, name: request.keep(data, mime_type=mime_type, name=name))

    if places:
        try:
            fetcher = _fetcher(request, adapter, received=received)
            fetched = await fetcher.fetch_all([place.file for place in places], seconds=seconds)
            received = fetcher.received
        except ToolError as error:  # a key is missing here, and may be there another time or elsewhere
            error.permanent = False
            fetched = Fetched({}, error)
        for place in places:
            if place.file in fetched.references:
                place.fill(fetched.references[place.file])
        if fetched.error is not None:
            missing = [place for place in places if place.file not in fetched.references]
            left, may_go_on = await asyncio.to_thread(remains, output, missing, fetched_bytes=received, shrink=small)
            fetched.error.permanent |= not may_go_on
            if not left["files"]:
                raise fetched.error  # there is nothing that anybody could fetch
            return Unfetched(left=left, error=fetched.error, cost=cost)
    return Result(output=await asyncio.to_thread(small, output), cost=cost)


def _unstored(error: Exception, *, permanent: bool, cost: Cost | None = None) -> ToolError:
    message = f"The output cannot be stored: {type(error).__name__}: {error}"
    return ToolError(clean_text(message), code="output_not_kept", permanent=permanent, cost=cost)


async def _keep_preview(preview: RemoteFile, *, request: Request, adapter: Adapter) -> dict[str, Any] | None:
    try:
        fetcher = _fetcher(request, adapter, max_bytes=MAX_PREVIEW_BYTES, tries=1)
        fetched = await fetcher.fetch_all([preview], seconds=PREVIEW_SECONDS)
        if fetched.error is None:
            return fetched.references[preview]
        logger.warning("The preview of generation %s is left out: %s", request.generation_id, fetched.error.message)
    except ToolError as error:
        logger.warning("The preview of generation %s is left out: %s", request.generation_id, error.message)
    except Exception:  # the storage may be any, and a picture of unfinished work is not worth an error
        logger.exception("The preview of generation %s is left out", request.generation_id)
    return None


class _Embedded:
    """Swaps texts that are files for references to them."""

    def __init__(self, request: Request) -> None:
        """Take the call that made them."""
        self._request = request
        self._count = 0

    def __call__(self, value: object) -> object:
        """Return the reference to the file that a text is, and all else as it is."""
        embedded = embedded_file(value) if isinstance(value, str) else None
        if embedded is None:
            return value
        self._count += 1
        if self._count > MAX_FILES:
            message = f"There are more than {MAX_FILES} files in the output."
            raise ToolError(message, code="output_not_kept", permanent=True)
        return self._request.keep(embedded.data, mime_type=embedded.mime_type)


def _largest(config: Mapping[str, Any]) -> int:
    told = config.get("max_output_bytes")
    return told if isinstance(told, int) else DEFAULT_MAX_BYTES


def _fetcher(request: Request, adapter: Adapter, *, max_bytes: int = 2**30, **options: Any) -> FileFetcher:
    """Return what fetches the files of a call, as its tool's configuration wants it. Raises ToolError (`secret_missing`)."""
    config = complete(request.config, adapter.config_schema)
    base_url, types = config.get("base_url"), config.get("output_types")
    return FileFetcher(
        workbench=request.workbench,
        max_bytes=min(max_bytes, _largest(config)),
        types=types if isinstance(types, list) else (),
        base_url=base_url if isinstance(base_url, str) else "",
        secret_headers=adapter.file_headers(request),
        secret_below=adapter.file_prefixes(request),
        allow_private_addresses=config.get("allow_private_addresses") is True,
        **options,
    )
