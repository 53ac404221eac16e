"""What a call can be known by: the generation whose webhook it is, our idempotency key, and what is asked for."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

MAX_METADATA_CHARACTERS = 4000
_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`callback` is the address of its webhooks, `request` the fingerprint of what is asked for."""

    callback: str = ""
    idempotency_key: str = ""
    metadata: Any = None
    request: str = ""

    @property
    def generation_id(self) -> str:
        """Return the UUID in the address of the webhooks, with or without dashes there; empty when there is none."""
        found = _UUID.search(self.callback)
        return str(UUID(found[0])) if found else ""

    def told(self) -> dict[str, Any]:
        """Return it as it stands in the log."""
        is_small = len(json.dumps(self.metadata)) <= MAX_METADATA_CHARACTERS
        return {
            "callback": self.callback,
            "generation_id": self.generation_id,
            "idempotency_key": self.idempotency_key,
            "request": self.request,
            "metadata": (self.metadata or {}) if is_small else {"left_out": "It is too large for the log."},
        }


def fingerprint(*, dialect: str, model: str, inputs: Mapping[str, Any]) -> str:
    """Return what the same request to the same model has in common, in 16 characters. Metadata say who asks, not what for."""
    wanted = {name: value for name, value in inputs.items() if name != "metadata"}
    return hashlib.sha256(json.dumps([dialect, model, wanted], sort_keys=True).encode()).hexdigest()[:16]
