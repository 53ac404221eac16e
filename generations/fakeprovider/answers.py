"""Answers: as JSON, never, cut off, late, or as rubbish."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from .instructions import Instruction

# Under this name the server of `server.py` hands us the connection.
CONNECTION = "fakeprovider.connection"
ASKED_FOR = "This was asked for."


class Ascii(JSONResponse):
    """JSON in ASCII alone: whatever letters somebody sent, halves of surrogate pairs among them, can be sent back."""

    def render(self, content: Any) -> bytes:
        return json_bytes(content)


class Unanswered(Response):
    """No answer: the connection stays open until the client closes it, or is cut."""

    def __init__(self, *, cut: bool) -> None:
        """Take whether to cut the connection at once."""
        super().__init__()
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - nothing is sent
        if self._cut:
            scope["extensions"][CONNECTION].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def suffered(told: Instruction, do: Callable[[], Awaitable[Response]], *, refuse: Callable[[int], Response]) -> Response:
    """Return the answer of `do`, or what an instruction makes of it. What is lost `before` is never done."""
    if "before" in (told.hang, told.drop):
        return Unanswered(cut=told.drop == "before")
    response = refuse(told.status) if told.status else await do()
    if told.delay:
        await asyncio.sleep(told.delay)
    if "after" in (told.hang, told.drop):
        return Unanswered(cut=told.drop == "after")
    if told.garbage and not told.status:
        response = Response("<html>Bad gateway</html>", media_type="text/html")
    if told.status and told.retry_after is not None:
        response.headers["Retry-After"] = f"{told.retry_after:g}"
    for name, value in told.headers.items():
        response.headers[name] = value
    return response


def json_bytes(told: Any) -> bytes:
    return json.dumps(told, allow_nan=False, separators=(",", ":")).encode()


def answer(told: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return Ascii(told, status_code=status, headers=dict(headers or {}))
