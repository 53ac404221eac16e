"""Values against schemas, defaults, and schemas themselves."""

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spells.problems import MAX_PROBLEMS, Problem, join_path, shown, suggestion
from spells.schemas import Checker, Unknown, check, check_json, check_schema, checker, complete

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "theme": {"type": "string", "minLength": 1, "maxLength": 10},
        "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "ratio": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 2, "multipleOf": 0.5},
        "mode": {"enum": ["fast", "slow", None]},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3, "uniqueItems": True},
        "style": {"type": "object", "properties": {"hue": {"type": "string", "pattern": "^#[0-9a-f]{6}$", "default": "#000000"}}, "required": ["hue"]},
        "link": {"type": "string", "format": "uri"},
        "any_of": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "off": {"type": "boolean"},
        "never": False,
    },
    "required": ["theme", "count"],
    "additionalProperties": False,
}  # fmt: skip


def told(value: Any, schema: dict[str, Any] = SCHEMA) -> list[str]:
    return [str(problem) for problem in check(value, schema, path="inputs")]


def test_a_value_that_fits_has_no_problem() -> None:
    assert told({"theme": "sea", "count": 1, "ratio": 1.5, "mode": None, "tags": ["a", "b"], "style": {"hue": "#00ff00"}, "link": "https://example.org/a", "any_of": None, "off": False}) == []  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": "three"}, "inputs.count: 'three' is not an integer"),
        ({"count": True}, "inputs.count: true is not an integer"),
        ({"count": 1.5}, "inputs.count: 1.5 is not an integer"),
        ({"count": None}, "inputs.count: null is not an integer"),
        ({"count": 0}, "inputs.count: 0 is less than 1"),
        ({"count": 10}, "inputs.count: 10 is greater than 9"),
        ({"theme": 5}, "inputs.theme: 5 is not text"),
        ({"theme": ""}, "inputs.theme: '' is shorter than 1 characters"),
        ({"theme": "x" * 11}, "inputs.theme: 'xxxxxxxxxxx' is longer than 10 characters"),
        ({"ratio": 0}, "inputs.ratio: 0 is not greater than 0"),
        ({"ratio": 2}, "inputs.ratio: 2 is not less than 2"),
        ({"ratio": 0.7}, "inputs.ratio: 0.7 is no multiple of 0.5"),
        ({"mode": "slower"}, "inputs.mode: 'slower' is not one of: 'fast', 'slow', null"),
        ({"mode": {"a": 1}}, "inputs.mode: an object is not one of: 'fast', 'slow', null"),
        ({"tags": []}, "inputs.tags: has fewer than 1 items"),
        ({"tags": ["a", "b", "c", "d"]}, "inputs.tags: has more than 3 items"),
        ({"tags": ["a", "a"]}, "inputs.tags: has the same item twice"),
        ({"tags": ["a", 1]}, "inputs.tags[1]: 1 is not text"),
        ({"tags": {"a": 1}}, "inputs.tags: an object is not a list"),
        ({"style": {}}, "inputs.style.hue: is missing"),
        ({"style": {"hue": "red"}}, "inputs.style.hue: 'red' does not match the pattern '^#[0-9a-f]{6}$'"),
        ({"link": "not a link"}, "inputs.link: 'not a link' is no 'uri'"),
        ({"any_of": "x"}, "inputs.any_of: fits none of the allowed forms: 'x' is not an integer; or 'x' is not null"),
        ({"off": "false"}, "inputs.off: 'false' is not true or false"),
        ({"off": 0}, "inputs.off: 0 is not true or false"),
        ({"never": 1}, "inputs.never: must not be given"),
        ({"thme": "x"}, "inputs.thme: is unknown; did you mean 'theme'?"),
        (
            {"weather of the day": "x"},
            "inputs['weather of the day']: is unknown; known: any_of, count, link, mode, never, off, ratio, style, tags, theme",
        ),
    ],
)
def test_problems_name_the_field_and_the_mend(change: dict[str, Any], message: str) -> None:
    assert told({"theme": "sea", "count": 1, **change}) == [message]


