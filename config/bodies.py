"""Limits of request bodies, kept before anything reads, stores or parses them.

Under ASGI, Django writes a whole body to a temporary file before it makes a request of it, so the limit must stand in
front of Django. Under WSGI a server hands on no more than `Content-Length` says, so a look at that is enough.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from config.problems import PROBLEM_TYPE, TOO_LARGE, document, respond
from generations import callback_addresses
from generations.callback_payloads import MAX_BODY_BYTES

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# What multipart/form-data adds to a file: boundaries, headers, a few small fields.
FRAMING_BYTES = 64 * 1024


def limit_of(content_type: str, *, path: str) -> int:
    """Return how many bytes a body may have: an upload more than what is parsed as a whole, a stranger's callback less."""
    if path.startswith(callback_addresses.PATH):
        return min(MAX_BODY_BYTES, int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
    if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
        return int(settings.GRIMOIRE_MAX_UPLOAD_BYTES) + FRAMING_BYTES
    return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def explain(limit: int) -> str:
    return f"The body is larger than the {limit:,} bytes that are allowed here."


def limit_bodies(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuse requests whose `Content-Length` is above the limit. A Django middleware."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        limit = limit_of(request.META.get("CONTENT_TYPE", ""), path=request.path)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > limit:
            return respond(TOO_LARGE, explain(limit))
        return get_response(request)

    return answer


class Bounded:
    """An ASGI application in front of another: refuses bodies above the limit as they come in, with a length or in chunks.

    Chunked bodies reach the application with the length that they turned out to have, which the REST framework asks for.
    """

    def __init__(self, application: Application) -> None:
        """Take the application to guard."""
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        limit = limit_of(headers.get(b"content-type", b"").decode("latin-1"), path=scope["path"])
        length = headers.get(b"content-length", b"").decode("latin-1")
        if length.isdecimal() and int(length) > limit:
            await _refuse(limit, send)
            return
        counter = _Counter(receive, limit=limit)
        # Django copies the headers once the body is complete: a length that is added then is seen.
        bounded = {**scope, "headers": counter.headers}
        counter.headers += scope["headers"]
        counter.is_chunked = not length
        await self.application(bounded, counter.receive, send)
        if counter.is_over:
            await _refuse(limit, send)


class _Counter:
    """Counts the body of one request as it comes in, and hangs up on the application when it is too much."""

    def __init__(self, receive: Receive, *, limit: int) -> None:
        """Take where the body comes from, and how many bytes it may have."""
        self.source = receive
        self.left = self.limit = limit
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_chunked = False
        self.is_over = False

    async def receive(self) -> Message:
        message = await self.source()
        if message["type"] != "http.request":
            return message
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            self.is_over = True
            return {"type": "http.disconnect"}
        if self.is_chunked and not message.get("more_body", False):
            self.headers.append((b"content-length", str(self.limit - self.left).encode()))
            self.is_chunked = False
        return message


async def _refuse(limit: int, send: Send) -> None:
    body = json.dumps(document(TOO_LARGE, explain(limit))).encode()
    headers = [(b"content-type", PROBLEM_TYPE.encode()), (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": TOO_LARGE.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
