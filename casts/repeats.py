"""Requests that come again under an idempotency key: what tells one from another, and what the first one made."""

import hashlib
import json
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


class IdempotencyKeyReusedError(Exception):
    """An idempotency key was used before, for another request."""


def digest_of(**said: Any) -> str:
    """Return the SHA-256 of what was said: equal requests have equal digests, however they were written."""
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def made_before(rows: QuerySet[M], *, key: str | None, digest: str) -> M | None:
    """Return the one of somebody's `rows` that the same request made under this key; None where there is none, or no key.

    Raises IdempotencyKeyReusedError when another request made it.
    """
    found: Any = rows.filter(idempotency_key=key).first() if key is not None else None
    if found is not None and found.request_digest != digest:
        raise IdempotencyKeyReusedError(f"The idempotency key {key} was used for another request.")
    return found  # type: ignore[no-any-return] # one of the rows