@pytest.mark.parametrize(
    "value",
    [
        {"theme": "sea", "count": 1},
        {"theme": 5, "count": 1, "style": {"hue": "red"}},
        {"style": {"hue": 1}, "x": 1},
        [],
        {"never": 1, "tags": [1, 1]},
    ],
)
def test_what_has_checked_one_value_says_the_same_of_the_next(value: Any) -> None:
    ready = Checker(SCHEMA)
    for each in ({"theme": 5, "style": {}}, value, {"theme": "sea", "count": 3}, value):
        assert ready.check(each, path="inputs") == check(each, SCHEMA, path="inputs")


def test_each_check_may_do_as_much_work_as_any() -> None:
    ready = Checker({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}})
    large = [[1] * 1_000] * 150
    assert [ready.check(large, path="x") for _ in range(3)] == [[], [], []]
    (refused,) = ready.check([[1] * 1_000] * 500, path="x")
    assert "too large" in refused.message
    assert ready.check(large, path="x") == []


def test_a_part_of_a_schema_that_refers_to_the_whole_is_kept_ready_with_it() -> None:
    tree = {"type": "object", "properties": {"leaf": {"type": "integer"}, "inner": {"$ref": "#"}, "named": {"$ref": "#/$defs/name"}}, "$defs": {"name": {"type": "string"}}}  # fmt: skip
    ready = Checker(tree)
    deep = {"inner": {"inner": {"leaf": "x", "named": 1}}}
    for _ in range(2):
        told = {str(problem) for problem in ready.check(deep, path="v")}
        assert told == {"v.inner.inner.leaf: 'x' is not an integer", "v.inner.inner.named: 1 is not text"}


def test_a_schema_is_kept_ready_by_its_content_alone() -> None:
    schema = {"type": "object", "properties": {"n": {"const": 1}}}
    ready = checker(schema)
    assert checker(copy.deepcopy(schema)) is ready
    assert checker({"type": "object", "properties": {"n": {"const": True}}}) is not ready
    schema["properties"] = {}  # what was made ready is a copy
    assert ready.check({"n": 2}, path="x")
    large = {"description": "x" * 100_000}
    assert checker(large) is not checker(large)


def test_what_is_missing_is_a_problem_of_its_own_place() -> None:
    assert told({}) == ["inputs.theme: is missing", "inputs.count: is missing"]
    assert told([]) == ["inputs: a list is not an object"]


def test_no_more_problems_are_told_than_anybody_reads() -> None:
    assert len(told({str(number): number for number in range(1_000)})) == MAX_PROBLEMS


def test_long_values_are_cut_in_messages() -> None:
    (message,) = told({"theme": "sea", "count": "x" * 100_000})
    assert len(message) < 150


@pytest.mark.parametrize("bool_like", [(1, True), (0, False)])
def test_numbers_and_booleans_are_never_equal(bool_like: tuple[int, bool]) -> None:
    number, boolean = bool_like
    assert check(number, {"enum": [boolean]}, path="x")
    assert check([number, boolean], {"uniqueItems": True}, path="x") == []
    assert check([1, 1.0], {"uniqueItems": True}, path="x")
    assert check(1.0, {"enum": [1]}, path="x") == []


