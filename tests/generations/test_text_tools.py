import contextlib
import time

import pytest

from generations.tools.contract import ToolError

from .toolbox import call, problems_with


def test_template_fills_names_paths_and_list_indices():
    output = call(
        "text.template",
        template="{hero.name} saw {scenes.1.title}, {n} times: {flags}",
        values={"hero": {"name": "Mara"}, "scenes": [{"title": "Sea"}, {"title": "Storm"}], "n": 3, "flags": [True, None]},
    )
    assert output["text"] == "Mara saw Storm, 3 times: [true,null]"


def test_template_leaves_other_braces_and_escaped_ones():
    output = call("text.template", template='{"a": {x}, "b": {}} \\{x} { x }', values={"x": 1})
    assert output["text"] == '{"a": 1, "b": {}} {x} { x }'


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (False, "false"), ("", "")])
def test_template_puts_in_falsy_values(value, shown):
    assert call("text.template", template="[{x}]", values={"x": value})["text"] == f"[{shown}]"


def test_template_names_the_missing_value_and_what_there_is():
    with pytest.raises(ToolError, match=r"asks for \{hero.age\}.*It has: hero, place") as error:
        call("text.template", template="{hero.age}", values={"hero": {"name": "Mara"}, "place": None})
    assert error.value.permanent
    assert error.value.code == "missing_value"


def test_template_treats_null_as_missing():
    with pytest.raises(ToolError, match=r"\{place\}"):
        call("text.template", template="{place}", values={"place": None})


@pytest.mark.parametrize(("missing", "text"), [("keep", "a {x} b"), ("empty", "a  b")])
def test_template_can_keep_or_drop_what_is_missing(missing, text):
    assert call("text.template", template="a {x} b", missing=missing)["text"] == text


def test_template_reaches_no_attributes():
    assert call("text.template", template="{x.__class__}{x.real}", values={"x": "s"}, missing="empty")["text"] == ""


def test_template_stops_before_its_text_is_too_long():
    with pytest.raises(ToolError, match="longer than 200000"):
        call("text.template", template="{x}" * 60_000, values={"x": "y" * 100_000})


def test_join_with_a_last_separator():
    assert call("text.join", items=["a", "b", "c"], separator=", ", last_separator=" and ")["text"] == "a, b and c"


@pytest.mark.parametrize(("items", "text"), [([], ""), (["a"], "a"), (["a", 1, {"b": [True]}], 'a\n1\n{"b":[true]}')])
def test_join_of_few_and_of_other_values(items, text):
    assert call("text.join", items=items)["text"] == text


def test_join_skips_empty_items_only_when_told():
    assert call("text.join", items=["a", "", None, 0], separator=",")["text"] == "a,,null,0"
    assert call("text.join", items=["a", "", None, 0], separator=",", skip_empty=True)["text"] == "a,0"


def test_join_stops_before_its_text_is_too_long():
    with pytest.raises(ToolError, match="longer than"):
        call("text.join", items=["x" * 1000] * 300)


def test_replace_is_literal_unless_told():
    assert call("text.replace", text="a.b.c", find=".", replace="-") == {"text": "a-b-c", "count": 2}


def test_replace_by_regular_expression_with_groups():
    output = call("text.replace", text="Anna Berg", find=r"(?P<first>\w+) (\w+)", replace=r"\2, \g<first> \\ \x", regex=True)
    assert output["text"] == "Berg, Anna \\ \\x"


def test_replace_ignores_case_and_stops_at_its_limit():
    assert call("text.replace", text="aAaA", find="A", replace="x", ignore_case=True, limit=3) == {"text": "xxxA", "count": 3}


def test_replace_handles_letters_beyond_ascii():
    assert call("text.replace", text="häuser über 語", find="[äü]", replace="u", regex=True)["text"] == "huuser uber 語"


def test_replace_by_a_catastrophic_pattern_takes_linear_time():
    started = time.perf_counter()
    call("text.replace", text="a" * 50_000 + "!", find="(a+)+$", replace="x", regex=True)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("find", ["(", r"(a)\1", "(?=a)", "a{1001}", "(((a{100}){100}){100})"])
def test_replace_refuses_patterns_that_re2_does_not_know(find):
    with pytest.raises(ToolError, match="no regular expression of RE2") as error:
        call("text.replace", text="a", find=find, regex=True)
    assert error.value.code == "bad_pattern"


def test_replace_names_the_group_that_is_not_there():
    with pytest.raises(ToolError, match="group 3"):
        call("text.replace", text="a", find="(a)", replace=r"\3", regex=True)


def test_replace_stops_before_its_text_is_too_long():
    with pytest.raises(ToolError, match="longer than"):
        call("text.replace", text="a" * 100_000, find="a", replace="b" * 20_000)


@pytest.mark.parametrize(
    ("by", "text", "parts"),
    [
        ("lines", "a\r\n b \n\nc", ["a", "b", "c"]),
        ("paragraphs", "a\nb\n \n\nc\r\n\r\nd", ["a\nb", "c", "d"]),
        ("sentences", "It rains. It does! Really? Yes, 3.5 mm", ["It rains.", "It does!", "Really?", "Yes, 3.5 mm"]),
        ("words", " one\ttwo\nthree ", ["one", "two", "three"]),
        ("separator", "a, b,,c", ["a", "b", "c"]),
    ],
)
def test_split(by, text, parts):
    assert call("text.split", text=text, by=by) == {"parts": parts, "count": len(parts)}


def test_split_keeps_quotation_marks_with_their_sentence():
    assert call("text.split", text='"Go." He went. "Why?" Nobody knew.', by="sentences")["parts"] == [
        '"Go."',
        "He went.",
        '"Why?"',
        "Nobody knew.",
    ]


def test_split_keeps_empty_parts_and_space_when_told():
    assert call("text.split", text="a, ,b", by="separator", trim=False, keep_empty=True)["parts"] == ["a", " ", "b"]


def test_split_refuses_too_many_parts():
    with pytest.raises(ToolError, match="20000 parts"):
        call("text.split", text="x " * 20_000, by="words")


@pytest.mark.parametrize("by", ["paragraphs", "sentences", "lines"])
@pytest.mark.parametrize("text", ["\n" * 100_000, " \n" * 100_000, ". " * 100_000, '."' * 100_000, "\r" * 200_000])
def test_split_takes_linear_time_over_hostile_text(by, text):
    started = time.perf_counter()
    with contextlib.suppress(ToolError):  # some are too many parts
        call("text.split", text=text, by=by)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("slug", "inputs", "path"),
    [
        ("text.template", {}, "params.template"),
        ("text.template", {"template": "x" * 200_001}, "params.template"),
        ("text.template", {"template": "x", "valeus": {}}, "params.valeus"),
        ("text.join", {"items": "abc"}, "params.items"),
        ("text.join", {"items": [0] * 10_001}, "params.items"),
        ("text.replace", {"text": "a", "find": ""}, "params.find"),
        ("text.split", {"text": "a", "by": "magic"}, "params.by"),
    ],
)
def test_schemas_refuse(slug, inputs, path):
    assert problems_with(slug, **inputs) == [path]
