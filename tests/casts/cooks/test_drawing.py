"""Drawing: the same for ever, as rare as was asked, within the rules, and as many as there are."""

import hashlib
import json
from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casts.cooks.drawing import DrawError, capacity, check_supply, draw, draw_distinct, trait_hash
from casts.cooks.numbers import Numbers, shuffled
from casts.cooks.traits import TraitTree, read_tree

from .trees import category, documents, sailors, tree_of

# Never to be changed: collections that were drawn are these.
GOLDEN_TRAITS = {"Sea": "Storm", "Rank": "Boy", "Hat": "Tricorne", "Number": "0021"}
GOLDEN_HASHES = ["8eb48bae3e9c", "4cb1713a8dcc", "6cbcc481e282", "3134b4838e7f"]
GOLDEN_OF_50 = "777de96269c38c99b02339396eba521829219689b94d4b7f6261724b652ae290"
GOLDEN_REDRAWN = "0feca3df1372"
GOLDEN_ORDER = [4, 8, 1, 2, 3, 0, 6, 9, 7, 5]


def test_the_numbers_of_a_key_are_those_that_the_docs_say() -> None:
    key = hashlib.sha256(b"grimoire draw 1\n42\n7\n0\nHat").digest()
    block = hashlib.sha256(key + bytes(8)).digest()
    first, second = int.from_bytes(block[:8], "big"), int.from_bytes(block[8:16], "big")
    numbers = Numbers("grimoire draw 1", 42, 7, 0, "Hat")
    assert [numbers.below(2**64), numbers.below(1000)] == [first, second % 1000]


def test_pieces_are_drawn_as_the_docs_say() -> None:
    weights = {"a": 3, "b": 0.5, "c": 1}
    tree = tree_of(category("Hat", **weights))
    for index in range(50):
        key = hashlib.sha256(f"grimoire draw 1\n5\n{index}\n2\nHat".encode()).digest()
        left = int.from_bytes(hashlib.sha256(key + bytes(8)).digest()[:8], "big") % 4_500_000  # the first number is nearly always usable
        hat = "a" if left < 3_000_000 else "b" if left < 3_500_000 else "c"
        assert draw(tree, seed=5, index=index, redraw=2).traits == {"Hat": hat}


def test_a_number_that_would_favour_the_low_ones_is_passed_over() -> None:
    bound = 2**63 + 1  # nearly half of all numbers are beyond its last multiple
    every = Numbers("key")
    usable = [number for number in (every.below(2**64) for _ in range(40)) if number < bound]
    numbers = Numbers("key")
    assert [numbers.below(bound) for _ in range(len(usable))] == usable


def test_pieces_are_the_same_for_ever() -> None:
    tree = sailors()
    drawn = [draw(tree, seed=2026, index=index) for index in range(50)]
    assert drawn[0].traits == GOLDEN_TRAITS
    assert [piece.hash[:12] for piece in drawn[:4]] == GOLDEN_HASHES
    assert hashlib.sha256("".join(piece.hash for piece in drawn).encode()).hexdigest() == GOLDEN_OF_50
    assert draw(tree, seed=2026, index=0, redraw=1).hash[:12] == GOLDEN_REDRAWN
    assert [shuffled(position, size=10, key="a key") for position in range(10)] == GOLDEN_ORDER


def test_the_hash_is_that_of_the_canonical_json() -> None:
    assert trait_hash({"b": "é", "a": "1"}) == hashlib.sha256('{"a":"1","b":"é"}'.encode()).hexdigest()
    assert trait_hash({"b": "é", "a": "1"}) == trait_hash({"a": "1", "b": "é"})


def test_prompts_are_of_all_categories_and_traits_of_those_that_the_piece_has() -> None:
    tree = sailors()
    pieces = [draw(tree, seed=1, index=index) for index in range(60)]
    assert all(list(piece.prompts) == ["Sea", "Rank", "Hat", "Eye patch", "Number"] for piece in pieces)
    boy = next(piece for piece in pieces if piece.traits["Rank"] == "Boy")
    mate = next(piece for piece in pieces if piece.traits["Rank"] == "Mate")
    assert "Eye patch" not in boy.traits
    assert boy.prompts["Eye patch"] == ""
    assert mate.prompts["Eye patch"] == mate.traits["Eye patch"]
    assert {piece.prompts["Sea"] for piece in pieces if piece.traits["Sea"] == "Calm"} == {"a calm sea"}


