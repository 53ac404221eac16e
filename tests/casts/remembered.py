"""What a holder remembers of casts, held against what the database says each time that it is used.

But for how far running calls are by their own word, which is written beside claims.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from casts.engine import CastState, Claim, Known
from casts.engine.loading import load


class Checked(Known):
    """What is remembered. It must be what would be read."""

    def take(self, held: Mapping[UUID, Claim]) -> dict[UUID, CastState]:
        taken = super().take(held)
        read = load(held={cast_id: held[cast_id] for cast_id in taken}).states
        assert taken.keys() == read.keys()
        for cast_id, state in taken.items():
            stands = told(read[cast_id])
            differs = {name: (value, stands[name]) for name, value in told(state).items() if value != stands[name]}
            assert not differs, f"remembered, and read: {differs}"
        return taken


def told(state: CastState) -> dict[str, Any]:
    """Return all that is decided by: what stands in the row of a cast and in its attempts, and how many are done, begun and counted."""
    columns = {field.attname: getattr(state.cast, field.attname) for field in state.cast._meta.concrete_fields}
    counters = {
        name: {of: count for of, count in getattr(state, name).items() if count}
        for name in ("failures", "losses", "excused", "done", "begun")
    }
    attempts = {id_: replace(each, progress=None) if each.status == "running" else each for id_, each in state.attempts.items()}
    latest = {step_id: {item: each.id for item, each in items.items()} for step_id, items in state.latest.items() if items}
    return {"claim": state.claim, "cast": columns, "attempts": attempts, "latest": latest, "counts": state.counts, **counters}
