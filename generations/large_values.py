"""Values of an output that are too large for a row of the database: kept as artefacts, with a preview in their place."""

import json
from collections.abc import Callable
from typing import Any

from django.conf import settings

from .outputs import MAX_OUTPUT_BYTES

PREVIEW_CHARACTERS = 500
# What stands in the place of a value is about as large.
SMALLEST_BYTES = 4 * 1024

Keep = Callable[[bytes, str, str], dict[str, Any]]


def shrink(output: dict[str, Any], *, keep: Keep) -> dict[str, Any]:
    """Return a clean output with what is too large kept as artefacts.

    A value of the output is too large beyond `GRIMOIRE_LARGE_VALUE_BYTES` of compact JSON; so are the largest of those
    that together make more than an output may have. An output of countless small values is kept as a whole, and is
    then `{"output": ...}`. `keep` stores bytes by MIME type and name, and returns the reference.
    """
    texts = {name: _written(value) for name, value in output.items()}
    sizes = {name: len(text) for name, text in texts.items()}
    left = sum(sizes.values()) + sum(len(name.encode()) + 4 for name in output)
    kept = dict(output)
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if sizes[name] <= settings.LARGE_VALUE_BYTES and (left <= MAX_OUTPUT_BYTES or sizes[name] < SMALLEST_BYTES):
            break
        kept[name] = _kept(output[name], texts[name], name=name, keep=keep)
        left -= sizes[name] - len(_written(kept[name]))
    if left > MAX_OUTPUT_BYTES:
        return {"output": _kept(output, _written(output), name="output", keep=keep)}
    return kept


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _kept(value: Any, written: bytes, *, name: str, keep: Keep) -> dict[str, Any]:
    """Return what stands for a large value: the reference to its text or JSON, and how it begins."""
    if isinstance(value, str):
        return {**keep(value.encode(), "text/plain", f"{name[:100]}.txt"), "preview": value[:PREVIEW_CHARACTERS]}
    begin = written[: 4 * PREVIEW_CHARACTERS].decode(errors="ignore")[:PREVIEW_CHARACTERS]
    return {**keep(written, "application/json", f"{name[:100]}.json"), "preview": begin}
