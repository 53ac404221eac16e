"""A look at a cook before it begins: the first pieces, how rare each trait will be, and what it is expected to cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from casts.models import Collection, Piece

from . import quotes
from .beginning import check_number, check_pieces
from .dealing import deal, supply_of
from .quotes import Quote
from .rarity import Rarity, rarity_table
from .recipes import Recipe
from .traits import read_tree

# Pieces that are shown.
SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a cook would make. `pieces` are the first ones, each with its `inputs`; `rarity` counts over all `wanted`.

    `supply` is how many pieces the collection has at most, None for more than anybody asks for.
    """

    wanted: int
    supply: int | None
    pieces: Sequence[tuple[Piece, dict[str, Any]]]
    rarity: Sequence[Rarity]
    quote: Quote

    @property
    def total_usd(self) -> Decimal | None:
        """Return what the whole is expected to cost; None when that is not known."""
        return self.quote.total(pieces=self.wanted)


def preview(*, collection: Collection, now: datetime, pieces: int | None = None, shown: int = SHOWN) -> Preview:
    """Draw what a cook of a collection, saved or not, would make, and write nothing of it. Raises as `begin` does."""
    wanted = pieces if pieces is not None else collection.target_supply
    check_number(wanted)
    dealt = deal(collection=collection, first=0, count=wanted)
    check_pieces(collection=collection, pieces=dealt, now=now)
    recipe = Recipe.of(collection)
    tree = collection.trait_tree
    return Preview(
        wanted=wanted,
        supply=supply_of(collection),
        pieces=[(piece, recipe.inputs_of(piece)) for piece in dealt[:shown]],
        rarity=[] if tree is None else rarity_table(read_tree(tree), (piece.traits for piece in dealt)),
        quote=quotes.of_version(collection.version),
    )