@settings(deadline=None)
@given(documents(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 30))
def test_what_is_drawn_keeps_all_rules_and_conditions(document: dict[str, object], seed: int, index: int) -> None:
    tree = read_tree(document)
    try:
        piece = draw(tree, seed=seed, index=index)
    except DrawError:
        return
    whole = {known.name: piece.traits.get(known.name) for known in tree.categories}
    assert not [rule for rule in tree.rules if rule.broken(whole)]
    for known in tree.categories:
        assert (known.name in piece.traits) == (known.when is None or known.when.holds(whole))
    assert draw(read_tree(json.loads(json.dumps(document))), seed=seed, index=index) == piece


@settings(deadline=None)
@given(documents(most_categories=3, most_rules=3))
def test_a_tree_supplies_exactly_what_it_is_said_to_have(document: dict[str, object]) -> None:
    tree = read_tree(document)
    most = capacity(tree)
    numbered = any(known.range is not None for known in tree.categories)
    if most is None or most > 60 or numbered:
        return
    found: set[str] = set()
    for index in range(most):
        found.add(draw_distinct(tree, seed=3, index=index, taken=found).hash)
    assert len(found) == most
    with pytest.raises(DrawError, match="leave no piece"):
        draw_distinct(tree, seed=3, index=most, taken=found)


def test_each_value_is_drawn_as_often_as_its_weight_says() -> None:
    tree = tree_of({"name": "Hat", "traits": [{"value": str(at), "weight": at} for at in (0, 0.5, 1, 8.5, 90)]}, category("Sea", "a", "b"))
    count = 6_000
    pieces = [draw(tree, seed=11, index=index).traits for index in range(count)]
    for value, share in {"0": 0.0, "0.5": 0.005, "1": 0.01, "8.5": 0.085, "90": 0.9}.items():
        drawn = sum(piece["Hat"] == value for piece in pieces)
        assert abs(drawn - count * share) <= 4 * sqrt(count * share * (1 - share))
    both = sum(piece == {"Hat": "90", "Sea": "a"} for piece in pieces)
    assert abs(both - count * 0.45) <= 4 * sqrt(count * 0.45 * 0.55), "one category says nothing of another"


def test_an_earlier_category_keeps_its_rarity_and_the_rules_take_from_the_later_one() -> None:
    rules = [{"exclude": {"Sea": "Storm", "Hat": "Straw"}}]
    tree = tree_of(category("Sea", Calm=1, Storm=1), category("Hat", Straw=9, Cap=1), rules=rules)
    pieces = [draw(tree, seed=5, index=index).traits for index in range(2_000)]
    storms = [piece for piece in pieces if piece["Sea"] == "Storm"]
    assert abs(len(storms) - 1_000) <= 4 * sqrt(500)
    assert {piece["Hat"] for piece in storms} == {"Cap"}


def test_a_dead_end_is_left_by_taking_the_last_choice_back() -> None:
    rules = [{"when": {"A": "1"}, "require": {"C": "x"}}, {"when": {"B": "1"}, "require": {"C": "y"}}]
    tree = tree_of(category("A", "1", "2"), category("B", "1", "2"), category("C", "x", "y"), rules=rules)
    pieces = {tuple(draw(tree, seed=1, index=index).traits.values()) for index in range(300)}
    assert ("1", "1", "x") not in pieces
    assert pieces == {("1", "2", "x"), ("2", "1", "y"), ("2", "2", "x"), ("2", "2", "y")}
    assert capacity(tree) == 4


@settings(deadline=None)
@given(st.integers(1, 600), st.integers(0, 2**63 - 1))
def test_a_shuffle_gives_each_position_once(size: int, seed: int) -> None:
    assert sorted(shuffled(position, size=size, key=str(seed)) for position in range(size)) == list(range(size))


