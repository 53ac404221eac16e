"""A client of HTTP that costs little beside the server that it loads: one connection that is kept, one request after the other."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

CREATED = 201


@dataclass(slots=True, kw_only=True)
class Answers:
    """What came back: how many answers by status, and how long each took in seconds."""

    statuses: dict[int, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)

    def note(self, status: int, *, took: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.times.append(took)


class Connection:
    """One kept connection. An asynchronous context manager."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Take the address of a server, and what is said with each request."""
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        said = {"Host": parts.netloc, "Content-Type": "application/json", **(headers or {})}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in said.items())

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def post(self, path: str, body: Any) -> tuple[int, bytes]:
        """Post a JSON document, and return status and body of the answer. It must tell its length, as ours do."""
        data = json.dumps(body).encode()
        self._writer.write(f"POST {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return status, await self._reader.readexactly(length)


async def load(connect: Callable[[], Connection], *, path: str, body: Any, connections: int, seconds: float) -> Answers:
    """Post the same document over so many connections for so many seconds."""
    answers, until = Answers(), time.monotonic() + seconds

    async def keep_on() -> None:
        async with connect() as connection:
            while (began := time.monotonic()) < until:
                status, _ = await connection.post(path, body)
                answers.note(status, took=time.monotonic() - began)

    await asyncio.gather(*(keep_on() for _ in range(connections)))
    return answers
