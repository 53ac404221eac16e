import json
import math
from collections import OrderedDict
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generations.outputs import MAX_OUTPUT_DEPTH, clean_output, clean_text
from generations.tools.contract import ToolError


class Mood(StrEnum):
    CALM = "calm"


def test_a_clean_output_is_copied_into_plain_types():
    inner = OrderedDict(b=(1, 2.5, None, True, "é", Mood.CALM))
    cleaned = clean_output({"a": inner})
    assert cleaned == {"a": {"b": [1, 2.5, None, True, "é", "calm"]}}
    assert type(cleaned["a"]) is dict
    assert type(cleaned["a"]["b"]) is list


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ({"a": [1, {"b": math.nan}]}, r"output\.a\[1\]\.b is nan"),
        ({"a": math.inf}, r"output\.a is inf"),
        ({"a": "x\0y"}, r"output\.a contains a NUL"),
        ({"a": "\ud800"}, r"output\.a contains half of a surrogate pair"),
        ({"a\0": 1}, r"output\.a. contains a NUL"),
        ({"a": {1: 2}}, r"output\.a\[1\] has a key that is no string"),
        ({"a": b"x"}, r"output\.a is of type bytes"),
        ({"a": {1, 2}}, r"output\.a is of type set"),
        ({"a": Decimal(1)}, r"output\.a is of type Decimal"),
        ({"a": 2**64}, r"output\.a is an integer of more than 64 bits"),
        ([1], "must be a JSON object, not list"),
        (None, "must be a JSON object, not NoneType"),
    ],
)
def test_what_no_database_stores_is_refused_with_its_path(output, told):
    with pytest.raises(ToolError, match=told) as error:
        clean_output(output)
    assert error.value.code == "bad_output"
    assert error.value.permanent
    json.dumps(error.value.message).encode()


def nested(depth: int, *, by_list: bool = False) -> Any:
    value: Any = {}
    for _ in range(depth - 1):
        value = [value] if by_list else {"k" * 30: value}
    return {"k": value}


@pytest.mark.parametrize("by_list", [True, False])
def test_deep_nesting_is_refused_without_recursion(by_list):
    with pytest.raises(ToolError, match="nested deeper than 56 levels") as error:
        clean_output(nested(10_000, by_list=by_list))
    assert len(error.value.message) < 500


def test_nesting_up_to_the_bound_is_stored():
    assert json.loads(json.dumps(clean_output(nested(MAX_OUTPUT_DEPTH - 1)))) == nested(MAX_OUTPUT_DEPTH - 1)


def test_a_list_that_holds_itself_is_refused():
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ToolError, match="nested deeper"):
        clean_output({"a": loop})


def test_shared_items_cannot_outgrow_the_bound():
    shared: list[Any] = [1]
    for _ in range(40):
        shared = [shared, shared]
    with pytest.raises(ToolError, match="larger than"):
        clean_output({"a": shared})


@pytest.mark.parametrize("output", [{"a": "x" * 1000}, {"x" * 1000: 1}, {"a": ["é"] * 500}, {"a": list(range(2**63, 2**63 + 60))}])
def test_large_outputs_are_refused(output):
    with pytest.raises(ToolError, match=r"larger than 1000 bytes.*artefact"):
        clean_output(output, max_bytes=1000)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(texts, json_values, max_size=4))
def test_clean_json_survives_the_way_through_json(output):
    assert json.loads(json.dumps(clean_output(output), allow_nan=False).encode()) == output


def test_clean_text_replaces_what_cannot_be_stored():
    assert clean_text("a\0b\ud800c😀") == "a\ufffdb\ufffdc😀"
