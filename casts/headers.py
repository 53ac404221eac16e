"""What the headers of a request for a cast say."""

import re

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from spells.problems import Problem, shown
from spells.requests import UnreadableRequestError

IDEMPOTENCY_KEY = "Idempotency-Key"
MAX_WAIT_SECONDS = 60

# Of requests that make something, for the API's documentation.
REPEAT_HEADERS = [
    OpenApiParameter(
        IDEMPOTENCY_KEY,
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        OpenApiParameter.HEADER,
        description="A repeat under the same key gets the same one with 200. Another body under it is refused with 409.",
    ),
    OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[200, 201], description="Its address."),
]

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_WAIT = re.compile(r"""wait\s*=\s*"?([0-9]{1,6})"?(\s*;.*)?""", re.IGNORECASE)


def idempotency_key_of(request: Request) -> str | None:
    """Return the key by which a repeated request is known, None when there is none. Raises UnreadableRequestError."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not _KEY.fullmatch(key):
        raise UnreadableRequestError(Problem(IDEMPOTENCY_KEY, f"{shown(key)} is not 1 to 255 visible ASCII characters without a space"))
    return key


def preferred_wait(request: Request) -> int | None:
    """Return how many seconds the client would like to wait for the end (RFC 7240), at most `MAX_WAIT_SECONDS`.

    None when it did not say, or said it in a way that cannot be understood: a preference may be ignored.
    """
    for preference in request.headers.get("Prefer", "").split(","):
        match = _WAIT.fullmatch(preference.strip())
        if match:
            return min(int(match[1]), MAX_WAIT_SECONDS)
    return None
