"""Trait trees as documents: what is read, what is refused and where, and that nothing is lost in JSON and CSV."""

import json
import re
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from casts.cooks.interchange import from_csv, from_json, to_csv, to_json
from casts.cooks.placeholders import expression_for, translated
from casts.cooks.rarity import Rarity, rarity_table
from casts.cooks.traits import Trait, TraitTreeError, read_tree, tree_document
from casts.cooks.tree_schema import MAX_CATEGORIES, MAX_RULES, MAX_TRAITS_IN_ALL
from spells.expressions import compile_template

from .trees import SAILORS, category, documents, sailors, tree_of


def problems_of(document: Any) -> list[str]:
    with pytest.raises(TraitTreeError) as caught:
        read_tree(document)
    return [str(problem) for problem in caught.value.problems]


def csv_problems(*lines: str) -> list[str]:
    with pytest.raises(TraitTreeError) as caught:
        from_csv("\n".join(lines))
    return [str(problem) for problem in caught.value.problems]


def test_a_tree_is_read_as_it_is_written() -> None:
    tree = sailors()
    assert [known.name for known in tree.categories] == ["Sea", "Rank", "Hat", "Eye patch", "Number"]
    assert tree.categories[0].traits == (Trait("Calm", "a calm sea", 70_000_000), Trait("Storm", "Storm", 30_000_000))
    assert tree.categories[4].range.value(9) == "0010"
    assert len(tree.rules) == 3


def test_the_same_letters_are_the_same_name_however_they_are_encoded() -> None:
    tree = tree_of(category("Ame\u0301lie", "  e\u0301te\u0301 "), rules=[{"exclude": {"Amélie": "été"}}])
    assert tree.categories[0].name == "Amélie"
    assert tree.categories[0].traits[0].value == "été"


@settings(deadline=None)
@given(documents())
def test_a_tree_comes_back_from_json_and_from_csv(document: dict[str, Any]) -> None:
    tree = read_tree(document)
    assert read_tree(tree_document(tree)) == tree
    assert from_json(to_json(tree)) == tree
    assert from_csv(to_csv(tree)) == tree
    assert from_csv(to_csv(tree).encode("utf-8-sig")) == tree
    assert to_csv(from_csv(to_csv(tree))) == to_csv(tree)


def test_a_tree_of_the_largest_size_is_read_in_a_moment() -> None:
    per = MAX_TRAITS_IN_ALL // MAX_CATEGORIES
    many = [category(f"C{number}", *(f"value {value}" for value in range(per))) for number in range(MAX_CATEGORIES)]
    rules = [{"exclude": {"C0": f"value {number % per}", "C1": "value 1"}} for number in range(MAX_RULES)]
    began = time.process_time()
    tree = read_tree({"categories": many, "rules": rules})
    assert time.process_time() - began < 5
    assert from_json(to_json(tree)) == tree
    assert from_csv(to_csv(tree)) == tree


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "a list is not an object"),
        ({}, "categories: is missing"),
        ({"categories": []}, "categories: has fewer than 1 items"),
        ({"categories": [{"name": "A"}]}, "categories[0]: has either `traits` to choose from or a `range` of numbers"),
        ({"categories": [{"name": " ", "traits": [{"value": "x"}]}]}, "categories[0].name: has nothing but white space"),
        ({"categories": [{"name": "_x", "traits": [{"value": "x"}]}]}, "categories[0].name: does not begin with an underscore"),
        ({"categories": [{"name": "a]", "traits": [{"value": "x"}]}]}, "categories[0].name: has no ] in it"),
        ({"categories": [category("A", "x"), category("a", "x")]}, "categories[1].name: there is a category 'A' already"),
        ({"categories": [category("A", "x", "\uff38")]}, "categories[0].traits[1].value: there is a value 'x' already"),
        ({"categories": [category("A", "x\ny")]}, "categories[0].traits[0].value: is one line"),
        ({"categories": [category("A", "x\0y")]}, "categories[0].traits[0].value: contains a NUL character"),
        ({"categories": [category("A", "\ud800")]}, "categories[0].traits[0].value: contains half of a surrogate pair"),
        ({"categories": [category("A", x=-1)]}, "categories[0].traits[0].weight: -1 is less than 0"),
        ({"categories": [category("A", x=True)]}, "categories[0].traits[0].weight: true is not a number"),
        ({"categories": [category("A", x=float("nan"))]}, "categories[0].traits[0].weight: is not a finite number"),
        ({"categories": [category("A", x=1e-7)]}, "categories[0].traits[0].weight: has more than six decimals"),
        ({"categories": [category("A", x=0)]}, "categories[0].traits: has no trait with a weight above 0"),
        ({"categories": [{"name": "A", "range": {"start": 5, "end": 4}}]}, "categories[0].range.end: is below the start, 5"),
        ({"categories": [{"name": "A", "range": {"start": 1, "end": 4, "step": 0}}]}, "categories[0].range.step: 0 is less than 1"),
        (
            {"categories": [{"name": "A", "range": {"start": 1, "end": 4, "shuffle_seed": 1}}]},
            "categories[0].range.shuffle_seed: is for `unique: true`",
        ),
        (
            {"categories": [{**category("A", "x"), "when": {"B": "y"}}, category("B", "y")]},
            "categories[0].when.B: there is no category 'B' before it",
        ),
        ({"categories": [{**category("A", "x"), "colour": 1}]}, "categories[0].colour: is unknown"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(document: Any, problem: str) -> None:
    assert problems_of(document)[0].startswith(problem)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"exclude": {"Hat": "Tricorn"}}, "rules[0].exclude.Hat: there is no value 'Tricorn' in 'Hat'; did you mean 'Tricorne'?"),
        ({"exclude": {"Hut": "Tricorne"}}, "rules[0].exclude.Hut: there is no category 'Hut' before it; known: Eye patch"),
        ({"exclude": {"Number": "0001"}}, "rules[0].exclude.Number: is a range: only true"),
        ({"exclude": {"Hat": []}}, "rules[0].exclude.Hat: is a value, a list of values, or true for any value"),
        ({"exclude": {"Hat": False}}, "rules[0].exclude.Hat: is a value, a list of values, or true for any value"),
        ({"exclude": {}}, "rules[0].exclude: has fewer than 1 properties"),
        ({"require": {"Hat": "None"}}, "rules[0]: is one of `exclude`, `when` with `require`, or `one_of`"),
        ({"exclude": {"Hat": "None"}, "when": {"Hat": "None"}}, "rules[0]: is one of"),
        ({"one_of": [{"Hat": "None"}]}, "rules[0].one_of: has fewer than 2 items"),
        ({"exclude": {"Hat": "None", " Hat": "None"}}, "rules[0].exclude[' Hat']: names 'Hat' twice"),
    ],
)
def test_a_rule_that_says_nothing_sensible_is_told_with_its_place(rule: dict[str, Any], problem: str) -> None:
    assert problems_of({**SAILORS, "rules": [rule]})[0].startswith(problem)


