"""Drawing: which traits piece number i of a cook has. Pure and stable for ever; docs/cooks-drawing.md writes it down.

Categories are drawn in their order, each from what the rules leave after those before it. Where they leave nothing,
the last choice is taken back and another one made: what the rules allow at all is found.
"""

import hashlib
import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from casts.cooks.numbers import Numbers, shuffled
from casts.cooks.traits import Category, Range, Trait, TraitTree

# Looks at traits and parts of rules that one draw, or one count, may take: tenths of a second at the worst.
MAX_WORK = 100_000
_WORK_OF_A_PIECE = 20

# Draws of a piece with a fresh number, before those that are left are looked for in order.
MAX_REDRAWS = 16

# More pieces than any cook can have.
_COUNTLESS = 2**63 - 1


class DrawError(Exception):
    """The trait tree has no such piece. The message is for whoever wrote the tree."""


class Allowance:
    """The work that some draws may take together, in the units of `MAX_WORK`. What each piece takes for sure counts, too."""

    def __init__(self, work: int) -> None:
        """Take how much there is."""
        self.left = work

    def take(self, work: int) -> None:
        """Take what a draw took away. Raises DrawError when there is not as much left."""
        self.left -= work
        if self.left < 0:
            raise DrawError(
                "Drawing this takes more work than is allowed at once. Loosen the rules of the trait tree, "
                "give it fewer traits, or ask for fewer pieces: a cook can be extended later."
            )


class _TooMuchWork(Exception):
    """What one draw, or one count, may take was spent."""


@dataclass(frozen=True)
class Draw:
    """The traits of one piece.

    `traits` maps the names of its categories to values, `prompts` those of all categories to their prompts: an empty
    text where the piece lacks the category. `redraw` is the number under which it was drawn.
    """

    traits: dict[str, str]
    prompts: dict[str, str]
    redraw: int = 0

    @cached_property
    def hash(self) -> str:
        """Return 64 hex digits that tell these traits from others: the SHA-256 of their canonical JSON."""
        return trait_hash(self.traits)


