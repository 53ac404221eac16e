"""What happens around each request."""

import re
from collections.abc import Awaitable, Callable
from uuid import uuid4

import structlog
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

REQUEST_ID_HEADER = "X-Request-ID"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

Handler = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]]


def request_id_of(request: HttpRequest) -> str:
    """Return the id that a proxy gave the request, if it is fit for a log line, else a new one."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    return given if _SAFE_ID.fullmatch(given) else uuid4().hex


@sync_and_async_middleware
def request_ids(get_response: Handler) -> Handler:
    """Give each request an id, in its log lines and in the headers of its answer."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            request_id = request_id_of(request)
            with structlog.contextvars.bound_contextvars(request_id=request_id):
                response: HttpResponseBase = await get_response(request)
            response.headers[REQUEST_ID_HEADER] = request_id
            return response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        request_id = request_id_of(request)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response: HttpResponseBase = get_response(request)  # type: ignore[assignment] # iscoroutinefunction does not narrow
        response.headers[REQUEST_ID_HEADER] = request_id
        return response

    return answer
