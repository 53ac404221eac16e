"""Files that providers made, fetched while they are still there: several at once, bounded, retried, checked addresses."""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx2

from .artifacts import Incoming, Workbench
from .embedded import NotEmbedded, is_data_uri, read_data_uri
from .outputs import clean_text
from .tools.contract import RemoteFile, ToolError
from .tools.file_fetch import UNKNOWN_TYPE, matches, mime_type_of
from .tools.http_client import Answer, Outgoing, exchange
from .tools.http_errors import status_error
from .unfetched import MAX_URL_CHARACTERS

logger = logging.getLogger(__name__)

AT_ONCE = 6
TRIES = 4
FIRST_WAIT_SECONDS = 0.5
# Whatever a tool's row says of one file, all of one output together.
MAX_FILES = 200
MAX_TOTAL_BYTES = 2**30
# What is collected before a thread writes it.
BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of fetching: the references of the files that are here, and if some are missing, why the first of them is.

    `error` is `output_not_kept`, and names the file without what may be secret in its address. It is permanent if that
    file can never be had.
    """

    references: Mapping[RemoteFile, dict[str, Any]]
    error: ToolError | None = None


def _sorted_out(wanted: Sequence[RemoteFile], outcomes: Sequence[Any]) -> Fetched:
    """Return what came of each file as what came of all. Raises what nobody reckoned with."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, ToolError)]
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ToolError | asyncio.CancelledError):
            raise outcome
    references = {file: outcome for file, outcome in zip(wanted, outcomes, strict=True) if isinstance(outcome, dict)}
    return Fetched(references, next((error for error in errors if error.permanent), errors[0] if errors else None))