def test_no_tree_is_larger_than_its_bounds() -> None:
    full = [category(f"C{number}", *map(str, range(1_000))) for number in range(4)]
    assert problems_of({"categories": full}) == [
        f"categories[3].traits: is beyond the {MAX_TRAITS_IN_ALL:,} traits that a tree may have in all"
    ]
    assert problems_of({"categories": [category("A", *map(str, range(1_001)))]}) == ["categories[0].traits: has more than 1000 items"]
    assert problems_of({"categories": [{"name": "A", "traits": [{"value": "x", "prompt": "p" * 300_000}]}]}) == [
        ": is larger than the 262,144 bytes that are allowed".removeprefix(": ")
    ]


def test_csv_as_people_write_it() -> None:
    tree = from_csv(
        "Category,Value,Weight,Prompt,Silent,Start,End,Unique,When\n"
        "Sea,Calm,2.5,a calm sea\n"
        "Sea,Storm,1\n"
        "\n"
        'Hat,None,,,yes,,,,"{""Sea"": ""Calm""}"\n'
        "Hat,Cap\n"
        "No,,,,,1,9,yes\n"
    )
    assert [trait.prompt for trait in tree.categories[0].traits] == ["a calm sea", "Storm"]
    assert [trait.prompt for trait in tree.categories[1].traits] == ["", "Cap"]
    assert tree.categories[1].when.holds({"Sea": "Storm"}) is False
    assert tree.categories[2].range.unique


def test_no_cell_is_a_formula_to_a_spreadsheet() -> None:
    tree = tree_of(category("=cmd()", "+1", "-1", "@x", "'=1", "'plain", "plain"))
    cells = [cell for line in to_csv(tree).splitlines()[1:] for cell in line.split(",")]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert from_csv(to_csv(tree)) == tree


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([""], "line 1: names the columns; `category` is missing"),
        (["category,colour"], "line 1: 'colour' is no column"),
        (["category,category"], "line 1: has the column 'category' twice"),
        (["category,value", "A,x,y"], "line 2: has more cells than the 2 columns"),
        (["category,value", ",x"], "line 2, category: is missing"),
        (["category,value,weight", "A,x,1", "A,y,often"], "line 3, weight: 'often' is no number, like 12 or 0.5"),
        (["category,value,weight", "A,x,1", "A,y,9999999999"], "line 3, weight: 9999999999 is greater than 1000000000"),
        (["category,value,weight", "A,x,1", "A,,1"], "line 3, value: is missing"),
        (["category,value,silent", "A,x,maybe"], "line 2, silent: 'maybe' is neither yes nor no"),
        (["category,start,end", "A,1,5", "A,6,9"], "line 3, start: is a second range"),
        (["category,start", "A,1"], "line 2, end: is missing"),
        (["category,value,start,end", "A,x,1,5"], "line 2, value: is not for a row of this kind"),
        (["category,value,rule", "A,x,", ",,{"], "line 3, rule: is no JSON object"),
        (["category,value,rule", "A,x,", ',,"{""exclude"":{""A"":""z""}}"'], "line 3, exclude.A: there is no value 'z' in 'A'"),
        (["category,value,when", 'A,x,"{""B"":""z""}"'], "line 2, B: there is no category 'B' before it"),
        (["category,value", 'A,"x'], "line 2: is no CSV"),
        (["category,value", *["A,x"] * 5_001], "line 5002: is beyond the 5,000 rows"),
        (["x" * 1_048_577], "is larger than the 1,048,576 bytes"),
    ],
)
def test_what_is_wrong_in_csv_is_told_with_its_line(lines: list[str], problem: str) -> None:
    assert csv_problems(*lines)[0].startswith(problem)


