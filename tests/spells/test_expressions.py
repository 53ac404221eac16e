"""What expressions mean: values, types, what is missing, what they read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spells.expressions import ExpressionError, Reference, compile_expression, compile_template, compile_value

NAMESPACE: dict[str, Any] = {
    "inputs": {"theme": "sea", "zero": 0, "no": False, "empty": "", "nothing": None, "list": [3, 1, 2], "half": 0.5},
    "steps": {
        "story": {"title": "The lamp", "scenes": [{"text": "Dawn", "title": "One"}, {"text": "Noon"}]},
        "skipped": None,
        "art": [{"image": {"artifact": "a"}}, {"image": {"artifact": "b"}}],
        "patchy": [{"n": 1}, None, {"n": 3}],
    },
    "item": {"text": "Dusk"},
    "item_index": 2,
}


def value(source: str, namespace: dict[str, Any] = NAMESPACE) -> Any:
    return compile_template(source, path="here").evaluate(namespace)


def refusal(source: str, namespace: dict[str, Any] = NAMESPACE) -> str:
    with pytest.raises(ExpressionError) as caught:
        value(source, namespace)
    assert caught.value.path == "here"
    return caught.value.message


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ inputs.theme }}", "sea"),
        ("{{ inputs['theme'] }}", "sea"),
        ("{{inputs.list}}", [3, 1, 2]),
        ("{{ inputs.half }}", 0.5),
        ("{{ inputs }}", NAMESPACE["inputs"]),
        ("{{ steps.story.scenes[0].text }}", "Dawn"),
        ("{{ steps.story.scenes[-1].text }}", "Noon"),
        ("{{ steps.story.scenes[1:] }}", [{"text": "Noon"}]),
        ("{{ item.text }}", "Dusk"),
        ("{{ item_index }}", 2),
        ("{{ [1, inputs.zero, 'x'] }}", [1, 0, "x"]),
        ("{{ {'a': inputs.list[0], 'b': {'c': none}} }}", {"a": 3, "b": {"c": None}}),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ range(4, 0, -2) }}", [4, 2]),
    ],
)
def test_one_expression_keeps_the_type_of_its_value(source: str, expected: Any) -> None:
    assert value(source) == expected
    assert type(value(source)) is type(expected)


@pytest.mark.parametrize(("name", "expected"), [("zero", 0), ("no", False), ("empty", ""), ("nothing", None)])
def test_falsy_values_stay_what_they_are(name: str, expected: Any) -> None:
    assert value(f"{{{{ inputs.{name} }}}}") is expected or value(f"{{{{ inputs.{name} }}}}") == expected
    assert value(f"{{{{ inputs.{name} | default('other') }}}}") == expected
    assert value(f"{{{{ [inputs.{name}] }}}}") == [expected]
    assert value(f"{{{{ 'other' if inputs.{name} is undefined else inputs.{name} }}}}") == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a {{ inputs.theme }}", "a sea"),
        ("{{ inputs.theme }} ", "sea "),
        ("{{ inputs.zero }}{{ item_index }}", "02"),
        ("is {{ inputs.no }}", "is false"),
        ("{{ inputs.half }} of {{ inputs.list }}", "0.5 of [3,1,2]"),
        ("<{{ item }}>", '<{"text":"Dusk"}>'),
        ("{{ '{{' }} and {{ '}}' }}", "{{ and }}"),
        ("a  {{- inputs.theme -}}  b", "aseab"),
        ("{{ inputs.theme ~ inputs.zero ~ true }}", "sea0true"),
        ("<b>{{ '<i>' }}</b>", "<b><i></b>"),
    ],
)
def test_mixed_text_interpolates(source: str, expected: str) -> None:
    assert value(source) == expected


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200).filter(lambda text: "{" not in text))
def test_text_without_an_expression_stands_for_itself(text: str) -> None:
    template = compile_template(text, path="here")
    assert template.is_literal
    assert template.evaluate({}) == text


def test_braces_that_begin_no_expression_are_text() -> None:
    assert value('{"a": {"b": 1}}') == '{"a": {"b": 1}}'


def test_null_in_a_text_is_refused_with_the_mend() -> None:
    assert (
        refusal("a {{ inputs.nothing }}") == "inputs.nothing is null, which has no text; write {{ inputs.nothing or '' }} if that is meant"
    )
    assert value("a {{ inputs.nothing or '' }}") == "a "
    assert "inputs.nothing is null" in refusal("{{ 'a' ~ inputs.nothing }}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ steps.story.scenez }}", "steps.story has no 'scenez'; it has: title, scenes"),
        ("{{ inputs.colour }}", "inputs has no 'colour'; it has: theme, zero, no, empty, nothing, list, half"),
        ("{{ steps.story.scenes[7] }}", "steps.story.scenes has 2 items, so there is no steps.story.scenes[7]"),
        (
            "{{ steps.art.image }}",
            "steps.art is a list, which has no 'image'; its items may: steps.art[0].image, or steps.art | map(attribute='image')",
        ),
        ("{{ inputs.theme.x }}", "inputs.theme is text, which has no 'x'"),
        ("{{ inputs.zero.x }}", "inputs.zero is a number, which has no 'x'"),
        ("{{ inputs.no[0] }}", "inputs.no is true or false, which has no items"),
        ("{{ inputs.nothing.x }}", "inputs.nothing is null, so there is no inputs.nothing.x"),
        ("{{ steps.other }}", "steps has no 'other'; it has: story, skipped, art, patchy"),
        ("{{ [] | first }}", "first of an empty list does not exist"),
        (
            "{{ inputs.list['a'] }}",
            "inputs.list is a list, which has no 'a'; its items may: inputs.list[0].a, or inputs.list | map(attribute='a')",
        ),
    ],
)
def test_what_is_missing_is_named_with_what_there_is(source: str, message: str) -> None:
    assert refusal(source) == message


def test_item_outside_of_for_each_is_explained() -> None:
    assert refusal("{{ item.text }}", {"inputs": {}, "steps": {}}) == "there is no item here; it exists only under for_each"


def test_a_skipped_step_is_named_as_such() -> None:
    message = refusal("{{ steps.skipped.image }}")
    assert message.startswith("step 'skipped' was skipped, or failed and the cast went on, so there is no steps.skipped.image")
    assert "{{ steps.skipped.image if steps.skipped else … }}" in message


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ steps.skipped.image if steps.skipped else 'none' }}", "none"),
        ("{{ steps.skipped.image | default('none') }}", "none"),
        ("{{ steps.skipped.a.b[3].c | default('none') }}", "none"),
        ("{{ steps.skipped | default({}) }}", {}),
        ("{{ steps.skipped }}", None),
        ("{{ steps.skipped is none }}", True),
        ("{{ steps.skipped.image is defined }}", False),
        ("{{ steps.story.title if steps.story is not none else '' }}", "The lamp"),
    ],
)
def test_a_skipped_step_can_be_stood_in_for(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ inputs.colour | default('blue') }}", "blue"),
        ("{{ inputs.colour | d }}", ""),
        ("{{ inputs.a.b.c | default(1) }}", 1),
        ("{{ steps.story.scenes[9].text | default(inputs.theme) }}", "sea"),
        ("{{ steps.story.scenes[1].title | default('untitled') }}", "untitled"),
        ("{{ steps.story.scenes[item_index].title | default('untitled') }}", "untitled"),
        ("{{ ([] | first).text | default('nobody') }}", "nobody"),
        ("{{ [] | max | default(0) }}", 0),
        ("{{ inputs.empty | default('full', true) }}", "full"),
        ("{{ inputs.colour is defined }}", False),
        ("{{ inputs.colour is undefined }}", True),
        ("{{ inputs.zero is defined }}", True),
    ],
)
def test_default_stands_in_for_what_is_missing(source: str, expected: Any) -> None:
    assert value(source) == expected


def test_default_hides_no_other_mistake() -> None:
    assert "inputs has no 'colour'" in refusal("{{ (inputs.colour ~ 'x') | default('blue') }}")
    assert "inputs has no 'index'" in refusal("{{ inputs.list[inputs.index] | default(1) }}")
    assert "inputs has no 'tone'" in refusal("{{ inputs.colour | default(inputs.tone) }}")
    assert "is text" in refusal("{{ inputs.theme.x | default('y') }}")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ 1 + 2 * 3 - 4 / 2 }}", 5.0),
        ("{{ 7 // 2 }}", 3),
        ("{{ 7 % 4 }}", 3),
        ("{{ 2 ** 10 }}", 1024),
        ("{{ 2 ** -1 }}", 0.5),
        ("{{ -inputs.half }}", -0.5),
        ("{{ +3 }}", 3),
        ("{{ 'ab' + 'c' }}", "abc"),
        ("{{ [1] + [2] }}", [1, 2]),
        ("{{ 'ab' * 2 }}", "abab"),
        ("{{ 2 * [0] }}", [0, 0]),
        ("{{ 'ab' * -1 }}", ""),
        ("{{ 1 < 2 <= 2 }}", True),
        ("{{ 1 < 2 > 5 }}", False),
        ("{{ 'b' > 'a' }}", True),
        ("{{ 1 == 1.0 }}", True),
        ("{{ 1 == true }}", False),
        ("{{ true in [1] }}", False),
        ("{{ [1, 2] == [1, 2] }}", True),
        ("{{ 'e' in inputs.theme }}", True),
        ("{{ 3 not in inputs.list }}", False),
        ("{{ 'theme' in inputs }}", True),
        ("{{ 0 in inputs }}", False),
        ("{{ inputs.empty or inputs.theme }}", "sea"),
        ("{{ inputs.zero and 1 }}", 0),
        ("{{ not inputs.empty }}", True),
        ("{{ 'a' if inputs.list else 'b' }}", "a"),
        ("{{ inputs.theme[1] }}", "e"),
        ("{{ inputs.theme[::-1] }}", "aes"),
    ],
)
def test_operators(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ 'a' + 1 }}", "text + a number is not possible; join texts with ~"),
        ("{{ true + 1 }}", "true or false + a number is not possible"),
        ("{{ [1] - [2] }}", "a list - a list is not possible"),
        ("{{ 1 < 'a' }}", "a number < text is not possible: only two numbers or two texts have an order"),
        ("{{ none > 1 }}", "null > a number is not possible: only two numbers or two texts have an order"),
        ("{{ 1 in 'a1' }}", "a number in text is not possible"),
        ("{{ 1 in 2 }}", "a number contains nothing; `in` needs a list, an object or a text"),
        ("{{ -'a' }}", "- text is not possible"),
        ("{{ +none }}", "+ null is not possible"),
        ("{{ 1 / 0 }}", "division by zero: 1 / 0"),
        ("{{ 1 % 0 }}", "division by zero: 1 % 0"),
        ("{{ (-8) ** 0.5 }}", "the result is no real number"),
        ("{{ 1e308 * 10 }}", "the result is not a finite number"),
        ("{{ 10.0 ** 400 }}", "the result is too large a number"),
        ("{{ inputs.list[true] }}", "true or false is neither a name nor an index"),
        ("{{ inputs.list[1:'a'] }}", "[start:stop:step] needs whole numbers, and a step other than 0"),
        ("{{ inputs.list[::0] }}", "[start:stop:step] needs whole numbers, and a step other than 0"),
        ("{{ inputs[1:] }}", "an object cannot be cut: [start:stop] is for lists and texts"),
        ("{{ {1: 2} }}", "the names of an object are text, not a number"),
        ("{{ range('a') }}", "range needs whole numbers"),
        ("{{ range(1, 5, 0) }}", "range cannot count so: range() arg 3 must not be zero"),
    ],
)
def test_operators_refuse_values_of_other_kinds(source: str, message: str) -> None:
    assert refusal(source) == message


def ways(source: str) -> set[str]:
    return {str(reference) for reference in compile_template(source, path="here").references}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain", set()),
        ("{{ 1 + 1 }}", set()),
        ("{{ inputs.theme }} and {{ item_index }}", {"inputs.theme", "item_index"}),
        ("{{ steps.story.scenes[0].text | upper }}", {"steps.story.scenes[0].text"}),
        ("{{ steps['story']['title'] }}", {"steps.story.title"}),
        ("{{ steps.art | map(attribute='image.artifact') | list }}", {"steps.art", "steps.art[…].image.artifact"}),
        ("{{ steps.art | select | map(attribute='image') }}", {"steps.art", "steps.art[…].image"}),
        ("{{ (steps.story.scenes | first).text }}", {"steps.story.scenes[…].text"}),
        ("{{ steps.story.scenes[item_index].text }}", {"steps.story.scenes[…].text", "item_index"}),
        ("{{ steps.story.scenes[1:][0].text }}", {"steps.story.scenes[0].text"}),
        (
            "{{ inputs.list[inputs.zero] if inputs.no else inputs['theme'] }}",
            {"inputs.list[…]", "inputs.zero", "inputs.no", "inputs.theme"},
        ),
        ("{{ {'a': [steps.a.x, {'b': steps.b.y}]} }}", {"steps.a.x", "steps.b.y"}),
        ("{{ inputs.x | default(steps.c.z) }}", {"inputs.x", "steps.c.z"}),
        ("{{ range(inputs.n) }}", {"inputs.n"}),
        ("{{ inputs.a is divisibleby inputs.b }}", {"inputs.a", "inputs.b"}),
    ],
)
def test_references_are_found_without_evaluating(source: str, expected: set[str]) -> None:
    assert ways(source) == expected


def test_references_carry_their_path() -> None:
    template = compile_template("{{ steps.art[0].image }}{{ steps.art | map(attribute='n') }}", path="here")
    assert Reference("steps", ("art", 0, "image")) in template.references
    assert Reference("steps", ("art", ..., "n")) in template.references


@pytest.mark.parametrize(
    "source", ["{{ steps }}", "{{ steps | length }}", "{{ steps[inputs.theme] }}", "{{ steps[0] }}", "{{ 'a' in steps }}"]
)
def test_steps_must_be_named(source: str) -> None:
    assert refusal(source).startswith("a step must be named: steps.KEY")


def test_values_are_compiled_at_any_depth_and_named_by_their_place() -> None:
    tree = compile_value({"a": ["{{ inputs.theme }}", {"b": "x{{ steps.s.t }}"}], "c": 1, "d": "plain"}, path="steps.art.params")
    assert {str(reference) for reference in tree.references} == {"inputs.theme", "steps.s.t"}
    assert [template.path for template in tree.templates()] == ["steps.art.params.a[0]", "steps.art.params.a[1].b"]
    result = tree.evaluate({"inputs": {"theme": "sea"}, "steps": {"s": {"t": 5}}})
    assert result == {"a": ["sea", {"b": "x5"}], "c": 1, "d": "plain"}
    with pytest.raises(ExpressionError, match=r"steps\.art\.params\.a\[1\]\.b: steps has no 's'; it has: nothing"):
        tree.evaluate({"inputs": {"theme": "sea"}, "steps": {}})


def test_expressions_stand_in_values_not_in_names() -> None:
    with pytest.raises(ExpressionError, match=r"params\['{{ x }}'\]: expressions stand in values, not in names"):
        compile_value({"{{ x }}": 1}, path="params")


def test_a_lone_expression_may_have_white_space_around_it() -> None:
    assert compile_expression(" {{ range(2) }}\n", path="here").evaluate({}) == [0, 1]
    for source in ("plain", "{{ 1 }}{{ 2 }}", "x {{ 1 }}", ""):
        with pytest.raises(ExpressionError, match="must be one expression"):
            compile_expression(source, path="here")


def test_other_roots_can_be_named() -> None:
    assert compile_template("{{ hero.name }}", path="here", names={"hero"}).evaluate({"hero": {"name": "Mara"}}) == "Mara"
    with pytest.raises(ExpressionError, match="there is no 'inputs' here; known: hero"):
        compile_template("{{ inputs.theme }}", path="here", names={"hero"})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_value_passes_through_unchanged(given_value: Any) -> None:
    result = compile_template("{{ inputs.x }}", path="here").evaluate({"inputs": {"x": given_value}})
    assert result is given_value
