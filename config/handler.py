"""How requests of ASGI reach Django: each as a whole on one thread.

All our views and most of Django's middleware are plain functions. Under its own ASGI handler each of them is handed from
the event loop to a thread and back, a dozen times a request; here a request is handed over once. And each request would have
a new thread, at whose end the event loop waits; here threads go from one request to the next.
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_started
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# What Django does before each request. Its own handler goes to the thread of the request for that, and once more for the answer.
BEFORE = (reset_queries, close_old_connections)

# Threads that are kept while no request needs them. As many requests as there may be at once, one that ends is followed by the next.
MOST_IDLE = 4


class OneThreadHandler(ASGIHandler):
    """Django's handler, with its middleware and views in their plain form."""

    def __init__(self) -> None:
        """Start no thread yet: requests do, as many as there are at once."""
        super().__init__()
        self._idle: list[ThreadPoolExecutor] = []

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Answer one request, on a thread that nobody else has meanwhile."""
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(max_workers=1, thread_name_prefix="request")
        try:
            async with ThreadSensitiveContext(executor=thread):
                await super().__call__(scope, receive, send)
        finally:
            if len(self._idle) < MOST_IDLE:
                self._idle.append(thread)
            else:
                thread.shutdown(wait=False)

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002 - the base's signature; ours are never asynchronous
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return what the middleware and the view answer."""
        return await sync_to_async(self._answer, thread_sensitive=True)(request)

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        for prepare in BEFORE:
            prepare()
        return self.get_response(request)


def application() -> OneThreadHandler:
    """Set Django up and return it as an ASGI application."""
    django.setup(set_prefix=False)
    for prepare in BEFORE:
        request_started.disconnect(prepare)
    return OneThreadHandler()