def test_other_keywords_of_the_standard_work() -> None:
    schema = {
        "$defs": {"name": {"type": "string"}},
        "type": "object",
        "propertyNames": {"maxLength": 5},
        "patternProperties": {"^n_": {"$ref": "#/$defs/name"}},
        "additionalProperties": {"type": "integer"},
        "dependentRequired": {"a": ["b"]},
        "if": {"required": ["c"]},
        "then": {"required": ["d"]},
        "not": {"required": ["z"]},
        "minProperties": 1,
    }
    assert check({"n_a": "x", "a": 1, "b": 2}, schema, path="x") == []
    assert Problem("x.n_a", "1 is not text") in check({"n_a": 1}, schema, path="x")
    assert Problem("x.a", "'q' is not an integer") in check({"a": "q", "b": 1}, schema, path="x")
    assert check({"a": 1}, schema, path="x")
    assert check({"c": 1}, schema, path="x") == [Problem("x.d", "is missing")]
    assert check({"z": 1}, schema, path="x")
    assert check({}, schema, path="x") == [Problem("x", "has fewer than 1 properties")]
    assert check({"toolong": 1}, schema, path="x")
    assert check(3, {"oneOf": [{"minimum": 1}, {"minimum": 2}]}, path="x") == [Problem("x", "3 fits more than one of the allowed forms")]
    assert check([1, "a"], {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}, "contains": {"const": "a"}}, path="x") == []


def within(seconds: float, value: Any, schema: dict[str, Any]) -> list[str]:
    started = time.thread_time()
    problems = told(value, schema)
    assert time.thread_time() - started < seconds
    return problems


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "(.*a){20}", "^([a-zA-Z0-9])(([\\-.]|[_]+)?([a-zA-Z0-9]+))*$"])
def test_patterns_take_linear_time(pattern: str) -> None:
    assert check_schema({"pattern": pattern}, path="x") == []
    within(0.5, "a" * 50_000 + "!", {"pattern": pattern})
    within(0.5, {"a" * 50_000 + "!": 1}, {"patternProperties": {pattern: {}}, "additionalProperties": False})


@pytest.mark.parametrize("name", ["date", "time", "date-time", "duration", "email", "uri", "uuid", "ipv4", "ipv6"])
def test_formats_are_checked_within_a_bounded_length(name: str) -> None:
    for text in (
        "1" * 100_000,
        "a:" + "/a" * 900 + " ",
        "P" + "1D" * 1_000,
        "::" * 1_000,
        "a@" * 1_000,
        "http://" + "a" * 2_000 + "[",
        "http://" + "%41" * 600 + " ",
    ):
        problems = within(0.5, text, {"format": name})
        assert problems or name in {"email", "uri"}


def test_unknown_formats_are_annotations() -> None:
    assert told("anything", {"format": "textarea"}) == []


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (1, {"$ref": "#"}),
        (1, {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}),
        (1, {"$ref": "#/$defs/d0", "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)} | {"d30": {}}}),
        ([{}] * 60_000, {"items": {"required": []}, "uniqueItems": True}),
        ([{"a": n} for n in range(20_000)], {"uniqueItems": True, "items": {"enum": [{"b": n} for n in range(500)]}}),
        (list(range(20_000)), {"items": {"enum": [str(n) for n in range(2_000)]}}),
    ],
)
def test_checking_is_bounded(value: Any, schema: dict[str, Any]) -> None:
    within(3, value, schema)


def test_deep_values_are_problems_not_crashes() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    assert "nested too deeply" in told(deep, {"items": {"$ref": "#"}})[0]
    assert "nested too deeply" in told([deep, deep], {"uniqueItems": True})[0]
    assert "nested too deeply" in told(deep, {"enum": [[1]]})[0]


@pytest.mark.parametrize("schema", [{"items": {"$ref": "#"}}, {"properties": {"a": {"$ref": "#"}}}, {"$ref": "#"}])
def test_they_are_problems_wherever_in_the_check_the_stack_ends(schema: dict[str, Any]) -> None:
    deep: Any = 1
    for _ in range(1_000):
        deep = [deep] if "items" in schema else {"a": deep}

    def below(frames: int) -> list[str]:
        return below(frames - 1) if frames else told(deep, schema)

    for frames in range(12):  # more than one turn of the schema takes
        assert "nested too deeply" in below(frames)[0]


