import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generations.tools.contract import ToolError
from generations.tools.json_query import query

from .toolbox import call, keep, request_for, run


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "x", [], {}, {"a": [1, {"b": "ä"}]}])
def test_parse_returns_what_was_written(value):
    assert call("json.parse", text=json.dumps(value))["value"] == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{'a': 1}", "line 1, column 2"),
        ('{"a": 1,\n "b" 2}', "line 2, column 6"),
        ("", "line 1, column 1"),
        ("NaN", "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ("1e999", "1e999 is too large"),
        ("9" * 5000, "digits"),
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * 30_000, "nested deeper"),
        ("1 2", "Extra data"),
    ],
)
def test_parse_says_where_text_is_no_json(text, why):
    with pytest.raises(ToolError, match=why) as error:
        call("json.parse", text=text)
    assert error.value.code == "bad_json"
    assert error.value.permanent


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Sure!\n```json\n{"a": [1, 2]}\n```\nBye.', {"a": [1, 2]}),
        ("The {best} answer is [1, 2].", [1, 2]),
        ('{"a": "}"} and {"b": 1}', {"a": "}"}),
    ],
)
def test_parse_extracts_json_from_other_words(text, value):
    assert call("json.parse", text=text, extract=True)["value"] == value


def test_parse_extracts_nothing_from_plain_words():
    with pytest.raises(ToolError, match="No object and no list"):
        call("json.parse", text="I cannot do that.", extract=True)


@pytest.mark.parametrize(
    "text", ["[" * 900 + "x" + "[x" * 90_000, '["' * 100_000, "{" * 200_000, '[\\"' * 60_000, '{"a":[' + "[1," * 50_000]
)
def test_parse_extracts_in_linear_time(text):
    started = time.perf_counter()
    with pytest.raises(ToolError):
        call("json.parse", text=text, extract=True)
    assert time.perf_counter() - started < 5


SCENES = {"scenes": [{"title": "Sea", "mood": "calm"}, {"title": "Storm", "mood": "dark"}]}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("scenes[*].title", ["Sea", "Storm"]),
        ("scenes[?mood=='dark'].title | [0]", "Storm"),
        ("length(scenes)", 2),
        ("scenes[].{t: title}", [{"t": "Sea"}, {"t": "Storm"}]),
        ("sort_by(scenes, &mood)[-1].title", "Storm"),
        ("join(', ', scenes[*].mood)", "calm, dark"),
        ("scenes[0] == scenes[0]", True),
        ("scenes[0] != scenes[1]", True),
    ],
)
def test_query_finds(expression, found):
    assert call("json.query", value=SCENES, query=expression) == {"value": found}


def test_query_returns_the_default_only_when_nothing_is_found():
    assert call("json.query", value={"n": 0}, query="n", default=7)["value"] == 0
    assert call("json.query", value={"n": 0}, query="m", default=7)["value"] == 7
    assert call("json.query", value={"n": 0}, query="m")["value"] is None


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("scenes[", "Incomplete|Invalid"),
        ("nope(@)", "Unknown function"),
        ("length(`5`)", "length"),
        ("scenes[::0]", "step"),
        ("'a' < `1`", "not supported"),
        ("`1e999` > `1` && ceil(`1e999`)", "infinity"),
        ("[" * 900 + "@" + "]" * 900, "nested too deep"),
    ],
)
def test_query_tells_what_is_wrong(expression, why):
    with pytest.raises(ToolError, match=why) as error:
        call("json.query", value=SCENES, query=expression)
    assert error.value.code == "bad_query"


@pytest.mark.parametrize(
    "expression",
    [
        "[@,@][]" + " | [@,@][]" * 60,  # a list that doubles
        "[@,@]" + " | [@,@]" * 80,  # shared items: small to hold, endless to write
        "join('', [@,@])" + " | join('', [@,@])" * 60,  # a text that doubles
        "([@,@]" + " | [@,@]" * 60 + ") == ([@,@]" + " | [@,@]" * 60 + ")",  # a comparison without end
        "to_string([@,@]" + " | [@,@]" * 60 + ")",
        "contains([@], [@,@]" + " | [@,@]" * 60 + ")",
        "map(&map(&map(&map(&@, $v), $v), $v), $v)".replace("$v", "`" + json.dumps(list(range(90))) + "`"),
    ],
)
def test_query_stops_at_its_bound_of_work(expression):
    started = time.perf_counter()
    with pytest.raises(ToolError, match="steps of work") as error:
        query(expression, "ab" * 50)
    assert error.value.permanent
    assert time.perf_counter() - started < 10


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax:PendingDeprecationWarning")  # of JMESPath itself
@settings(deadline=None)
@given(st.text(alphabet="ab.[]{}()*?|&@,:'`\"<=>! 01-\\", max_size=30))
def test_query_raises_only_tool_errors(expression):
    if not expression:
        return
    with contextlib.suppress(ToolError):
        query(expression, {"a": [{"b": 1}, {"b": "x"}], "b": {"a": None}})


def test_expression_returns_its_value():
    assert call("expression", value={"a": [1, None, ""]}) == {"value": {"a": [1, None, ""]}}


def query_file(data: bytes, expression: str, *, mime_type: str = "application/json"):
    file = keep(data, mime_type=mime_type)
    return run(request_for("json.query", {"value": file.reference(), "query": expression}, readable={file.id: file})).output["value"]


def test_query_looks_into_a_json_file_as_into_a_value():
    assert query_file(b'{"rows": [{"n": 1}, {"n": 2}]}', "rows[-1].n") == 2
    assert query_file(b"text", "size", mime_type="text/plain") == 4


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"no json", "bad_json"), (b"\xff\xfe", "bad_json"), (b" " * (16 * 2**20 + 1), "too_large"), (b"[" * 100_000, "bad_json")],
)
def test_query_refuses_files_that_are_no_json(data, code):
    with pytest.raises(ToolError) as error:
        query_file(data, "a")
    assert (error.value.code, error.value.permanent) == (code, True)
