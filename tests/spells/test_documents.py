"""Documents as text: what is read, what is refused and where, and that nothing is lost on the way."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spells.documents import (
    Document,
    DocumentError,
    Format,
    StepDocument,
    dump,
    from_data,
    input_schema_of,
    inputs_of,
    parse,
    to_data,
    yaml_text,
)
from spells.schemas import check_json

STORY = """
slug: illustrated-story
inputs:
  theme: {type: string, default: "a lighthouse keeper"}
steps:
  - key: story
    tool: text.scenes
    params: {theme: "{{ inputs.theme }}", count: 3}
  - key: art
    tool: image.paint
    for_each: "{{ steps.story.scenes }}"
    params: {prompt: "{{ item.text }}", seed: "{{ item_index }}"}
  - key: sheet
    tool: image.contact_sheet
    params: {images: "{{ steps.art | map(attribute='image') | list }}"}
outputs:
  sheet: "{{ steps.sheet.image }}"
"""


def problems_of(text: str | bytes, written: Format = "yaml") -> list[str]:
    with pytest.raises(DocumentError) as caught:
        parse(text, format=written)
    return [str(problem) for problem in caught.value.problems]


def test_a_document_is_read_as_it_is_written() -> None:
    assert parse(STORY, format="yaml") == Document(
        slug="illustrated-story",
        name="Illustrated story",
        inputs={"theme": {"type": "string", "default": "a lighthouse keeper"}},
        steps=(
            StepDocument(key="story", tool="text.scenes", params={"theme": "{{ inputs.theme }}", "count": 3}),
            StepDocument(
                key="art",
                tool="image.paint",
                for_each="{{ steps.story.scenes }}",
                params={"prompt": "{{ item.text }}", "seed": "{{ item_index }}"},
            ),
            StepDocument(key="sheet", tool="image.contact_sheet", params={"images": "{{ steps.art | map(attribute='image') | list }}"}),
        ),
        outputs={"sheet": "{{ steps.sheet.image }}"},
    )


def test_a_document_is_written_to_be_read() -> None:
    assert dump(parse(STORY, format="yaml"), format="yaml") == (
        "slug: illustrated-story\n"
        "name: Illustrated story\n"
        "visibility: private\n"
        "inputs:\n"
        "  theme:\n"
        "    type: string\n"
        "    default: a lighthouse keeper\n"
        "steps:\n"
        "  - key: story\n"
        "    tool: text.scenes\n"
        "    params:\n"
        "      count: 3\n"
        "      theme: '{{ inputs.theme }}'\n"
        "  - key: art\n"
        "    tool: image.paint\n"
        "    for_each: '{{ steps.story.scenes }}'\n"
        "    params:\n"
        "      prompt: '{{ item.text }}'\n"
        "      seed: '{{ item_index }}'\n"
        "  - key: sheet\n"
        "    tool: image.contact_sheet\n"
        "    params:\n"
        "      images: '{{ steps.art | map(attribute=''image'') | list }}'\n"
        "outputs:\n"
        "  sheet: '{{ steps.sheet.image }}'\n"
    )


def test_lines_of_text_are_written_as_lines() -> None:
    document = Document(
        slug="a", name="A", description="One line.\nAnother: line.\n", steps=(StepDocument(key="a", tool="b", params={"x": "1\n\n2"}),)
    )
    text = dump(document, format="yaml")
    assert "description: |\n  One line.\n  Another: line.\n" in text
    assert "      x: |-\n        1\n\n        2\n" in text
    assert parse(text, format="yaml") == document


def test_json_and_yaml_say_the_same() -> None:
    document = parse(STORY, format="yaml")
    text = dump(document, format="json")
    assert json.loads(text)["slug"] == "illustrated-story"
    assert parse(text, format="json") == document
    assert parse(text, format="yaml") == document


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
keys = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30) | st.sampled_from(
    [
        "",
        "~",
        "null",
        "Null",
        "true",
        "NO",
        "off",
        "1",
        "007",
        "-1.5e3",
        "1e5",
        "0x1F",
        "0o7",
        "1_000",
        ".5",
        ".inf",
        "-.INF",
        ".nan",
        "12:30",
        "2024-01-01",
        "2024-01-01T00:00:00Z",
        "=",
        "<<",
        "- a",
        "? a",
        "a: b",
        "a #b",
        "# a",
        "{{ x }}",
        "[a]",
        "'",
        '"',
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
        "---",
        "...",
        " a",
        "a ",
        "a\n",
        "\na",
        "a\n\n",
        " a\nb",
        "a \nb",
        "a\n b\n",
        "a\tb",
        "\ta\nb",
        "a\r\nb",
        "a\x85b",
        "a\u2028b\nc",
        "\ufeffa",
        "\x07",
        "\x7f\n",
        "𝄞\n𝄞",
        "a\n\n\nb\n\n\n",
        "\n",
        "\n\n",
        "  \n  ",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-9e15, 9e15) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
steps = st.builds(
    StepDocument,
    key=keys,
    tool=st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5})?", fullmatch=True),
    params=st.dictionaries(texts, values, max_size=3),
    for_each=texts,
    when=texts,
    on_failure=st.sampled_from(["fail", "continue"]),
    max_attempts=st.none() | st.integers(1, 100),
    run_timeout=st.none() | st.integers(1, 86_400),
    deadline=st.none() | st.integers(1, 2_592_000),
)
documents = st.builds(
    Document,
    slug=st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8})?", fullmatch=True),
    name=texts.filter(bool),
    description=texts,
    tags=st.lists(texts.filter(bool), max_size=3, unique=True).map(tuple),
    visibility=st.sampled_from(["private", "listed", "public"]),
    inputs=st.dictionaries(names, st.dictionaries(texts, values, max_size=3), max_size=3),
    steps=st.lists(steps, max_size=3).map(tuple),
    outputs=st.dictionaries(names, values, max_size=3),
)


@given(documents, st.sampled_from(["yaml", "json"]))
def test_a_round_trip_is_exact(document: Document, written: Format) -> None:
    text = dump(document, format=written)
    again = parse(text, format=written)
    assert again == document
    assert dump(again, format=written) == text
    assert parse(text.encode(), format=written) == document


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(documents)
def test_equal_documents_give_the_same_text(document: Document) -> None:
    assert dump(from_data(shuffled(to_data(document))), format="yaml") == dump(document, format="yaml")


@given(values)
def test_yaml_gives_back_any_json_value(value: Any) -> None:
    assert yaml_text.load(yaml_text.dump({"value": value})) == {"value": value}


@given(st.text(max_size=300) | st.binary(max_size=300), st.sampled_from(["yaml", "json"]))
def test_any_text_is_a_document_or_an_error_with_problems(text: str | bytes, written: Format) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(text, format=written)
    assert caught.value.problems


YAML_WORDS = ["slug: a\n", "steps:", " []", "\n  - ", "key: ", "a", "{", "}", "[", "]", ",", ": ", "&a ", "*a", "!x ", "|", ">-", "\n", "  ", "'", '"', "- ", "? ", "---\n", "...\n", "%YAML 1.2\n", "# c\n", "~", "\t", "é"]  # fmt: skip


@given(st.lists(st.sampled_from(YAML_WORDS), max_size=25).map("".join))
def test_any_yaml_is_json_or_an_error(text: str) -> None:
    with suppress(DocumentError):
        assert check_json(yaml_text.load(text), path="value") == []


def test_only_plain_words_of_json_are_anything_but_text() -> None:
    text = "[yes, NO, on, 2024-01-01, 12:30:00, 1_000, 0x1F, 0o17, null, ~, True, FALSE, 1, -2, +3, 1.5, 1e3, .5, '1', 'true', y]"
    assert yaml_text.load(text) == ["yes", "NO", "on", "2024-01-01", "12:30:00", "1_000", "0x1F", "0o17", None, None, True, False, 1, -2, 3, 1.5, 1000.0, 0.5, "1", "true", "y"]  # fmt: skip
    assert yaml_text.load("{1: a, true: b, ~: c, <<: {d: e}}") == {"1": "a", "true": "b", "~": "c", "<<": {"d": "e"}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("slug: a\nslug: b", "line 2, column 1: 'slug' is given twice"),
        ("a: &x 1\nb: *x", "line 1, column 4: anchors (&) and aliases (*) are not allowed; quote a text that begins so"),
        ("a: *x", "line 1, column 4: anchors (&) and aliases (*) are not allowed; quote a text that begins so"),
        ("a: !!python/object/apply:os.system [ls]", "line 1, column 4: tags (!) are not allowed; quote a text that begins so"),
        ("--- !!map {a: 1}", "line 1, column 5: tags (!) are not allowed; quote a text that begins so"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document begins here; one spell, one document"),
        ("", "is empty"),
        ("# nothing", "is empty"),
        ("a: 007", "line 1, column 4: 007 may be read in two ways: write it without leading zeros, or in quotes for a text"),
        ("a: .inf", "line 1, column 4: .inf is not a finite number"),
        ("a: .nan", "line 1, column 4: .nan is not a finite number"),
        ("a: 1e999", "line 1, column 4: 1e999 is not a finite number"),
        ("a: " + "9" * 5_000, "line 1, column 4: is an integer beyond 64 bits"),
        ("? [a]\n: 1", "line 1, column 3: a name must be text"),
        ("a:\n\t- 1", "line 2, column 1: is no YAML: found character that cannot start any token"),
        ("a: [1, 2\nb: }", "line 2, column 2: is no YAML: did not find expected ',' or ']'"),
        ("[" * 10_000, "line 1, column 65: is nested deeper than 64 levels"),
        ("{a: " * 10_000, "line 1, column 257: is nested deeper than 64 levels"),
        ("- " * 10_000, "line 1, column 129: is nested deeper than 64 levels"),
        ("a" * 300_000, "is larger than the 262,144 bytes that are allowed"),
    ],
)
def test_yaml_is_refused_with_line_and_column(text: str, problem: str) -> None:
    started = time.thread_time()
    assert problems_of(text) == [problem]
    assert time.thread_time() - started < 0.5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"slug": "a",\n "slug": "b"}', "'slug' is given twice in one object"),
        ('{"slug": }', "line 1, column 10: is no JSON: Expecting value"),
        ('{"a": NaN}', "NaN is not a finite number, and no JSON"),
        ('{"a": -Infinity}', "-Infinity is not a finite number, and no JSON"),
        ('{"a": 1e999}', "a: is not a finite number"),
        ('{"a": ' + "9" * 5_000 + "}", "contains an integer beyond 64 bits"),
        ("[" * 10_000, "is nested too deeply"),
        ('{"a":' * 10_000, "is nested too deeply"),
        ("", "line 1, column 1: is no JSON: Expecting value"),
        ('{"a": "\\u0000"}', "a: contains a NUL character"),
        ('{"a": "\\ud800"}', "a: contains half of a surrogate pair, which is no character"),
    ],
)
def test_json_is_refused_with_its_place(text: str, problem: str) -> None:
    assert problem in problems_of(text, "json")


def test_bytes_must_be_utf_8() -> None:
    assert problems_of("slug: a\nname: Bö".encode("latin-1")) == ["line 2: is not UTF-8: byte 0xf6 at offset 15"]
    assert problems_of("name: \ud800") == ["line 1: is not UTF-8: byte 0xed at offset 6"]
    assert problems_of(STORY.encode("utf-16"))[0].startswith("line 1: is not UTF-8")
    assert parse(b"\xef\xbb\xbf" + STORY.encode(), format="yaml") == parse(STORY, format="yaml")


MINIMAL: dict[str, Any] = {"slug": "a", "steps": [{"key": "one", "tool": "t"}]}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"slug": "Not A Slug"}, "slug: 'Not A Slug' does not match the pattern '^[a-z0-9]+(-[a-z0-9]+)*$'"),
        ({"slug": "a" * 101}, "is longer than 100 characters"),
        ({"name": ""}, "name: '' is shorter than 1 characters"),
        ({"visibility": "secret"}, "visibility: 'secret' is not one of: 'private', 'listed', 'public'"),
        ({"tags": "a"}, "tags: 'a' is not a list"),
        ({"tags": ["a", "a"]}, "tags: has the same item twice"),
        ({"step": []}, "step: is unknown; did you mean 'steps'?"),
        ({"inputs": {"bad name": {}}}, "inputs: 'bad name' does not match the pattern"),
        ({"inputs": {"_x": {}}}, "inputs: '_x' does not match the pattern"),
        ({"inputs": {"x": "string"}}, "inputs.x: 'string' is not an object"),
        ({"outputs": ["a"]}, "outputs: a list is not an object"),
        ({"steps": {}}, "steps: an object is not a list"),
        ({"steps": ["a"]}, "steps[0]: 'a' is not an object"),
        ({"steps": [{"tool": "t"}]}, "steps[0].key: is missing"),
        ({"steps": [{"key": "one"}]}, "steps.one.tool: is missing"),
        ({"steps": [{"key": "One", "tool": "t"}]}, "steps.One.key: 'One' does not match the pattern '^[a-z][a-z0-9_]*$'"),
        ({"steps": [{"key": "one", "tool": "t", "parms": {}}]}, "steps.one.parms: is unknown; did you mean 'params'?"),
        ({"steps": [{"key": "one", "tool": "t", "when": True}]}, "steps.one.when: true is not text"),
        ({"steps": [{"key": "one", "tool": "t", "for_each": [1]}]}, "steps.one.for_each: a list is not text"),
        (
            {"steps": [{"key": "one", "tool": "t", "on_failure": "ignore"}]},
            "steps.one.on_failure: 'ignore' is not one of: 'fail', 'continue'",
        ),
        ({"steps": [{"key": "one", "tool": "t", "max_attempts": 0}]}, "steps.one.max_attempts: 0 is less than 1"),
        ({"steps": [{"key": "one", "tool": "t", "run_timeout": 1e9}]}, "steps.one.run_timeout: 1000000000.0 is greater than 86400"),
        ({"steps": [{"key": "one", "tool": "t", "deadline": "1h"}]}, "steps.one.deadline: '1h' is not an integer"),
        ({"steps": [{"key": f"k{n}", "tool": "t"} for n in range(201)]}, "steps: has more than 200 items"),
        ({"description": "a\0"}, "description: contains a NUL character"),
        (
            {"outputs": {"x": [1e16]}},
            "outputs.x[0]: 1e+16 is not kept exactly by every database; write an integer of at most 64 bits, or a text",
        ),
    ],
)
def test_the_form_of_a_document_is_checked(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(DocumentError) as caught:
        from_data({**MINIMAL, **change})
    assert any(problem in str(found) for found in caught.value.problems), caught.value.problems


@pytest.mark.parametrize("data", [None, [], "a", 1, {}, {"slug": "a"}, {"steps": []}])
def test_what_is_no_document_is_refused(data: Any) -> None:
    with pytest.raises(DocumentError):
        from_data(data)


def test_an_input_without_a_default_must_be_given_unless_it_is_optional() -> None:
    document = from_data(
        {**MINIMAL, "inputs": {"a": {"type": "string"}, "b": {"type": "string", "default": ""}, "c": {"type": "string", "optional": True}}}
    )
    schema = input_schema_of(document)
    assert schema == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string", "default": ""}, "c": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert inputs_of(schema) == document.inputs
    assert inputs_of({}) == {}


@pytest.mark.parametrize(
    "schema", [{"type": "array"}, {"additionalProperties": True}, {"additionalProperties": {}}, {"allOf": []}, {"title": "x"}]
)
def test_a_schema_that_no_document_can_say_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="input_schema: must describe an object by properties and required alone"):
        inputs_of(schema)
