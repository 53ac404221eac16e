"""Rules of a trait tree: which traits may stand together on one piece.

A piece in the making is a mapping of names of categories to values: None for a category that the piece does not have,
no entry for one that is not decided yet. What is not decided breaks no rule.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Drawn = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """Traits that a piece may have: for each named category one of these values, or any where the values are None."""

    wanted: tuple[tuple[str, frozenset[str] | None], ...]

    @property
    def categories(self) -> tuple[str, ...]:
        """Return the names of the categories that it looks at, sorted."""
        return tuple(name for name, _ in self.wanted)

    def holds(self, drawn: Drawn) -> bool | None:
        """Tell whether a piece has all of it; None while what is not decided yet could tell."""
        open_ = False
        for name, values in self.wanted:
            if name not in drawn:
                open_ = True
                continue
            value = drawn[name]
            if value is None or (values is not None and value not in values):
                return False
        return None if open_ else True


@dataclass(frozen=True, slots=True)
class Exclude:
    """No piece has all of this together."""

    together: Condition

    def conditions(self) -> Iterator[Condition]:
        """Yield what it looks at."""
        yield self.together

    def broken(self, drawn: Drawn) -> bool:
        """Tell whether a piece breaks it, whatever is decided yet."""
        return self.together.holds(drawn) is True


@dataclass(frozen=True, slots=True)
class Require:
    """Each piece that has all of `when` has all of `then`."""

    when: Condition
    then: Condition

    def conditions(self) -> Iterator[Condition]:
        """Yield what it looks at."""
        yield self.when
        yield self.then

    def broken(self, drawn: Drawn) -> bool:
        """Tell whether a piece breaks it, whatever is decided yet."""
        return self.then.holds(drawn) is False and self.when.holds(drawn) is True


@dataclass(frozen=True, slots=True)
class OneOf:
    """Each piece has exactly one of these."""

    choices: tuple[Condition, ...]

    def conditions(self) -> Iterator[Condition]:
        """Yield what it looks at."""
        yield from self.choices

    def broken(self, drawn: Drawn) -> bool:
        """Tell whether a piece breaks it, whatever is decided yet."""
        held = [choice.holds(drawn) for choice in self.choices]
        return held.count(True) > 1 or held.count(False) == len(held)


Rule = Exclude | Require | OneOf
