"""Trait trees: what the pieces of a collection are drawn from, as data that was checked.

docs/cooks-drawing.md describes the document and how pieces are drawn from it.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from casts.cooks.rules import Condition, Exclude, OneOf, Require, Rule
from casts.cooks.tree_schema import MAX_TRAITS, MAX_TRAITS_IN_ALL, MAX_TREE_BYTES, TREE_SCHEMA
from spells.problems import MAX_PROBLEMS, Problem, ProblemsError, join_path, shown, suggestion
from spells.schemas import check, check_json

WEIGHT_UNIT = 1_000_000  # weights are counted in millionths

# They would end a placeholder, an expression or a text in one.
_FORBIDDEN_IN_NAMES = frozenset("[]{}'\"\\")


class TraitTreeError(ProblemsError):
    """A document that cannot be read as a trait tree."""


@dataclass(frozen=True, slots=True)
class Trait:
    """One value of a category. `prompt` is what models are told of it; `weight` is its rarity, in millionths."""

    value: str
    prompt: str
    weight: int


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `start` to `end`, both included, as texts of at least `zero_pad` digits.

    When `unique`, no two pieces of a cook have the same: in order, or shuffled by `shuffle_seed`.
    """

    start: int
    end: int
    step: int = 1
    zero_pad: int = 0
    unique: bool = False
    shuffle_seed: int | None = None

    @property
    def size(self) -> int:
        """Count its numbers."""
        return (self.end - self.start) // self.step + 1

    def value(self, position: int) -> str:
        """Return the text of a number by its position from 0."""
        return f"{self.start + position * self.step:0{self.zero_pad}d}"


@dataclass(frozen=True, slots=True)
class Category:
    """One thing that pieces differ in: either `traits` to choose from, or a `range`. Pieces have it `when` that holds, or always."""

    name: str
    traits: tuple[Trait, ...] = ()
    range: Range | None = None
    when: Condition | None = None


@dataclass(frozen=True)
class TraitTree:
    """Categories in the order in which they are drawn, and the rules that all pieces keep."""

    categories: tuple[Category, ...]
    rules: tuple[Rule, ...] = ()

    @cached_property
    def rules_of(self) -> Mapping[str, tuple[Rule, ...]]:
        """Return the rules that look at each category, by its name."""
        found: dict[str, list[Rule]] = {category.name: [] for category in self.categories}
        for rule in self.rules:
            for name in dict.fromkeys(name for condition in rule.conditions() for name in condition.categories):
                found[name].append(rule)
        return {name: tuple(rules) for name, rules in found.items()}

    @cached_property
    def work_of(self) -> Mapping[str, int]:
        """Return what a look at one value of each category costs: as many parts of rules as may have to be looked at."""
        return {
            name: 1 + sum(len(condition.wanted) for rule in rules for condition in rule.conditions())
            for name, rules in self.rules_of.items()
        }

    @cached_property
    def looked_at(self) -> frozenset[str]:
        """Return the names of the categories that rules and other categories look at."""
        conditions = [condition for rule in self.rules for condition in rule.conditions()]
        conditions += [category.when for category in self.categories if category.when is not None]
        return frozenset(name for condition in conditions for name in condition.categories)


def read_tree(document: object) -> TraitTree:
    """Read a trait tree from JSON data. Texts become NFC, without white space around them.

    Raises TraitTreeError, which names each place that is to be mended, like `categories[2].traits[0].weight`.
    """
    problems = check_json(document, path="", max_bytes=MAX_TREE_BYTES) or check(document, TREE_SCHEMA, path="")
    if problems:
        raise TraitTreeError(problems)
    assert isinstance(document, dict)
    return _Reader().tree(document)


def tree_document(tree: TraitTree) -> dict[str, Any]:
    """Return the JSON data that `read_tree` reads as this tree. Equal trees give equal data."""
    document: dict[str, Any] = {"categories": [_category_data(category) for category in tree.categories]}
    if tree.rules:
        document["rules"] = [rule_data(rule) for rule in tree.rules]
    return document