def test_unique_numbers_follow_the_index_whatever_is_redrawn() -> None:
    tree = tree_of(category("Hat", "a", "b"), {"name": "No", "range": {"start": 10, "end": 30, "step": 10, "unique": True}})
    assert [draw(tree, seed=9, index=index, redraw=index).traits["No"] for index in range(3)] == ["10", "20", "30"]
    with pytest.raises(DrawError, match="No has 3 numbers, and piece 3 would need another one"):
        draw(tree, seed=9, index=3)
    assert capacity(tree) == 3


def test_shuffled_numbers_do_not_depend_on_the_seed_of_the_cook() -> None:
    span = {"start": 1, "end": 100, "zero_pad": 3, "unique": True, "shuffle_seed": 4}
    tree = tree_of(category("Hat", "a", "b"), {"name": "No", "range": span})
    numbers = [draw(tree, seed=index, index=index).traits["No"] for index in range(100)]
    assert sorted(numbers) == [f"{number:03d}" for number in range(1, 101)]
    assert numbers != sorted(numbers)


def test_numbers_that_need_not_be_unique_are_drawn_like_values() -> None:
    tree = tree_of({"name": "Age", "range": {"start": -1, "end": 2}})
    ages = [draw(tree, seed=1, index=index).traits["Age"] for index in range(400)]
    assert all(ages.count(age) > 60 for age in ("-1", "0", "1", "2"))


def test_a_conditional_range_that_is_used_up_leaves_pieces_without_it() -> None:
    tree = tree_of(
        category("Kind", "plain", "numbered"), {"name": "No", "when": {"Kind": "numbered"}, "range": {"start": 1, "end": 5, "unique": True}}
    )
    kinds = {draw(tree, seed=1, index=index).traits["Kind"] for index in range(5, 60)}
    assert kinds == {"plain"}
    assert capacity(tree) == 6


def test_rules_that_contradict_each_other_leave_nothing() -> None:
    rules: list[dict[str, Any]] = [{"when": {"A": True}, "require": {"B": "x"}}, {"exclude": {"B": "x"}}]
    tree = tree_of(category("A", "1", "2"), category("B", "x", "y"), rules=rules)
    assert capacity(tree) == 0
    with pytest.raises(DrawError, match="leave no piece"):
        draw(tree, seed=1, index=0)


def test_a_tree_that_hides_its_last_pieces_ends_the_search_soon() -> None:
    few = [category(f"C{number}", *(str(value) for value in range(8))) for number in range(20)]
    rules: list[dict[str, Any]] = [{"one_of": [{"C0": True, "C19": True}] * 2}]  # always both, never one of them
    with pytest.raises(DrawError, match="so few pieces"):
        draw(tree_of(*few, rules=rules), seed=1, index=0)


def test_more_than_there_is_is_refused_before_it_begins() -> None:
    tree = tree_of(category("A", "1", "2", "3"), category("B", "x", "y"))
    check_supply(tree, pieces=6)
    with pytest.raises(DrawError, match="at most 6 different pieces, and 7 are asked for"):
        check_supply(tree, pieces=7)
    huge = tree_of(*(category(f"C{number}", *(str(value) for value in range(20))) for number in range(20)))
    assert capacity(huge) is None
    check_supply(huge, pieces=10**9)


def test_another_category_changes_nothing_of_the_others() -> None:
    before = tree_of(category("Hat", "a", "b", "c"), category("Sea", "x", "y"))
    after = tree_of(category("Sea", "x", "y"), category("Ship", "p", "q"), category("Hat", "a", "b", "c"))
    for index in range(40):
        assert draw(before, seed=1, index=index).traits.items() <= draw(after, seed=1, index=index).traits.items()


def test_the_last_pieces_of_a_lopsided_tree_are_found() -> None:
    tree: TraitTree = tree_of(category("A", common=1_000_000, rare=0.000001), category("B", *(str(value) for value in range(30))))
    found: set[str] = set()
    for index in range(60):
        found.add(draw_distinct(tree, seed=1, index=index, taken=found).hash)
    assert len(found) == 60
