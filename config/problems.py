"""Errors of the API as problem documents (RFC 9457): `{"type", "title", "status", "detail", "errors": [{"path", "message"}]}`.

Domain code raises its own exceptions and knows nothing of this; the table below says which of them a client sees as what.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import BadRequest, ObjectDoesNotExist, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions

from casts import engine
from casts.callbacks import DeliveryRefusedError, UnverifiableError
from casts.cooks.exporting import ExportRefusedError
from casts.cooks.refusals import CookRefusedError
from casts.cooks.reviewing import ReviewRefusedError
from casts.notifications.outbox import NotSentError
from casts.notifications.subscriptions import EmailUnavailableError, TooManyWebhooksError, WebhookDisabledError
from casts.repeats import IdempotencyKeyReusedError
from casts.streaming.seats import ProcessStreamsError, UserStreamsError
from generations.callback_payloads import BadPayloadError
from generations.links import LinkRefusedError
from generations.ranges import UnsatisfiableRangeError
from spells.authoring import NoDraftError, SpellExistsError
from spells.documents import NotOwnerError
from spells.problems import Problem, ProblemsError, join_path

PROBLEM_TYPE = "application/problem+json"
API = "/api/"
# When to come back to a database that could not be reached.
RETRY_SECONDS = 5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its status, the last word of its `type`, its title, and what in the request it is about."""

    status: int
    name: str
    title: str
    path: str = ""

    @classmethod
    def of_status(cls, status: int) -> "Kind":
        """Return the kind of an error about which its status says all."""
        phrase = HTTPStatus(status).phrase
        return cls(status, phrase.lower().replace(" ", "-"), phrase)

    @property
    def urn(self) -> str:
        return f"urn:grimoire:problem:{self.name}"


INVALID = Kind(422, "invalid", "The request says something that cannot be done")
MALFORMED = Kind(400, "malformed", "The request cannot be read")
TOO_LARGE = Kind(413, "too-large", "The request is too large")
NOT_FOUND = Kind(404, "not-found", "There is nothing here that you may see")
SLUG_TAKEN = Kind(409, "slug-taken", "There is a spell of that slug already", "slug")
UNAVAILABLE = Kind(503, "unavailable", "The database cannot be reached, or is too busy")
INTERNAL = Kind(500, "internal-error", "Something went wrong on our side")

KINDS: Mapping[type[Exception], Kind] = {
    ProblemsError: INVALID,
    engine.InvalidInputsError: INVALID,
    engine.NotPublishedError: Kind(409, "not-published", "The version is not published", "spell"),
    engine.ToolDisabledError: Kind(409, "tool-disabled", "A tool is disabled", "spell"),
    IdempotencyKeyReusedError: Kind(409, "idempotency-key-reused", "The idempotency key was used for another request", "Idempotency-Key"),
    engine.TransitionRefusedError: Kind(409, "transition-refused", "The cast's status forbids this", "status"),
    engine.NotSkippableError: Kind(409, "not-skippable", "There is nothing to skip there", "step"),
    CookRefusedError: Kind(409, "cook-refused", "The status of the cook, or of the piece, forbids this", "status"),
    UserStreamsError: Kind(429, "too-many-streams", "You follow as many casts at once as you may"),
    ProcessStreamsError: Kind(503, "streams-full", "No more streams can be served here now"),
    TooManyWebhooksError: Kind(409, "too-many-webhooks", "The account has as many webhooks as it may"),
    EmailUnavailableError: Kind(409, "email-unavailable", "No e-mail can be sent to you"),
    WebhookDisabledError: Kind(409, "webhook-disabled", "The webhook is disabled"),
    ExportRefusedError: Kind(409, "export-refused", "This cannot be done with the export as it stands"),
    ReviewRefusedError: Kind(409, "review-refused", "This cannot be decided on the piece as it stands"),
    NotSentError: Kind(409, "not-sent", "What stands in the inbox is not sent"),
    NotOwnerError: SLUG_TAKEN,
    SpellExistsError: SLUG_TAKEN,
    NoDraftError: Kind(409, "no-draft", "There is no draft"),
    DeliveryRefusedError: Kind(401, "callback-refused", "The callback is not its provider's"),
    UnverifiableError: Kind(503, "callback-unverifiable", "The callback cannot be verified at present"),
    BadPayloadError: MALFORMED,
    LinkRefusedError: Kind(403, "link-refused", "The link is not valid, or not any more", "signature"),
    exceptions.ValidationError: INVALID,
    exceptions.ParseError: MALFORMED,
    exceptions.UnsupportedMediaType: Kind(415, "unsupported-media-type", "The body is of a type that is not read here", "Content-Type"),
    UnsatisfiableRangeError: Kind(416, "range-not-satisfiable", "The file has no such part", "Range"),
    exceptions.NotAcceptable: Kind(406, "not-acceptable", "There is no answer of the type that was asked for", "Accept"),
    exceptions.NotFound: NOT_FOUND,
    Http404: NOT_FOUND,
    ObjectDoesNotExist: NOT_FOUND,  # gone since it was looked up
    OperationalError: UNAVAILABLE,
    PermissionDenied: Kind.of_status(403),
    RequestDataTooBig: TOO_LARGE,
    SuspiciousOperation: MALFORMED,
    BadRequest: MALFORMED,
    UnreadablePostError: MALFORMED,
}
# Their words are Django's, and may tell of our insides.
_SILENT = (Http404, ObjectDoesNotExist, OperationalError, PermissionDenied, SuspiciousOperation, BadRequest, UnreadablePostError)