def test_text_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(TraitTreeError, match="line 2: is not UTF-8"):
        from_csv(b"category,value\nA,\xff")
    with pytest.raises(TraitTreeError, match="is not UTF-8"):
        from_json(b"\xff")
    with pytest.raises(TraitTreeError, match="is no JSON"):
        from_json('{"categories": ')


def test_placeholders_become_expressions() -> None:
    inputs = {"prompt": "A [[Sea]] and [[ Eye patch ]]", "more": [{"deep": "[[Sea]]"}], "count": 3}
    assert translated(inputs, path="inputs", categories=["Sea", "Eye patch"]) == {
        "prompt": "A {{ traits.Sea }} and {{ traits['Eye patch'] }}",
        "more": [{"deep": "{{ traits.Sea }}"}],
        "count": 3,
    }


@pytest.mark.parametrize(
    "text", ["{{ [[1, 2]] }}", "{{ '[[Sea]]' }}", """{{ "}}" ~ '[[Sea]]' }}""", "[Sea]", "[[]]", "a ]] b [[ c", "{{ [[Sea]]"]
)
def test_what_is_no_placeholder_stays_as_it_is(text: str) -> None:
    assert translated(text, path="inputs", categories=["Sea"]) == text


def test_a_placeholder_that_names_no_category_is_told_with_its_place() -> None:
    with pytest.raises(TraitTreeError, match=r"inputs\.prompts\[1\]: \[\['sae'\]\] names no category; known: Sea"):
        translated({"prompts": ["[[Sea]]", "[[sae]]"]}, path="inputs", categories=["Sea"])


@pytest.mark.parametrize("name", ["Sea", "Eye patch", "Größe", "or", "2nd", "a-b", "a | b", "#"])
def test_each_category_can_be_read_by_an_expression(name: str) -> None:
    tree = tree_of(category(name, "x"))
    template = compile_template(expression_for(tree.categories[0].name), path="", names={"traits"})
    assert template.evaluate({"traits": {name: "here"}}) == "here"


@pytest.mark.parametrize("text", ["[[" * 30_000, "{{" * 30_000, "{{'" * 20_000, "[[a" * 20_000, "\\" * 60_000])
def test_hostile_texts_are_translated_in_a_moment(text: str) -> None:
    began = time.process_time()
    assert translated(text, path="inputs", categories=["Sea"]) == text
    assert time.process_time() - began < 2


def test_rarity_is_told_as_asked_and_as_drawn() -> None:
    tree = tree_of(
        category("Sea", Calm=3, Storm=1),
        {**category("Hat", "Cap"), "when": {"Sea": "Calm"}},
        {"name": "No", "range": {"start": 1, "end": 9}},
    )
    pieces = [{"Sea": "Calm", "Hat": "Cap", "No": "1"}, {"Sea": "Storm", "No": "2"}, {"Sea": "Fog"}]
    assert rarity_table(tree, pieces) == [
        Rarity("Sea", "Calm", Fraction(3, 4), 1, 3),
        Rarity("Sea", "Storm", Fraction(1, 4), 1, 3),
        Rarity("Sea", "Fog", None, 1, 3),
        Rarity("Hat", "Cap", Fraction(1), 1, 1),
    ]
    assert rarity_table(tree, [])[0].share is None


def test_json_has_the_names_as_they_are_read() -> None:
    assert json.loads(to_json(sailors()))["categories"][3]["when"] == {"Rank": ["Captain", "Mate"]}


def test_the_trees_in_the_docs_are_read() -> None:
    page = Path("docs/cooks-drawing.md").read_text()
    (as_json,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (as_csv,) = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    assert len(from_json(as_json).categories) == 5
    assert [known.name for known in from_csv(as_csv).categories] == ["Sea", "Hat", "Number"]
