"""The ASGI branch that serves streams, in front of Django.

Django decides: its middleware, its authentication, its view, which answers with the first events. When all of that is
over, and its thread and its connection are given back, the response goes on here.
"""

from typing import Any

from .frames import MEDIA_TYPE
from .hub import Hub
from .opening import EXTENSION, Opening
from .seats import Seats
from .stream import Application, Message, Receive, Scope, Send, Stream


class EventStreams:
    """An ASGI application in front of another, whose views may open streams."""

    def __init__(self, application: Application, *, seats: Seats) -> None:
        """Take the application, and how many streams there may be."""
        self.application = application
        self.hub = Hub(seats)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if not _asks_for_events(scope):
            await self.application(scope, receive, send)
            return
        opening = Opening(self.hub.seats)
        try:
            begun = await self._begin(opening, scope, receive, send)
            if begun is not None:
                stream, start = begun
                await self.hub.serve(stream, start=start, receive=receive, send=send)
        finally:
            opening.close()

    async def _begin(self, opening: Opening, scope: Scope, receive: Receive, send: Send) -> tuple[Stream, Message] | None:
        """Have the request answered. Return the stream that it opened and the start of its response, or None."""
        answer = _Answer(opening, send)
        extensions = {**(scope.get("extensions") or {}), EXTENSION: opening}
        await self.application({**scope, "extensions": extensions}, receive, answer.send)
        if opening.opened is None or answer.start is None or not answer.is_whole:
            return None
        return self.hub.open(opening.opened, body=answer.body), answer.start


def _asks_for_events(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and any(name.lower() == b"accept" and MEDIA_TYPE.encode() in value.lower() for name, value in scope["headers"])
    )


class _Answer:
    """Takes an answer in: keeps one that opens a stream, and passes on any other."""

    def __init__(self, opening: Opening, send: Send) -> None:
        """Take where others go."""
        self.start: dict[str, Any] | None = None
        self.body = b""
        self.is_whole = False
        self._opening = opening
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200 and self._opening.opened is not None:  # noqa: PLR2004 - OK
            # it will be longer than its view knew
            headers = [(name, value) for name, value in message["headers"] if name.lower() != b"content-length"]
            self.start = {**message, "headers": headers}
        elif self.start is None:
            await self._send(message)
        else:
            self.body += message.get("body", b"")
            self.is_whole = not message.get("more_body", False)
