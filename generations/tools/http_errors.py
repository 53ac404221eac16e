"""What a failed HTTP call means: one reading for all adapters.

The engine needs to know three things: may it be tried again, when, and may the provider have done the work all the
same. A submission is ambiguous when its answer was lost, and when its answer does not prove that the provider refused:
what a gateway says of itself is no word of the provider behind it. docs/tools.md lists which answers are which.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx2

from generations.outputs import clean_text

from .contract import ToolError

MAX_WORDS = 1000
MAX_RETRY_AFTER_SECONDS = 24 * 3600.0

RETRYABLE = frozenset({408, 409, 425, 429})
CODES: Mapping[int, str] = {
    401: "unauthorized",
    402: "payment_required",
    403: "forbidden",
    404: "not_found",
    408: "provider_timeout",
    409: "conflict",
    413: "too_large",
    422: "rejected",
    429: "rate_limited",
}

# Statuses that say that nothing was begun: sent elsewhere, or not understood at all.
_REFUSALS = frozenset({307, 308, 501, 505, 511})
# Of the statuses for what a client did wrong, those for a request or a connection that came to no end.
_BROKEN_OFF = frozenset({408, 499})

# Raised before a byte of the request was sent.
_BEFORE_SENDING = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)


@contextmanager
def said_elsewhere() -> Iterator[None]:
    """Mark errors as those of a place that the inputs name: whoever names one that is away shuts the tool for nobody else."""
    try:
        yield
    except ToolError as error:
        error.elsewhere = True
        raise


def transport_error(error: Exception, *, host: str, repeatable: bool = False) -> ToolError:
    """Return the error of a request that got no answer.

    `repeatable`: the request changes nothing over there, so that a lost answer leaves nothing open.
    """
    why = f": {error}" if str(error) else "."
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | httpx2.InvalidURL):
        return ToolError(f"The request to {host} cannot be made{why}", code="bad_request", permanent=True)
    if isinstance(error, _BEFORE_SENDING):
        return ToolError(f"{host} cannot be reached{why}", code="unreachable", outage=True)
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return ToolError(f"{host} did not answer in time.", code="timeout", ambiguous=not repeatable, outage=True)
    return ToolError(f"The connection to {host} was lost{why}", code="connection_lost", ambiguous=not repeatable, outage=True)


def status_error(
    status: int, headers: Mapping[str, str], body: bytes, *, host: str, is_submission: bool = False, now: datetime | None = None
) -> ToolError:
    """Return the error that an answer with a status of 400 or more, or an unexpected one, stands for.

    Keeps the provider's own words. `x-should-retry` overrules the status; `retry-after-ms` and `retry-after` (seconds
    or a date) say when. `is_submission`: it answers a request that must not be made twice, and is ambiguous unless it
    proves that nothing was begun.
    """
    permanent = not (status in RETRYABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR)
    hint = headers.get("x-should-retry", "").strip().lower()
    if hint in ("true", "false"):
        permanent = hint == "false"
    words = provider_words(body)
    details: dict[str, Any] = {"status": status}
    if request_id := headers.get("x-request-id"):
        details["request_id"] = clean_text(request_id[:200])
    if body:
        details["body"] = clean_text(body[: 2 * MAX_WORDS].decode(errors="replace"))
    place = _redirect_place(status, headers)
    code = CODES.get(status, "provider_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "redirected" if place else "refused")
    leads_on = f" and leads to {place}, which was not followed" if place else ""
    return ToolError(
        f"{host} answered {status}{_spaced(phrase_of(status))}{leads_on}{f': {words}' if words else '.'}",
        code=code,
        permanent=permanent,
        retry_after=None if permanent else retry_after_seconds(headers, now=now),
        ambiguous=is_submission and not proves_refusal(status, headers, body),
        outage=status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        details=details,
    )


def proves_refusal(status: int, headers: Mapping[str, str], body: bytes = b"") -> bool:
    """Tell whether an answer to a submission proves that nothing was begun.

    Of 500 and 503 it depends on who says so: the provider itself, in JSON that says more than the status does, or
    (of 503) by the time after which to come back. A page without such words may be that of any gateway on the way.
    """
    if status in _REFUSALS:
        return True
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return status not in _BROKEN_OFF
    if status == HTTPStatus.SERVICE_UNAVAILABLE and retry_after_seconds(headers) is not None:
        return True
    words = _json_words(body) or "" if status in (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE) else ""
    return words.strip(" .!").lower() not in ("", phrase_of(status).lower())


def _redirect_place(status: int, headers: Mapping[str, str]) -> str:
    """Return where a redirect leads, without what may be secret in it; empty for any other answer."""
    if not HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST or not headers.get("location"):
        return ""
    try:
        target = httpx2.URL(headers["location"][:MAX_WORDS])
    except (httpx2.InvalidURL, ValueError):
        return "what is no URL"
    return clean_text(f"{target.scheme}://{target.netloc.decode()}" if target.host else target.path)[:200] or "nowhere"


def phrase_of(status: int) -> str:
    """Return the name of a status; empty for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _spaced(text: str) -> str:
    return f" {text}" if text else ""


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return how many seconds the headers ask us to wait; None when they do not, or not in a way that can be read."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    seconds = milliseconds / 1000 if milliseconds is not None else _number(headers.get("retry-after", ""))
    if seconds is None and headers.get("retry-after"):
        try:
            due = parsedate_to_datetime(headers["retry-after"])
        except ValueError:
            return None
        due = due if due.tzinfo else due.replace(tzinfo=UTC)
        seconds = max(0.0, (due - (now or datetime.now(UTC))).total_seconds())
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER_SECONDS)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def provider_words(body: bytes) -> str:
    """Return the message inside an error's body, as the common APIs write it, else the start of a plain text."""
    told = _json_words(body)
    if told is not None:
        return told
    text = body[: 4 * MAX_WORDS].decode(errors="replace").strip()
    return "" if text.startswith("<") else clean_text(text[:MAX_WORDS])


def _json_words(body: bytes) -> str | None:
    """Return the message inside a body of JSON, empty without one; None for what is no JSON."""
    try:
        return clean_text(_message(json.loads(body))[:MAX_WORDS])
    except (ValueError, RecursionError):
        return None


def _message(told: Any) -> str:
    for _ in range(5):
        if isinstance(told, list) and told:
            told = told[0]
        elif isinstance(told, dict):
            told = next((told[name] for name in ("error", "message", "detail", "errors", "msg", "title") if told.get(name)), None)
        else:
            break
    return told if isinstance(told, str) else ""
