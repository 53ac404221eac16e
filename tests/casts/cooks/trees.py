"""Trait trees for tests, by hand and by hypothesis."""

import unicodedata
from typing import Any

from hypothesis import strategies as st

from casts.cooks.traits import TraitTree, read_tree

# Of a sailor's portrait: a condition, each kind of rule, weights with decimals, numbers that are unique and shuffled.
SAILORS: dict[str, Any] = {
    "categories": [
        {"name": "Sea", "traits": [{"value": "Calm", "prompt": "a calm sea", "weight": 70}, {"value": "Storm", "weight": 30}]},
        {"name": "Rank", "traits": [{"value": "Captain", "weight": 1.5}, {"value": "Mate", "weight": 3}, {"value": "Boy", "weight": 5.5}]},
        {"name": "Hat", "traits": [{"value": "None", "prompt": ""}, {"value": "Tricorne"}, {"value": "Sou'wester"}]},
        {"name": "Eye patch", "when": {"Rank": ["Captain", "Mate"]}, "traits": [{"value": "Left"}, {"value": "Right"}]},
        {"name": "Number", "range": {"start": 1, "end": 500, "zero_pad": 4, "unique": True, "shuffle_seed": 7}},
    ],
    "rules": [
        {"exclude": {"Sea": "Storm", "Hat": "None"}},
        {"when": {"Rank": "Captain"}, "require": {"Hat": "Tricorne"}},
        {"one_of": [{"Hat": ["Tricorne", "None"]}, {"Hat": "Sou'wester"}]},
    ],
}


def sailors() -> TraitTree:
    return read_tree(SAILORS)


def tree_of(*categories: dict[str, Any], rules: list[dict[str, Any]] | None = None) -> TraitTree:
    return read_tree({"categories": list(categories), "rules": rules or []})


def category(name: str, *values: str, **weights: float) -> dict[str, Any]:
    """Return a category with these values of equal weight, or with these weights."""
    return {"name": name, "traits": [{"value": value} for value in values] + [{"value": key, "weight": at} for key, at in weights.items()]}


_texts = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="[]{}'\"\\_"), min_size=1, max_size=8)
_cells = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=12).filter(lambda text: text.strip())
_prompts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_weights = st.one_of(st.integers(1, 1000), st.integers(1, 10**9).map(lambda millionths: millionths / 10**6))


@st.composite
def conditions(draw: st.DrawFn, categories: list[dict[str, Any]]) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    any_value = st.just(value=True)
    for known in draw(st.lists(st.sampled_from(categories), min_size=1, max_size=3, unique_by=lambda category: category["name"])):
        values = [trait["value"] for trait in known.get("traits", ())]
        some = st.lists(st.sampled_from(values), min_size=1, max_size=3) if values else any_value
        wanted[known["name"]] = draw(st.one_of(some, any_value))
    return wanted


@st.composite
def documents(draw: st.DrawFn, *, most_categories: int = 5, most_rules: int = 4) -> dict[str, Any]:
    """Return documents of trees with any texts, of which rules and conditions may leave little or nothing."""
    categories: list[dict[str, Any]] = []
    for name in draw(st.lists(_texts, min_size=1, max_size=most_categories, unique_by=_alike)):
        category: dict[str, Any] = {"name": name}
        if draw(st.integers(0, 4)):
            values = draw(st.lists(_cells, min_size=1, max_size=4, unique_by=_alike))
            category["traits"] = [{"value": value, "prompt": draw(_prompts), "weight": draw(_weights)} for value in values]
        else:
            start, unique = draw(st.integers(-50, 50)), draw(st.booleans())
            category["range"] = {
                "start": start,
                "end": start + draw(st.integers(20, 90)),
                "step": draw(st.integers(1, 3)),
                "unique": unique,
            }
            if unique and draw(st.booleans()):
                category["range"]["shuffle_seed"] = draw(st.integers(0, 100))
        if categories and not draw(st.integers(0, 2)):
            category["when"] = draw(conditions(categories))
        categories.append(category)
    condition = conditions(categories)
    rule = st.one_of(
        st.fixed_dictionaries({"exclude": condition}),
        st.fixed_dictionaries({"when": condition, "require": condition}),
        st.fixed_dictionaries({"one_of": st.lists(condition, min_size=2, max_size=3)}),
    )
    return {"categories": categories, "rules": draw(st.lists(rule, max_size=most_rules))}


def _alike(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFC", text).strip()).casefold()