def test_nothing_is_fetched(socket_disabled: None) -> None:
    problem = "inputs: cannot be checked: its schema has no 'http://127.0.0.1:9/schema'"
    assert told(1, {"$ref": "http://127.0.0.1:9/schema"}) == [problem]
    assert "file:///etc/passwd" in told(1, {"$ref": "file:///etc/passwd"})[0]
    assert told(1, {"$ref": "#/$defs/lost"}) == ["inputs: cannot be checked: its schema has no '/$defs/lost'"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"pattern": "^(a+)+$", "type": "string"}, "does not match the pattern"),
        ({"unevaluatedProperties": False}, "which is not supported"),
    ],
)
def test_a_part_that_names_its_own_dialect_is_checked_by_the_same_bounded_rules(part: dict[str, Any], message: str) -> None:
    """jsonschema's own classes would be taken otherwise, whose patterns need not end."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", **part}
    schemas = (
        {"properties": {"a": dialect}},
        {"$schema": dialect["$schema"], "$defs": {"x": dialect}, "properties": {"a": {"$ref": "#/$defs/x"}}},
    )
    for schema in schemas:
        for root in (None, schema):
            (problem,) = check({"a": "a" * 60 + "!"}, schema, path="inputs", root=root)
            assert message in problem.message


def test_what_is_not_supported_is_said_not_ignored() -> None:
    assert told({}, {"unevaluatedProperties": False}) == [
        "inputs: cannot be checked: its schema uses unevaluatedProperties, which is not supported"
    ]
    assert "cannot be checked: a pattern of its schema is no pattern" in told("a", {"pattern": "(?=a)"})[0]


def test_what_an_expression_will_give_fits_what_its_type_allows() -> None:
    assert told({"theme": Unknown(), "count": Unknown()}) == []
    assert told({"theme": Unknown(frozenset({"string"})), "count": 1}) == []
    assert told({"theme": Unknown(frozenset({"array"})), "count": 1}) == ["inputs.theme: what the expression gives, a list, is not text"]
    assert told({"theme": "x", "count": Unknown(frozenset({"number"}))}) == []
    assert told({"theme": "x", "count": 1, "ratio": Unknown(frozenset({"integer"}))}) == []
    assert told({"theme": "x", "count": Unknown(frozenset({"string", "null"}))}) == [
        "inputs.count: what the expression gives, null or text, is not an integer"
    ]
    assert told({"theme": "x", "count": 1, "tags": [Unknown(), Unknown()]}) == []
    assert told({"theme": "x", "count": 1, "tags": [Unknown(), 1]}) == ["inputs.tags[1]: 1 is not text"]
    assert told({"theme": "x", "count": 1, "any_of": Unknown(frozenset({"string"}))})
    assert told([Unknown()], {"contains": {"const": 1}, "not": {"const": 2}, "oneOf": [{}, {}]}) == []


def test_complete_fills_what_is_absent_and_nothing_else() -> None:
    assert complete({"theme": "sea"}, SCHEMA) == {"theme": "sea", "count": 3}
    assert complete({"style": {}}, SCHEMA) == {"style": {"hue": "#000000"}, "count": 3}


@pytest.mark.parametrize("falsy", [0, False, "", None, []])
def test_complete_keeps_what_is_falsy(falsy: Any) -> None:
    assert complete({"count": falsy}, SCHEMA)["count"] is falsy


def test_complete_copies_and_never_shares() -> None:
    schema = {"properties": {"list": {"default": [1]}, "object": {"type": "object", "properties": {"a": {"default": {}}}}}}
    inputs: dict[str, Any] = {"object": {"b": 1}}
    before = copy.deepcopy(inputs)
    first, second = complete(inputs, schema), complete(inputs, schema)
    first["list"].append(2)
    first["object"]["a"]["x"] = 1
    assert second == {"object": {"b": 1, "a": {}}, "list": [1]}
    assert inputs == before
    assert schema["properties"]["list"] == {"default": [1]}


def test_complete_fills_inside_a_default() -> None:
    assert complete({}, {"properties": {"style": {"default": {}, "properties": {"hue": {"default": "red"}}}}}) == {"style": {"hue": "red"}}
    assert complete({"a": 1}, {}) == {"a": 1}
    assert complete({"a": 1}, {"properties": {"a": True}}) == {"a": 1}


@pytest.mark.parametrize(
    ("schema", "path", "message"),
    [
        (5, "s", "5 is not a JSON Schema: write an object like {type: string}"),
        ({"type": "strin"}, "s.type", "is no JSON Schema"),
        ({"type": "object", "required": "a"}, "s.required", "is no JSON Schema"),
        ({"minimum": "1"}, "s.minimum", "is no JSON Schema"),
        ({"properties": {"a": {"items": 3}}}, "s.properties.a.items", "is no JSON Schema"),
        ({"properties": {"a": {"$ref": "https://example.org/x"}}}, "s.properties.a['$ref']", "leaves this schema"),
        ({"properties": {"a": {"$ref": "other.json"}}}, "s.properties.a['$ref']", "leaves this schema"),
        ({"$ref": "#/$defs/a"}, "s['$ref']", "is no place in this schema"),
        ({"$ref": "#name"}, "s['$ref']", "is no place in this schema"),
        ({"$ref": "#"}, "s['$ref']", "leads back here without end"),
        (
            {"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}},
            "s['$defs'].b.not['$ref']",
            "leads back",
        ),
        ({"properties": {"a": {"pattern": "(?=a)"}}}, "s.properties.a.pattern", "is no pattern that can be matched in linear time"),
        ({"properties": {"a": {"pattern": "(a)\\1"}}}, "s.properties.a.pattern", "is no pattern that can be matched in linear time"),
        ({"patternProperties": {"[": {}}}, "s.pattern", "is no pattern"),
        ({"pattern": "a" * 2_000}, "s.pattern", "is longer than 1,000 characters"),
        ({"pattern": "((((a{1,100}){1,100}){1,100}){1,100})"}, "s.pattern", "is no pattern"),
        ({"properties": {"a": {"type": "integer", "default": "x"}}}, "s.properties.a.default", "'x' is not an integer"),
        (
            {"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n", "default": "x"}}},
            "s.properties.a.default",
            "'x' is not an integer",
        ),
        (
            {"$schema": "http://json-schema.org/draft-04/schema#"},
            "s['$schema']",
            "only https://json-schema.org/draft/2020-12/schema is supported",
        ),
        ({"$id": "https://example.org/"}, "s['$id']", "is not supported"),
        ({"$dynamicRef": "#a"}, "s['$dynamicRef']", "is not supported"),
        ({"items": {"unevaluatedItems": False}}, "s.items.unevaluatedItems", "is not supported"),
        ({"title": "a\0"}, "s.title", "contains a NUL character"),
        ({"enum": ["x" * 70_000]}, "s", "is larger than the 65,536 bytes that are allowed"),
    ],
)
def test_schemas_that_must_not_be_published(schema: Any, path: str, message: str) -> None:
    problems = check_schema(schema, path="s")
    assert any(problem.path == path and message in problem.message for problem in problems), problems


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        True,
        {},
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"children": {"items": {"$ref": "#/$defs/tree"}}}}}},
        {"properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}, "$id": {"default": "x"}}},
        {"enum": [{"$ref": "http://example.org"}, {"pattern": "(?=a)"}], "examples": [{"unevaluatedItems": 1}]},
        {"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": True}},
    ],
)
def test_schemas_that_may_be_published(schema: Any) -> None:
    assert check_schema(schema, path="s") == []


def test_a_schema_nested_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(10_000):
        schema = {"items": schema}
    (problem,) = check_schema(schema, path="s")
    assert "nested deeper than 32 levels" in problem.message


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"a": "x\0"}, "v.a", "contains a NUL character"),
        ({"a\0": 1}, "v", "has a name that contains a NUL character"),
        ({"a": ["\ud800"]}, "v.a[0]", "contains half of a surrogate pair"),
        ({"\udfff": 1}, "v", "has a name that contains half of a surrogate pair"),
        ([float("nan")], "v[0]", "is not a finite number"),
        ([float("-inf")], "v[0]", "is not a finite number"),
        ([2**64], "v[0]", "is an integer beyond 64 bits"),
        ([-(2**63) - 1], "v[0]", "is an integer beyond 64 bits"),
        ([10**100_000], "v[0]", "is an integer beyond 64 bits"),
        ({1: "a"}, "v", "has a name that is no text"),
        ({"a": {1, 2}}, "v.a", "is a set, which JSON does not have"),
        ({"a": (1, 2)}, "v.a", "is a tuple, which JSON does not have"),
        (b"x", "v", "is a bytes, which JSON does not have"),
        ("x" * 300_000, "v", "is larger than the 262,144 bytes that are allowed"),
        ("é" * 140_000, "v", "is larger than the 262,144 bytes that are allowed"),
        ([0] * 140_000, "v", "is larger than the 262,144 bytes that are allowed"),
        ({str(n): None for n in range(40_000)}, "v", "is larger than the 262,144 bytes that are allowed"),
    ],
)
def test_values_that_no_database_holds(value: Any, path: str, message: str) -> None:
    problems = check_json(value, path="v")
    assert problems[0].path == path
    assert message in problems[0].message


def test_values_at_the_limits_pass() -> None:
    assert check_json([2**64 - 1, -(2**63), True, None, 1e308, "𝄞", {"": []}], path="v") == []
    assert check_json("x" * 262_142, path="v") == []
    assert check_json("x" * 100, path="v", max_bytes=102) == []
    assert check_json("x" * 100, path="v", max_bytes=101)


def test_json_nested_10_000_deep_is_a_problem_not_a_crash() -> None:
    lists: Any = 1
    objects: Any = 1
    for _ in range(10_000):
        lists, objects = [lists], {"a": objects}
    assert check_json(lists, path="v") == [Problem("v[0][0][0]", "is nested deeper than 64 levels")]
    assert check_json(objects, path="v") == [Problem("v.a.a.a", "is nested deeper than 64 levels")]
    exact: Any = 1
    for _ in range(64):
        exact = [exact]
    assert check_json(exact, path="v") == []
    assert check_json([exact], path="v")


def test_one_small_list_at_many_places_is_as_large_as_it_is_written() -> None:
    value: Any = ["x" * 100]
    for _ in range(30):
        value = [value, value]
    assert check_json(value, path="v")[0].message == "is larger than the 262,144 bytes that are allowed"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_check_json_never_raises(value: Any) -> None:
    assert all(problem.message for problem in check_json(value, path="v"))


def test_paths_are_written_as_expressions_write_them() -> None:
    assert join_path("inputs", "images", 0, "caption") == "inputs.images[0].caption"
    assert join_path("", "steps", 3) == "steps[3]"
    assert join_path("inputs", "a b") == "inputs['a b']"
    assert str(Problem("", "is empty")) == "is empty"


def test_messages_show_values_short_and_suggest_names() -> None:
    assert shown(10**5_000) == "a very large number"
    assert shown({"secret": 1}) == "an object"
    assert shown([1]) == "a list"
    assert shown(None) == "null"
    assert suggestion("them", ["theme", "count"]) == "; did you mean 'theme'?"
    assert suggestion("zzz", []) == "; there is none"
    assert suggestion("zzz", map(str, range(50))).endswith(", …")


def test_a_lone_surrogate_meets_a_pattern_without_an_exception():
    assert check("a\ud800", {"pattern": "^a.$"}, path="x") == []
    assert check("a\ud800", {"pattern": "^b"}, path="x") != []