def normalised(text: str) -> str:
    """Return a name or value as it is kept and compared: NFC, without white space around it."""
    return unicodedata.normalize("NFC", text).strip()


class _Reader:
    """Builds a tree from data of the right form, and gathers what is wrong with what it says."""

    def __init__(self) -> None:
        """Begin without categories."""
        self.problems: list[Problem] = []
        self.categories: dict[str, Category] = {}
        self.traits = 0

    def tree(self, document: Mapping[str, Any]) -> TraitTree:
        for index, data in enumerate(document["categories"]):
            self._add(data, join_path("categories", index))
        rules = [self._rule(data, join_path("rules", index)) for index, data in enumerate(document.get("rules", ()))]
        if self.problems:
            raise TraitTreeError(self.problems[:MAX_PROBLEMS])
        return TraitTree(categories=tuple(self.categories.values()), rules=tuple(rule for rule in rules if rule is not None))

    def _wrong(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def _add(self, data: Mapping[str, Any], path: str) -> None:
        name = self._line(data["name"], join_path(path, "name"))
        self._check_name(name, join_path(path, "name"))
        if ("traits" in data) == ("range" in data):
            self._wrong(path, "has either `traits` to choose from or a `range` of numbers")
            return
        traits = tuple(self._traits(data.get("traits", ()), join_path(path, "traits")))
        numbers = self._range(data["range"], join_path(path, "range")) if "range" in data else None
        when = self._condition(data["when"], join_path(path, "when")) if "when" in data else None
        self.categories.setdefault(name, Category(name=name, traits=traits, range=numbers, when=when))

    def _line(self, text: str, path: str) -> str:
        line = normalised(text)
        if not line:
            self._wrong(path, "has nothing but white space")
        elif any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in line):
            self._wrong(path, "is one line, without control characters")
        return line

    def _check_name(self, name: str, path: str) -> None:
        alike = {_folded(known): known for known in self.categories}
        if _folded(name) in alike:
            self._wrong(path, f"there is a category {shown(alike[_folded(name)])} already")
        if name.startswith("_"):
            self._wrong(path, "does not begin with an underscore: expressions read it by its name")
        if forbidden := sorted(_FORBIDDEN_IN_NAMES.intersection(name)):
            self._wrong(path, f"has no {' '.join(forbidden)} in it: expressions read it by its name")

    def _traits(self, items: list[Mapping[str, Any]], path: str) -> Iterator[Trait]:
        seen: dict[str, str] = {}
        weighty = not items
        for index, data in enumerate(items):
            place = join_path(path, index)
            value = self._line(data["value"], join_path(place, "value"))
            if _folded(value) in seen:
                self._wrong(join_path(place, "value"), f"there is a value {shown(seen[_folded(value)])} already")
            seen.setdefault(_folded(value), value)
            weight = self._weight(data.get("weight", 1), join_path(place, "weight"))
            weighty = weighty or weight > 0
            yield Trait(value=value, prompt=unicodedata.normalize("NFC", data.get("prompt", value)), weight=weight)
        self.traits += len(items)
        if not weighty:
            self._wrong(path, "has no trait with a weight above 0")
        if self.traits > MAX_TRAITS_IN_ALL >= self.traits - len(items):
            self._wrong(path, f"is beyond the {MAX_TRAITS_IN_ALL:,} traits that a tree may have in all")

    def _weight(self, weight: float, path: str) -> int:
        millionths = Decimal(repr(weight)) * WEIGHT_UNIT
        if millionths != int(millionths):
            self._wrong(path, "has more than six decimals")
        return int(millionths)

    def _range(self, data: Mapping[str, Any], path: str) -> Range:
        numbers = Range(
            start=int(data["start"]),  # JSON Schema takes 1.0 for an integer, too
            end=int(data["end"]),
            step=int(data.get("step", 1)),
            zero_pad=int(data.get("zero_pad", 0)),
            unique=data.get("unique", False),
            shuffle_seed=int(data["shuffle_seed"]) if "shuffle_seed" in data else None,
        )
        if numbers.end < numbers.start:
            self._wrong(join_path(path, "end"), f"is below the start, {numbers.start}")
        if numbers.shuffle_seed is not None and not numbers.unique:
            self._wrong(join_path(path, "shuffle_seed"), "is for `unique: true`; others are drawn by the seed of the cook")
        return numbers

    def _rule(self, data: Mapping[str, Any], path: str) -> Rule | None:
        match sorted(data):
            case ["exclude"]:
                return Exclude(self._condition(data["exclude"], join_path(path, "exclude")))
            case ["require", "when"]:
                when = self._condition(data["when"], join_path(path, "when"))
                return Require(when=when, then=self._condition(data["require"], join_path(path, "require")))
            case ["one_of"]:
                choices = enumerate(data["one_of"])
                return OneOf(tuple(self._condition(choice, join_path(path, "one_of", index)) for index, choice in choices))
        self._wrong(path, "is one of `exclude`, `when` with `require`, or `one_of`")
        return None

    def _condition(self, data: Mapping[str, Any], path: str) -> Condition:
        wanted: dict[str, frozenset[str] | None] = {}
        for written, values in data.items():
            place = join_path(path, written)
            category = self.categories.get(normalised(written))
            if category is None:
                self._wrong(place, f"there is no category {shown(written)} before it{suggestion(written, self.categories)}")
            elif category.name in wanted:
                self._wrong(place, f"names {shown(category.name)} twice")
            else:
                wanted[category.name] = self._values(values, category, place)
        return Condition(tuple(sorted(wanted.items())))

    def _values(self, data: Any, category: Category, path: str) -> frozenset[str] | None:
        if data is True:
            return None
        values = [data] if isinstance(data, str) else data
        if not isinstance(values, list) or not values or len(values) > MAX_TRAITS or not all(isinstance(value, str) for value in values):
            self._wrong(path, "is a value, a list of values, or true for any value")
        elif category.range is not None:
            self._wrong(path, "is a range: only true, for any number, can be asked of it")
        else:
            return self._known(values, category, path)
        return frozenset()

    def _known(self, written: list[str], category: Category, path: str) -> frozenset[str]:
        values = frozenset(map(normalised, written))
        known = {trait.value for trait in category.traits}
        for value in sorted(values - known):
            self._wrong(path, f"there is no value {shown(value)} in {shown(category.name)}{suggestion(value, known)}")
        return values


