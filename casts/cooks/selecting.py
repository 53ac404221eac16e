"""Selections of pieces: by their traits, their places, or one by one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from django.db.models import QuerySet

from casts.models import PieceAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which pieces are meant: those for which all of this holds; of nothing, all.

    `traits` names categories with the values of which a piece must have one, None for any value. `first` and `last` are indexes,
    both included. `piece_ids` are pieces one by one.
    """

    traits: Mapping[str, Collection[str] | None] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None
    piece_ids: Collection[int] | None = None

    def among(self, attempts: QuerySet[PieceAttempt]) -> list[PieceAttempt]:
        """Return those attempts of which the pieces are meant. Traits are compared here: databases differ in how they read JSON."""
        if self.first is not None:
            attempts = attempts.filter(piece__index__gte=self.first)
        if self.last is not None:
            attempts = attempts.filter(piece__index__lte=self.last)
        wanted = None if self.piece_ids is None else set(self.piece_ids)
        chosen = (attempt for attempt in attempts.order_by("pk") if wanted is None or attempt.piece_id in wanted)
        return [attempt for attempt in chosen if self._has_traits(attempt.traits)]

    def _has_traits(self, traits: Mapping[str, str]) -> bool:
        return all(name in traits and (values is None or traits[name] in values) for name, values in self.traits.items())
