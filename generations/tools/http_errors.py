"""What a failed HTTP call means: one reading for all adapters.

The engine needs to know three things: may it be tried again, when, and may the provider have done the work all the
same. An answer is definite, whatever its status: only a request whose answer was lost is ambiguous.
"""

import json
import math
from collections.abc import Mapping
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

# Raised before a byte of the request was sent.
_BEFORE_SENDING = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)


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


def status_error(status: int, headers: Mapping[str, str], body: bytes, *, host: str, now: datetime | None = None) -> ToolError:
    """Return the error that an answer with a status of 400 or more, or an unexpected one, stands for.

    Keeps the provider's own words. `x-should-retry` overrules the status; `retry-after-ms` and `retry-after` (seconds
    or a date) say when.
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
    code = CODES.get(status, "provider_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "refused")
    return ToolError(
        f"{host} answered {status}{_phrase(status)}{f': {words}' if words else '.'}",
        code=code,
        permanent=permanent,
        retry_after=None if permanent else retry_after_seconds(headers, now=now),
        outage=status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        details=details,
    )


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


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
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        text = body[: 4 * MAX_WORDS].decode(errors="replace").strip()
        return "" if text.startswith("<") else clean_text(text[:MAX_WORDS])
    return clean_text(_message(told)[:MAX_WORDS])


def _message(told: Any) -> str:
    for _ in range(5):
        if isinstance(told, list) and told:
            told = told[0]
        elif isinstance(told, dict):
            told = next((told[name] for name in ("error", "message", "detail", "errors", "msg", "title") if told.get(name)), None)
        else:
            break
    return told if isinstance(told, str) else ""
