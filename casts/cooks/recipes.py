"""What a piece is cast with: the base inputs of its collection, with its traits or its item put in."""

from collections.abc import Mapping
from typing import Any

from casts.models import Collection, Piece
from spells.expressions import TemplateTree, compile_value

# What the base inputs may read.
NAMES = frozenset({"traits", "prompts", "item", "index", "number", "seed"})


class Recipe:
    """The base inputs of a collection, read once for all of its pieces."""

    def __init__(self, *, inputs: Mapping[str, Any], seed: int) -> None:
        """Read the base inputs. Raises ExpressionError, with the place, for what is no expression of the language."""
        self._tree: TemplateTree | None = compile_value(dict(inputs), path="inputs", names=NAMES) if inputs else None
        self._seed = seed

    @classmethod
    def of(cls, collection: Collection) -> "Recipe":
        return cls(inputs=collection.inputs, seed=collection.seed)

    def inputs_of(self, piece: Piece) -> dict[str, Any]:
        """Return the inputs of the piece's cast. Without base inputs, an item that is an object is all of them.

        Raises ExpressionError, with the place, when something that the base inputs read is not there.
        """
        if self._tree is None:
            return dict(piece.item) if isinstance(piece.item, dict) else {}
        namespace = {
            "traits": piece.traits,
            "prompts": piece.prompts,
            "item": piece.item,
            "index": piece.index,
            "number": piece.index + 1,
            "seed": self._seed,
        }
        inputs: dict[str, Any] = self._tree.evaluate(namespace)
        return inputs
