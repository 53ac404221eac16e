"""What happens around each request in Django."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

import structlog
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

REQUEST_ID_HEADER = "X-Request-ID"
# Under which an ASGI scope brings what `config.access` knows of the request.
SEEN = "grimoire.seen"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

Handler = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@dataclass(slots=True)
class Seen:
    """A request as it is known outside of Django: its id, and the route that Django found for it."""

    request_id: str
    route: str = ""


def fit_id(given: str) -> str:
    """Return the id that a proxy gave a request, if it is fit for a log line, else a new one."""
    return given if _SAFE_ID.fullmatch(given) else uuid4().hex


def seen_of(request: HttpRequest) -> Seen:
    """Return what is known of a request; under WSGI that begins here."""
    seen = getattr(request, "scope", {}).get(SEEN)
    return seen if isinstance(seen, Seen) else Seen(request_id=fit_id(request.headers.get(REQUEST_ID_HEADER, "")))


@sync_and_async_middleware
def request_ids(get_response: Handler) -> Handler:
    """Give each request an id, in its log lines and in the headers of its answer."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            seen = seen_of(request)
            with structlog.contextvars.bound_contextvars(request_id=seen.request_id):
                response: HttpResponseBase = await get_response(request)
            return _marked(request, response, seen)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        seen = seen_of(request)
        with structlog.contextvars.bound_contextvars(request_id=seen.request_id):
            response: HttpResponseBase = get_response(request)  # type: ignore[assignment] # iscoroutinefunction does not narrow
        return _marked(request, response, seen)

    return answer


def _marked(request: HttpRequest, response: HttpResponseBase, seen: Seen) -> HttpResponseBase:
    response.headers[REQUEST_ID_HEADER] = seen.request_id
    seen.route = request.resolver_match.route if request.resolver_match else ""
    return response
