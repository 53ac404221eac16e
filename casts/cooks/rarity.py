"""Rarity: how often each trait was asked for, and how often it was drawn."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from casts.cooks.traits import Category, TraitTree


@dataclass(frozen=True, slots=True)
class Rarity:
    """One value of a category among pieces.

    `asked` is its share of the weights, None for numbers of a range, which have none. `drawn` counts the pieces that
    have it, `among` those that have the category at all: rules and conditions make the shares of a tree differ from its weights.
    """

    category: str
    value: str
    asked: Fraction | None
    drawn: int
    among: int

    @property
    def share(self) -> Fraction | None:
        """Return its share among the pieces that have the category; None where none has."""
        return Fraction(self.drawn, self.among) if self.among else None


def rarity_table(tree: TraitTree, pieces: Iterable[Mapping[str, str]]) -> list[Rarity]:
    """Return a row for each value of each category, in their order, counted over the traits of pieces.

    Values that the tree does not know, as of pieces of an earlier tree, come after the others. Numbers of ranges have
    no rows: as a rule each is drawn once.
    """
    drawn: dict[str, Counter[str]] = {category.name: Counter() for category in tree.categories}
    for traits in pieces:
        for name, value in traits.items():
            drawn.setdefault(name, Counter())[value] += 1
    known = {category.name: category for category in tree.categories}
    rows = []
    for name, counts in drawn.items():
        if name not in known or known[name].range is None:
            rows += _rows(name, known.get(name), counts)
    return rows


def _rows(name: str, category: Category | None, counts: Counter[str]) -> list[Rarity]:
    traits = category.traits if category is not None else ()
    total = sum(trait.weight for trait in traits)
    asked = {trait.value: Fraction(trait.weight, total) for trait in traits}
    values = [*asked, *sorted(counts.keys() - asked.keys())]
    return [Rarity(category=name, value=value, asked=asked.get(value), drawn=counts[value], among=counts.total()) for value in values]
