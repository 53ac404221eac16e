"""Files that providers made, fetched while they are still there: several at once, bounded, retried, checked addresses."""

import asyncio
import itertools
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

AT_ONCE = 6
TRIES = 4
FIRST_WAIT_SECONDS = 0.5
# Whatever a tool's row says of one file, all of one output together.
MAX_FILES = 200
MAX_TOTAL_BYTES = 2**30
MAX_URL_CHARACTERS = 8192
# What is collected before a thread writes it.
BLOCK_BYTES = 2**20


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

    async def fetch_all(self, files: Sequence[RemoteFile], *, seconds: float) -> dict[RemoteFile, dict[str, Any]]:
        """Return the reference of each file. One that cannot be had fails all of them.

        Raises:
            ToolError: permanent, `output_not_kept`: it names the file, without what may be secret in its address.
        """
        wanted = list(dict.fromkeys(files))
        if len(wanted) > MAX_FILES:
            raise _not_kept(f"There are {len(wanted)} files in the output; at most {MAX_FILES} are kept.")
        room = asyncio.Semaphore(AT_ONCE)
        ends_at = time.monotonic() + seconds
        tasks = [asyncio.create_task(self._fetch(file, room, ends_at)) for file in wanted]
        try:
            return dict(zip(wanted, await asyncio.gather(*tasks), strict=True))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, file: RemoteFile, room: asyncio.Semaphore, ends_at: float) -> dict[str, Any]:
        async with room:
            if is_data_uri(file.url):
                return await asyncio.to_thread(self._decode, file)
            for count in itertools.count(1):
                try:
                    return await self._try(file, seconds=ends_at - time.monotonic())
                except ToolError as error:
                    wait = _wait(count) if error.retry_after is None else error.retry_after
                    if error.permanent or count == self.tries or wait >= ends_at - time.monotonic():
                        tried = f" It was tried {count} times." if count > 1 else ""
                        raise _not_kept(f"The output {shown_url(file.url)} could not be fetched: {error.message}{tried}") from error
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
