"""What tells one request from another under the same idempotency key."""

import hashlib
import json
from typing import Any


def digest_of(**said: Any) -> str:
    """Return the SHA-256 of what was said: equal requests have equal digests, however they were written."""
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