def document(kind: Kind, detail: str, errors: Iterable[Problem] = ()) -> dict[str, Any]:
    """Return a problem document. `errors` name the places in the request that must be mended."""
    told = [{"path": error.path, "message": error.message} for error in errors]
    return {"type": kind.urn, "title": kind.title, "status": kind.status, "detail": detail, "errors": told}


def respond(kind: Kind, detail: str, errors: Iterable[Problem] = (), *, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """Return the response that carries a problem document."""
    return JsonResponse(document(kind, detail, errors), status=kind.status, headers=headers, content_type=PROBLEM_TYPE)


def handle(error: Exception, context: Mapping[str, Any]) -> HttpResponseBase | None:  # noqa: ARG001 - the framework's signature
    """Return the response to an exception that a view of the API raised, or None: then it is ours, and a 500."""
    kind = next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), None)
    if kind is None and isinstance(error, exceptions.APIException):
        kind = Kind.of_status(error.status_code)
    if kind is None:
        return None
    if kind is UNAVAILABLE:
        log.error("request.database_failed", exc_info=error)
    errors = list(_errors(error, kind))
    return respond(kind, _detail(error, kind, errors), errors, headers=_headers(error))


def _errors(error: Exception, kind: Kind) -> Iterator[Problem]:
    if isinstance(error, ProblemsError | engine.InvalidInputsError):
        yield from error.problems
    elif isinstance(error, exceptions.ValidationError):
        yield from flattened(error.detail)
    elif isinstance(problems := getattr(error, "problems", None), tuple):
        yield from problems
    elif kind.path:
        yield Problem(kind.path, str(error))


def _detail(error: Exception, kind: Kind, errors: list[Problem]) -> str:
    if isinstance(error, _SILENT):
        return f"{kind.title}."
    if isinstance(error, exceptions.APIException) and not isinstance(error, exceptions.ValidationError):
        return str(error.detail)
    if len(errors) > 1:
        return f"{errors[0]} (and {len(errors) - 1} more)"
    return str(errors[0]) if errors and not kind.path else str(error)


def _headers(error: Exception) -> dict[str, str]:
    """Return the headers that an exception brings along, or that the framework would send with one of its own."""
    headers = dict(getattr(error, "headers", {}))
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if wait := RETRY_SECONDS if isinstance(error, OperationalError) else getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def flattened(detail: Any, path: str = "") -> Iterator[Problem]:
    """Yield the messages of the framework's validation error, each with the path of its place."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from flattened(inner, path if name == "non_field_errors" else join_path(path, str(name)))
    elif isinstance(detail, list):
        for place, inner in enumerate(detail):
            yield from flattened(inner, path if isinstance(inner, str) else join_path(path, place))
    else:
        yield Problem(path, str(detail))


@csrf_exempt  # there is nothing behind it that could be forged
def unknown_route(request: HttpRequest) -> JsonResponse:
    """Answer for every address of the API that does not exist."""
    detail = f"There is no {request.path} in this API."
    if not request.path.endswith("/") and _exists(f"{request.path}/"):
        detail += f" Did you mean {request.path}/ with a slash at its end?"
    return respond(NOT_FOUND, detail)


def _exists(path: str) -> bool:
    try:
        return resolve(path).func is not unknown_route
    except Resolver404:
        return False


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer for requests that Django itself refused."""
    if request.path.startswith(API):
        return respond(MALFORMED, "The request is not one that this server answers.")
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer for exceptions that nobody foresaw, telling nothing but where to find them in the logs."""
    if not request.path.startswith(API):
        return defaults.server_error(request)
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return respond(INTERNAL, f"It has been logged under the request id {request_id}.")
