"""How far a call is, as its provider told: what is kept of it in `Generation.progress`, read with care."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generations.artifacts import referenced_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProgress:
    """What was told last. `percent` is 0 to 100, None when nobody said; `preview` is the reference to an artefact.

    `trouble` says why the provider of a job could not be asked for it last; empty if it could.
    """

    percent: float | None
    stage: str
    preview: Mapping[str, Any] | None
    trouble: str = ""


def read_progress(kept: Any) -> CallProgress | None:
    """Return what stands in `Generation.progress`, None when nothing was told."""
    if not isinstance(kept, Mapping):
        return None
    percent, stage, preview, trouble = (kept.get(name) for name in ("percent", "stage", "preview", "trouble"))
    return CallProgress(
        percent=min(max(percent, 0), 100) if isinstance(percent, int | float) and not isinstance(percent, bool) else None,
        stage=stage if isinstance(stage, str) else "",
        preview=preview if isinstance(preview, Mapping) and referenced_ids(preview) else None,
        trouble=trouble if isinstance(trouble, str) else "",
    )