def trait_hash(traits: Mapping[str, str]) -> str:
    """Return the SHA-256 of traits as canonical JSON: sorted by name, without white space, in UTF-8. 64 hex digits."""
    canonical = json.dumps(dict(sorted(traits.items())), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def draw(tree: TraitTree, *, seed: int, index: int, redraw: int = 0, allowance: Allowance | None = None) -> Draw:
    """Return the piece number `index`, from 0, of a seed. Each `redraw`, from 0, is another try at the same piece.

    Raises DrawError when the rules, or the numbers of a unique range, leave nothing for it, or the allowance is spent.
    """
    return _found(tree, seed=seed, index=index, redraw=redraw, taken=(), allowance=allowance)


def draw_distinct(tree: TraitTree, *, seed: int, index: int, taken: Container[str], allowance: Allowance | None = None) -> Draw:
    """Return the first try at a piece whose hash is not among those that are taken.

    After `MAX_REDRAWS` tries the next one goes on to neighbours until one is free: the rarities of the last pieces of a
    tree are those of what is left. Raises DrawError when nothing is left, or nothing that is found in reasonable time, or
    the allowance is spent.
    """
    for redraw in range(MAX_REDRAWS):
        found = draw(tree, seed=seed, index=index, redraw=redraw, allowance=allowance)
        if found.hash not in taken:
            return found
    return _found(tree, seed=seed, index=index, redraw=MAX_REDRAWS, taken=taken, allowance=allowance)


def _found(tree: TraitTree, *, seed: int, index: int, redraw: int, taken: Container[str], allowance: Allowance | None) -> Draw:
    _check_numbers(tree, index)
    search = _Search(tree, key=(seed, index, redraw), taken=taken)
    try:
        if not search.fill(0):
            raise DrawError(f"The rules of the trait tree leave no piece, or no other one, for number {index}.")
    except _TooMuchWork as error:
        raise DrawError(f"The rules of the trait tree leave so few pieces that none was found for number {index}.") from error
    if allowance is not None:
        allowance.take(search.work + len(tree.categories))
    return Draw(traits=search.traits(), prompts=search.chosen, redraw=redraw)


def _check_numbers(tree: TraitTree, index: int) -> None:
    """Refuse a piece for which a range that all pieces have holds no number: no search would find any."""
    for category in tree.categories:
        if category.when is None and category.range is not None and category.range.unique and index >= category.range.size:
            raise DrawError(f"{category.name} has {category.range.size:,} numbers, and piece {index} would need another one.")


class _Walk:
    """A way through the categories of a tree. `drawn` has what is decided: values, and None where a piece lacks the category."""

    def __init__(self, tree: TraitTree) -> None:
        """Begin with nothing decided."""
        self.tree = tree
        self.drawn: dict[str, str | None] = {}
        self.work = 0

    def pay(self, units: int = 1) -> None:
        self.work += units
        if self.work > MAX_WORK:
            raise _TooMuchWork

    def lacks(self, category: Category) -> bool:
        """Tell whether a piece with these traits does not have a category."""
        return category.when is not None and category.when.holds(self.drawn) is False

    def allowed(self, category: Category, value: str | None) -> bool:
        """Tell whether no rule forbids a value after what is decided."""
        self.pay(self.tree.work_of[category.name])
        self.drawn[category.name] = value
        forbidden = any(rule.broken(self.drawn) for rule in self.tree.rules_of[category.name])
        del self.drawn[category.name]
        return not forbidden

    def allowed_traits(self, category: Category) -> list[Trait]:
        return [trait for trait in category.traits if trait.weight and self.allowed(category, trait.value)]


class _Search(_Walk):
    """A search for one piece."""

    def __init__(self, tree: TraitTree, *, key: tuple[int, int, int], taken: Container[str]) -> None:
        """Give each category a row of numbers of its own, so that another category more or less changes none of them.

        `key` is seed, index and redraw.
        """
        super().__init__(tree)
        self.index = key[1]
        self.taken = taken
        self.chosen: dict[str, str] = {}
        self.numbers = [Numbers("grimoire draw 1", *key, category.name) for category in tree.categories]

    def fill(self, position: int) -> bool:
        """Decide on the categories from a position on. Tell whether that was possible."""
        if position == len(self.tree.categories):
            self.pay(_WORK_OF_A_PIECE)
            return trait_hash(self.traits()) not in self.taken
        category = self.tree.categories[position]
        for value, prompt in self._choices(category, self.numbers[position]):
            self.drawn[category.name] = value
            self.chosen[category.name] = prompt
            if self.fill(position + 1):
                return True
            del self.drawn[category.name]
        return False

    def traits(self) -> dict[str, str]:
        return {name: value for name, value in self.drawn.items() if value is not None}

    def _choices(self, category: Category, numbers: Numbers) -> Iterator[tuple[str | None, str]]:
        """Yield what a category can be, with its prompt, in the order in which it is to be tried."""
        if self.lacks(category):
            if self.allowed(category, None):
                yield None, ""
        elif category.range is None:
            for trait in self._by_lot(self.allowed_traits(category), numbers):
                yield trait.value, trait.prompt
        elif self.allowed(category, ""):  # to a rule, one number is like another
            for value in self._of_range(category.range, category.name, numbers):
                yield value, value

    def _by_lot(self, traits: list[Trait], numbers: Numbers) -> Iterator[Trait]:
        """Yield all of them, each next one by lot among those that are left, by their weights."""
        while traits:
            self.pay(1 + len(traits) // 8)
            left = numbers.below(sum(trait.weight for trait in traits))
            for position, trait in enumerate(traits):
                left -= trait.weight
                if left < 0:
                    yield traits.pop(position)
                    break

    def _of_range(self, span: Range, name: str, numbers: Numbers) -> Iterator[str]:
        """Yield the one number of the piece; or any, and after it those that follow."""
        if not span.unique:
            first = numbers.below(span.size)
            for further in range(span.size):
                self.pay()
                yield span.value((first + further) % span.size)
        elif self.index < span.size:
            yield span.value(unique_position(span, name=name, index=self.index))


def unique_position(span: Range, *, name: str, index: int) -> int:
    """Return which number of a unique range, counted from 0, the piece with an index has. `name` is the category's."""
    if span.shuffle_seed is None:
        return index
    return shuffled(index, size=span.size, key=f"grimoire shuffle 1\n{span.shuffle_seed}\n{span.size}\n{name}")


class _Count(_Walk):
    """Counts what a tree can make."""

    def below(self, position: int) -> int:
        """Return in how many ways the categories from a position on can be decided."""
        if position == len(self.tree.categories):
            return 1
        category = self.tree.categories[position]
        if category.name not in self.tree.looked_at:  # whatever it is, the others are not told
            return 0 if not (size := self._size(category)) else size * self.below(position + 1)
        if self.lacks(category):
            return self._after(category, None, position) if self.allowed(category, None) else 0
        if category.range is not None:
            return category.range.size * self._after(category, "", position) if self.allowed(category, "") else 0
        return sum(self._after(category, trait.value, position) for trait in self.allowed_traits(category))

    def _size(self, category: Category) -> int:
        self.pay()
        return 1 if self.lacks(category) else most_of(category)

    def _after(self, category: Category, value: str | None, position: int) -> int:
        self.drawn[category.name] = value
        count = self.below(position + 1)
        del self.drawn[category.name]
        return count


def most_of(category: Category) -> int:
    """Return how many values a category has that can be drawn."""
    return category.range.size if category.range is not None else sum(trait.weight > 0 for trait in category.traits)


def capacity(tree: TraitTree) -> int | None:
    """Return how many different pieces a tree has at most, exactly where they can be counted. None for 2**63 and more."""
    unique = [span.size for category in tree.categories if (span := category.range) and span.unique and category.when is None]
    most = min([_combinations(tree), *unique])
    return most if most <= _COUNTLESS else None


def _combinations(tree: TraitTree) -> int:
    try:
        return _Count(tree).below(0)
    except _TooMuchWork:  # what the rules take away is not known then
        return prod(most_of(category) + (category.when is not None) for category in tree.categories)


def check_supply(tree: TraitTree, *, pieces: int) -> None:
    """Refuse to begin what a tree cannot supply. Raises DrawError."""
    most = capacity(tree)
    if most is not None and most < pieces:
        raise DrawError(
            f"The trait tree has at most {most:,} different pieces, and {pieces:,} are asked for. "
            "Give it more traits or numbers, loosen its rules, or ask for fewer."
        )
