"""What the holder of a claim knows of a cast from its last look, so that the next one need not read it again.

Whoever changes a cast, or a generation of it, without holding its claim rings first. So as long as a claim stands, and its
bell is the one that its holder saw, everything is as the holder left it. What its calls say of their own progress is
written beside claims; nothing is decided by it, but a holder that writes it forgets the cast.
"""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from operator import attrgetter
from uuid import UUID

from casts.models import Cast, CastStatus

from .claims import Claim
from .state import DONE, CastState
from .turns import Turn

# Casts with larger inputs, or more attempts at what is not done yet, are read again: a holder has a thousand of them.
MAX_INPUT_CHARACTERS = 8 * 2**10
MAX_ATTEMPTS = 50
_TENTH_PLACE = Decimal("1e-10")


class Known:
    """The casts that a holder remembers. Each is taken once: a look changes what it takes."""

    def __init__(self, states: Mapping[UUID, CastState]) -> None:
        """Take what `remember` returned, by cast."""
        self.states = dict(states)

    def part(self, claims: Iterable[Claim]) -> "Known":
        """Return what is remembered of these casts, and forget it here."""
        return Known({claim.cast_id: self.states.pop(claim.cast_id) for claim in claims if claim.cast_id in self.states})

    def take(self, held: Mapping[UUID, Claim]) -> dict[UUID, CastState]:
        """Return those of these casts that nobody has rung for, or claimed, since; and forget all of them."""
        found = {cast_id: state for cast_id in held if (state := self.states.pop(cast_id, None)) is not None}
        return {
            cast_id: state.under(claim)
            for cast_id, state in found.items()
            if (claim := held[cast_id]).epoch == state.claim.epoch and claim.bell == state.claim.bell
        }


def remember(turn: Turn, *, is_claimed: bool = False) -> CastState | None:
    """Return a cast as it stands after this turn, once that is committed; None where it is better read again, or let go of.

    One that `is_claimed` was taken in this very turn, which has started nothing: its claim is kept all the same.
    """
    state = turn.state
    if turn.end is not None or not (is_claimed or turn.is_held) or len(state.attempts) > MAX_ATTEMPTS:
        return None
    if not state.is_remembered and not _is_small(state.cast):
        return None
    cast = state.cast
    cast.cost_usd = turn.cost_usd.quantize(_TENTH_PLACE)
    if cast.status == CastStatus.QUEUED and not turn.is_cancelled:
        cast.status, cast.started_at = CastStatus.RUNNING, turn.now
    left = CastState(claim=state.claim, cast=cast, plan=state.plan, tools={}, counts=state.counts, is_remembered=True)
    left.begun |= state.begun
    left.done |= state.done
    done = {attempt.place for attempt in state.standing() if attempt.status in DONE}
    for step_id, _ in done:
        left.done[step_id] = left.done.get(step_id, 0) + 1
    for attempt in sorted(state.attempts.values(), key=attrgetter("attempt")):
        if attempt.place not in done:
            left.add(attempt)
    return left


def _is_small(cast: Cast) -> bool:
    return len(json.dumps(cast.inputs)) <= MAX_INPUT_CHARACTERS
