"""How requests of ASGI reach Django: each as a whole on one thread.

All our views and most of Django's middleware are plain functions. Under its own ASGI handler each of them is handed from
the event loop to a thread and back, a dozen times a request; here a request is handed over once.
"""

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneThreadHandler(ASGIHandler):
    """Django's handler, with its middleware and views in their plain form."""

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002 - the base's signature; ours are never asynchronous
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return what the middleware and the view answer."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


def application() -> OneThreadHandler:
    """Set Django up and return it as an ASGI application."""
    django.setup(set_prefix=False)
    return OneThreadHandler()