def _folded(text: str) -> str:
    """Return what two texts share that people would take for the same."""
    return unicodedata.normalize("NFKC", text).casefold()


def _category_data(category: Category) -> dict[str, Any]:
    data: dict[str, Any] = {"name": category.name}
    if category.range is not None:
        data["range"] = _range_data(category.range)
    else:
        data["traits"] = [_trait_data(trait) for trait in category.traits]
    if category.when is not None:
        data["when"] = condition_data(category.when)
    return data


def _range_data(numbers: Range) -> dict[str, Any]:
    data = {"start": numbers.start, "end": numbers.end, "step": numbers.step, "zero_pad": numbers.zero_pad, "unique": numbers.unique}
    return data if numbers.shuffle_seed is None else {**data, "shuffle_seed": numbers.shuffle_seed}


def _trait_data(trait: Trait) -> dict[str, Any]:
    data: dict[str, Any] = {"value": trait.value, "weight": _weight_number(trait.weight)}
    return data if trait.prompt == trait.value else {**data, "prompt": trait.prompt}


def _weight_number(weight: int) -> int | float:
    """Return a weight in millionths as it is written: an integer where it is one."""
    whole, rest = divmod(weight, WEIGHT_UNIT)
    return float(Decimal(weight) / WEIGHT_UNIT) if rest else whole


def condition_data(condition: Condition) -> dict[str, Any]:
    """Return a condition as JSON data."""
    return {name: True if values is None else sorted(values) for name, values in condition.wanted}


def rule_data(rule: Rule) -> dict[str, Any]:
    """Return a rule as JSON data."""
    match rule:
        case Exclude():
            return {"exclude": condition_data(rule.together)}
        case Require():
            return {"when": condition_data(rule.when), "require": condition_data(rule.then)}
        case OneOf():
            return {"one_of": [condition_data(choice) for choice in rule.choices]}
