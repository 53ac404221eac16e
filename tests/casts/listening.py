"""Listening to live events: clients of the ASGI application, in process."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asgiref.testing import ApplicationCommunicator

SECONDS = 30.0


@dataclass(kw_only=True)
class Event:
    """One server-sent event, read as a browser reads it."""

    name: str
    data: Any
    id: str


@dataclass
class Reader:
    """Reads server-sent events as they come in, in whatever pieces."""

    last_id: str = ""
    retry: int | None = None
    comments: int = 0
    rest: str = ""

    def read(self, piece: bytes) -> list[Event]:
        blocks = (self.rest + piece.decode()).split("\n\n")
        self.rest = blocks.pop()
        return [event for block in blocks for event in self._block(block)]

    def _block(self, block: str) -> list[Event]:
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            else:
                self.comments += 1
        self.last_id = fields.get("id", self.last_id)
        self.retry = int(fields.get("retry", self.retry or 0)) or None
        if "data" not in fields:
            return []
        return [Event(name=fields["event"], data=json.loads(fields["data"]), id=self.last_id)]


@dataclass
class Listener:
    """A client of one stream. `headers` and `status` are those of the answer, `events` what it has heard."""

    application: Any
    path: str
    sent: Mapping[str, str]
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    reader: Reader = field(default_factory=Reader)
    body: bytes = b""
    has_ended: bool = False

    async def open(self) -> "Listener":
        path, _, query = self.path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in {"host": "testserver", **self.sent}.items()],
        }
        self.client = ApplicationCommunicator(self.application, scope)
        await self.client.send_input({"type": "http.request"})
        start = await self.client.receive_output(timeout=SECONDS)
        self.status = start["status"]
        self.headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return self

    async def hear(self) -> list[Event]:
        """Wait for the next piece of the answer, and return the events in it."""
        message = await self.client.receive_output(timeout=SECONDS)
        self.body += message.get("body", b"")
        self.has_ended = not message.get("more_body", False)
        heard = self.reader.read(message.get("body", b"")) if self.headers["content-type"].startswith("text/event-stream") else []
        self.events += heard
        return heard

    async def hear_until(self, wanted: Callable[[Event], bool]) -> Event:
        """Listen until an event comes that is wanted, and return it."""
        async with asyncio.timeout(SECONDS):
            while True:
                for event in await self.hear():
                    if wanted(event):
                        return event
                assert not self.has_ended, [event.name for event in self.events]

    async def hear_out(self) -> list[Event]:
        """Listen to the end, and return all that was heard."""
        async with asyncio.timeout(SECONDS):
            while not self.has_ended:
                await self.hear()
        await self.client.wait(timeout=SECONDS)
        return self.events

    async def leave(self) -> None:
        """Close the connection, and wait until the server has noticed."""
        await self.client.send_input({"type": "http.disconnect"})
        await self.client.wait(timeout=SECONDS)

    def names(self) -> list[str]:
        return [event.name for event in self.events]


def named(name: str, **values: Any) -> Callable[[Event], bool]:
    """Return what wants an event of that name whose data has these values."""
    return lambda event: event.name == name and event.data.items() >= values.items()