@dataclass(slots=True, kw_only=True)
class FileFetcher:
    """Fetches the files of one answer into a workbench.

    `max_bytes` bounds each file; `types` are the MIME types that they may have (none: any). Files at the origin of
    `base_url`, which is an operator's word, may be on a private address. Those below one of `secret_below` are asked for
    with `secret_headers`.
    """

    workbench: Workbench
    max_bytes: int
    types: Sequence[str] = ()
    base_url: str = ""
    secret_headers: Mapping[str, str] = field(default_factory=dict)
    secret_below: Sequence[str] = ()
    allow_private_addresses: bool = False
    tries: int = TRIES
    received: int = 0

    async def fetch_all(self, files: Sequence[RemoteFile], *, seconds: float) -> Fetched:
        """Fetch what can be had now. One that can never be had stops the others, which are missing then."""
        wanted = list(dict.fromkeys(files))
        if len(wanted) > MAX_FILES:
            return Fetched({}, _not_kept(f"There are {len(wanted)} files in the output; at most {MAX_FILES} are kept."))
        room = asyncio.Semaphore(AT_ONCE)
        ends_at = time.monotonic() + seconds
        tasks = [asyncio.create_task(self._fetch(file, room, ends_at)) for file in wanted]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        return _sorted_out(wanted, outcomes)

    async def _fetch(self, file: RemoteFile, room: asyncio.Semaphore, ends_at: float) -> dict[str, Any] | ToolError:
        """Return the reference of a file, or why it cannot be had now. Raises ToolError: it can never be had."""
        async with room:
            if is_data_uri(file.url):
                return await asyncio.to_thread(self._decode, file)
            for count in itertools.count(1):
                try:
                    return await self._try(file, seconds=ends_at - time.monotonic())
                except ToolError as error:
                    why = error
                except Exception as error:  # the storage may be any, and what was paid for is worth another try
                    logger.exception("The output %s cannot be stored", shown_url(file.url))
                    why = ToolError(clean_text(f"it cannot be stored: {type(error).__name__}: {error}"))
                wait = _wait(count) if why.retry_after is None else why.retry_after
                if why.permanent or count == self.tries or wait >= ends_at - time.monotonic():
                    tried = f" It was tried {count} times." if count > 1 else ""
                    told = f"The output {shown_url(file.url)} could not be fetched: {why.message}{tried}"
                    if why.permanent:
                        raise _not_kept(told)
                    return ToolError(told, code="output_not_kept", retry_after=why.retry_after)
                await asyncio.sleep(wait)
        raise AssertionError(file)  # the count has no end

    def _decode(self, file: RemoteFile) -> dict[str, Any]:
        try:
            embedded = read_data_uri(file.url)
        except NotEmbedded as error:
            raise _not_kept(f"An output is a data: URI that cannot be read: {error}.") from error
        if len(embedded.data) > self.max_bytes:
            raise _not_kept(f"An output in a data: URI is larger than {self.max_bytes} bytes.")
        self._check_type(embedded.mime_type, shown="in a data: URI")
        return self.workbench.keep(embedded.data, mime_type=embedded.mime_type, name=_name(file.name)).reference()

    async def _try(self, file: RemoteFile, *, seconds: float) -> dict[str, Any]:
        if len(file.url) > MAX_URL_CHARACTERS:
            raise ToolError(f"Its address has more than {MAX_URL_CHARACTERS} characters.", code="bad_url", permanent=True)
        with await asyncio.to_thread(Incoming) as incoming:
            pour = _Pour(self, incoming)
            try:
                answer = await self._download(file.url, pour, seconds=seconds)
            except BaseException:
                self.received -= pour.size
                raise
            claimed = answer.headers.get("content-type", "")
            mime_type = mime_type_of(incoming.head, claimed=claimed)
            if mime_type == UNKNOWN_TYPE:
                mime_type = mime_type_of(incoming.head, claimed=file.mime_type)
            self._check_type(mime_type, shown=shown_url(file.url))
            name = _name(file.name or unquote(answer.url.path.rpartition("/")[2], errors="replace"))
            kept = await asyncio.to_thread(incoming.keep, mime_type=mime_type, name=name, source_url=clean_text(file.url))
        self.workbench.made.append(kept)
        return kept.reference()

    async def _download(self, url: str, pour: "_Pour", *, seconds: float) -> Answer:
        outgoing = Outgoing(
            method="GET",
            url=url,
            max_bytes=self.max_bytes,
            timeout_seconds=max(0.0, seconds),
            secret_headers=self.secret_headers,
            secret_below=tuple(self.secret_below),
            allow_private_addresses=self.allow_private_addresses,
            trusted_url=self.base_url,
        )
        answer = await exchange(outgoing, sink=pour)
        if not answer.is_success:
            raise status_error(answer.status, answer.headers, answer.body, host=answer.url.host)
        await pour.flush()
        return answer

    def _check_type(self, mime_type: str, *, shown: str) -> None:
        if self.types and not matches(mime_type, list(self.types)):
            raise _not_kept(f"The output {shown} is {mime_type}, not {' or '.join(self.types)}.")


class _Pour:
    """Takes the chunks of one file, and has a thread write them in blocks."""

    def __init__(self, fetcher: FileFetcher, incoming: Incoming) -> None:
        """Take whose sum the bytes count into, and where they go."""
        self._fetcher = fetcher
        self._incoming = incoming
        self._block = bytearray()
        self.size = 0

    async def __call__(self, chunk: bytes) -> None:
        """Take a chunk. Raises ToolError when all files together are too large."""
        self.size += len(chunk)
        self._fetcher.received += len(chunk)
        if self._fetcher.received > MAX_TOTAL_BYTES:
            raise _not_kept(f"The files of the output are larger than {MAX_TOTAL_BYTES} bytes together.")
        self._block += chunk
        if len(self._block) >= BLOCK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        block, self._block = self._block, bytearray()
        await asyncio.to_thread(self._incoming.write, block)


def shown_url(url: str) -> str:
    """Return an address without what may be secret in it: name, password, query."""
    try:
        named = httpx2.URL(url[:MAX_URL_CHARACTERS])
    except (httpx2.InvalidURL, ValueError):
        return "at an address that is no URL"
    port = f":{named.port}" if named.port else ""
    return clean_text(f"{named.scheme}://{named.host}{port}{named.path}")[:300]


def _name(text: str) -> str:
    return clean_text(text)[:255]


def _wait(count: int) -> float:
    return FIRST_WAIT_SECONDS * 2.0 ** (count - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def _not_kept(message: str) -> ToolError:
    return ToolError(message, code="output_not_kept", permanent=True)
