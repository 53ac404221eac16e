"""The outermost of the web process: who asked for what, what was answered and how long it took, under one id.

It stands in front of Django, so that what Django never sees (a body that is too large, a stream of events) has its line, its
id and its span, too. Of an address only the path is told: queries and signatures are secrets.
"""

import time
from dataclasses import dataclass
from typing import Any

import structlog

from config.bodies import Application, Message, Receive, Scope, Send
from config.middleware import REQUEST_ID_HEADER, SEEN, Seen, fit_id
from generations import tracing
from generations.callback_addresses import PATH as CALLBACKS

# Asked for every few seconds. That they went well is no news.
PROBES = ("/healthz", "/readyz", "/metrics")
BAD_REQUEST, GONE, SERVER_ERROR = 400, 499, 500
MAX_PATH_CHARACTERS = 300
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = structlog.get_logger(__name__)


class Observed:
    """An ASGI application in front of another."""

    def __init__(self, application: Application) -> None:
        """Take the application to observe."""
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        seen = Seen(request_id=fit_id(headers.get(REQUEST_ID_HEADER.lower().encode(), "")))
        answer = _Answer(send, seen.request_id)
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        parent = tracing.read(headers.get(b"traceparent", ""))
        attributes = {"http.request.method": method, "url.path": shown_path(scope["path"]), "grimoire.request_id": seen.request_id}
        with (
            structlog.contextvars.bound_contextvars(request_id=seen.request_id),
            tracing.span(method, kind="server", parent=parent, attributes=attributes) as noted,
        ):
            began = time.monotonic()
            try:
                await self.application({**scope, SEEN: seen}, receive, answer.send)
            finally:
                _note(noted, method=method, route=seen.route, status=answer.status)
                _log(scope, method=method, status=answer.status, seconds=time.monotonic() - began)


@dataclass(slots=True)
class _Answer:
    """Passes an answer on, with the id of its request, and remembers its status."""

    onward: Send
    request_id: str
    status: int = GONE  # until there is one: the client went away before

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            name = REQUEST_ID_HEADER.lower().encode()
            others = [(key, value) for key, value in message.get("headers", []) if key.lower() != name]
            message = {**message, "headers": [*others, (name, self.request_id.encode())]}
        await self.onward(message)


def shown_path(path: str) -> str:
    """Return a path as it may be told: without the signature of a callback's address, and not without end."""
    if path.startswith(CALLBACKS):
        adapter, _, signed = path.removeprefix(CALLBACKS).partition("/")
        path = f"{CALLBACKS}{adapter}/{signed.partition('.')[0]}"
    return path[:MAX_PATH_CHARACTERS]


def _note(noted: tracing.Noted, *, method: str, route: str, status: int) -> None:
    noted.note({"http.response.status_code": status, "http.route": route or None})
    if route:
        noted.rename(f"{method} {route}")
    if status >= SERVER_ERROR:
        noted.fail(status)


def _log(scope: Scope, *, method: str, status: int, seconds: float) -> None:
    if scope["path"] in PROBES and status < BAD_REQUEST:
        return
    tell: Any = log.warning if status >= SERVER_ERROR else log.info
    tell("request", method=method, path=shown_path(scope["path"]), status=status, seconds=round(seconds, 4))
