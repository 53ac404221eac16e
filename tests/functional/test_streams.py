"""Live events as the web process serves them that `serve` runs."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from generations.tools.http_client import certificates
from tests.casts.listening import Event, Reader
from tests.functional.provider import Provider
from tests.functional.site import LONG, Site
from tests.processes import wait_for

MANY = 150
# What one idle stream may take of memory, with what its request left behind. A thread for each would show in their number.
STREAM_BYTES = 256 * 1024

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextmanager
def follow(site: Site, cast_id: str, *, last: str = "") -> Iterator[httpx2.Response]:
    """Ask for the live events of a cast, and yield the answer that goes on."""
    headers = {"Authorization": f"Bearer {site.key}", "Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    url = f"{site.url}/api/v1/casts/{cast_id}/events/"
    with (
        httpx2.Client(timeout=LONG, trust_env=False, verify=certificates()) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        yield response


@pytest.mark.sqlite
def test_at_sigterm_streams_end_at_once_and_go_on_at_the_next_server(site: Site, provider: Provider):
    serving = site.serve()
    cast_id = site.cast("errands", files=provider.urls(free=0, held=1))
    wait_for("a call is in flight", lambda: provider.holds(1))
    reader = Reader()
    with follow(site, cast_id) as response:
        pieces = response.iter_bytes()
        heard = reader.read(next(pieces))
        serving.tell(signal.SIGTERM)
        provider.gate.set()
        for piece in pieces:
            heard += reader.read(piece)
    assert heard[0].name == "snapshot"
    assert serving.end() == 0
    assert "graceful shutdown exceeded" not in serving.said()
    assert "Traceback" not in serving.said()
    serving = site.serve()
    site.wait_for_end(cast_id)
    with follow(site, cast_id, last=heard[0].id) as response:
        *_, end = reader.read(response.read())
    assert (end.name, end.data["status"]) == ("end", "succeeded")
    serving.tell(signal.SIGTERM)
    assert serving.end() == 0


def status_of(pid: int, name: str) -> int:
    """Return a number from the kernel's status of a process."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines[name].split()[0])


async def idle_streams(site: Site, cast_id: str, count: int) -> list[Connection]:
    """Open so many streams, and return them once each has told its snapshot."""
    address = urlsplit(site.url)
    request = (
        f"GET /api/v1/casts/{cast_id}/events/ HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {site.key}\r\nAccept: text/event-stream\r\n\r\n"
    )
    few = asyncio.Semaphore(10)

    async def one() -> Connection:
        async with few:
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readuntil(b"event: snapshot\n")
            return reader, writer

    return await asyncio.gather(*(one() for _ in range(count)))


def is_followed_from_its_snapshot_to_its_end(site: Site, provider: Provider) -> None:
    cast_id = site.cast("errands", files=provider.urls(free=2, held=1))
    wait_for("a call is in flight", lambda: provider.holds(1))
    reader, heard = Reader(), list[Event]()
    with follow(site, cast_id) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        for piece in response.iter_bytes():
            heard += reader.read(piece)
            provider.gate.set()
    assert [heard[0].name, heard[-1].name] == ["snapshot", "end"]
    assert {event.name for event in heard} >= {"generation", "status", "cast"}
    assert heard[-1].data == site.get(f"casts/{cast_id}/")
    with follow(site, cast_id, last=reader.last_id) as again:
        assert (again.status_code, again.read()) == (204, b"")


@pytest.mark.postgresql
def test_a_cast_is_followed_to_its_end_and_many_idle_streams_take_little_memory_and_no_threads(site: Site, provider: Provider):
    site.environment |= {"GRIMOIRE_MAX_STREAMS_PER_USER": str(MANY)}
    serving = site.serve()
    is_followed_from_its_snapshot_to_its_end(site, provider)
    provider.gate.clear()
    provider.asked.clear()

    [web] = site.leaders("uvicorn")
    cast_id = site.cast("errands", files=provider.urls(free=0, held=1))
    wait_for("a call is in flight", lambda: provider.holds(1))

    async def measure() -> tuple[int, int]:
        streams = await idle_streams(site, cast_id, 10)
        threads, memory = status_of(web, "Threads"), status_of(web, "VmRSS")
        streams += await idle_streams(site, cast_id, MANY - len(streams))
        with follow(site, cast_id) as refused:
            assert refused.status_code == 429
        await asyncio.to_thread(wait_for, "requests have given their threads back", lambda: status_of(web, "Threads") <= threads + 2)
        taken = status_of(web, "VmRSS") - memory
        os.kill(serving.process.pid, signal.SIGTERM)
        provider.gate.set()
        rest = await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in streams)), LONG)
        assert all(each.endswith(b"0\r\n\r\n") for each in rest)
        for _, writer in streams:
            writer.close()
            await writer.wait_closed()
        return threads, taken

    threads, taken = asyncio.run(measure())
    assert threads < MANY // 10
    assert taken * 1024 < MANY * STREAM_BYTES, f"{taken} KiB for {MANY} streams"
    assert serving.end() == 0
    assert "graceful shutdown exceeded" not in serving.said()
