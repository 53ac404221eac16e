"""What strangers may try: each is refused with a clear error, in milliseconds."""

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spells.expressions import MAX_WORK, ExpressionError, compile_template, compile_value
from spells.schemas import check_json

NAMESPACE: dict[str, Any] = {
    "inputs": {"text": "x" * 10_000, "list": list(range(1_000)), "deep": {"a": {"b": {"c": 1}}}, "word": "sea", "n": 10**9},
    "steps": {"big": {"items": [{"text": "y" * 100, "n": n} for n in range(1_000)]}},
}

# Of this thread's own time, for the machines that run tests are shared. Unbounded, each of these takes seconds to for ever.
SECONDS = 0.5


def refusal(source: str) -> str:
    started = time.thread_time()
    with pytest.raises(ExpressionError) as caught:
        compile_template(source, path="here").evaluate(NAMESPACE)
    assert time.thread_time() - started < SECONDS
    assert len(caught.value.message) < 500
    return caught.value.message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ 'a' * 10**9 }}", "would make a text of 1,000,000,000 characters"),
        ("{{ 10**9 * 'a' }}", "would make a text of 1,000,000,000 characters"),
        ("{{ [0] * 10**9 }}", "would make a list of 1,000,000,000 items"),
        ("{{ 'a' * inputs.n }}", "would make a text of 1,000,000,000 characters"),
        ("{{ range(10**9) }}", "would make a list of 1,000,000,000 items"),
        ("{{ range(10**18, 0, -1) }}", "would make a list of"),
        ("{{ [[[0] * 9999] * 9999] * 9999 }}", "more work than one expression may do"),
        ("{{ [[[0] * 9999] * 9999] * 9999 == [[[0] * 9999] * 9999] * 9999 }}", "more work than one expression may do"),
        ("{{ ([[[0] * 9999] * 9999] * 9999) | string }}", "more work than one expression may do"),
        ("{{ ([[[0] * 9999] * 9999] * 9999) ~ '' }}", "more work than one expression may do"),
        ("{{ ([['x' * 900000] * 900] * 900) | tojson }}", "more work than one expression may do"),
        ("{{ ('x' * 900000) + ('x' * 900000) }}", "would make a text of 1,800,000 characters"),
        ("{{ ('x' * 900000) ~ ('x' * 900000) }}", "would make a text of 1,800,000 characters"),
        ("{{ 'x' * 900000 }}{{ 'x' * 900000 }}", "would make a text of 1,800,000 characters"),
        ("{{ ('x' * 900000) | replace('x', 'yyyyyyyyyy') }}", "would make a text of 9,000,000 characters"),
        ("{{ ('x' * 900000) | replace('', 'y') }}", "would make a text of 1,800,001 characters"),
        ("{{ [1] | batch(10**9, 'x') }}", "would make a list of 1,000,000,001 items"),
        ("{{ range(20000) | join('x' * 1000) }}", "would make a text of"),
        ("{{ ('x ' * 400000) | split }}", "would make a list of 100,001 items"),
        ("{{ ('x,' * 400000) | split(',') }}", "would make a list of 100,001 items"),
        ("{{ ([range(40000)] * 3) | flatten }}", "would make a list of"),
        ("{{ ('x' * 900000) | urlencode }}", "would make a text of 10,800,000 characters"),
        ("{{ 'x' | replace('x', 'y' * 999999) | replace('y', 'zz') }}", "would make a text of 1,999,998 characters"),
        ("{{ 10 ** 10 ** 10 }}", "an integer beyond 64 bits"),
        ("{{ 7 ** 7 ** 7 ** 7 }}", "an integer beyond 64 bits"),
        ("{{ 2 ** 65 }}", "an integer beyond 64 bits"),
        ("{{ 2 ** 63 * 3 }}", "an integer beyond 64 bits"),
        ("{{ 10 ** -(10 ** 9) }}", "too small a number"),
        ("{{ ('9' * 100000) | int }}", "int cannot read text as a whole number"),
        ("{{ ('9' * 100000) | float }}", "float cannot read text as a number"),
        ("{{ '1e999' | float }}", "not a finite number"),
        ("{{ 'nan' | float }}", "not a finite number"),
        ("{{ 1 | round(10**9) }}", "round keeps at most 15 digits"),
        ("{{ 'x' | tojson(10**9) }}", "tojson indents by 0 to 8 spaces"),
        ("{{ '%999999999d' % 1 }}", "text % a number is not possible"),
        ("{{ '{:>999999999}'.format(1) }}", "calls are not allowed"),
        ("{{ '%*d' | format(999999999, 1) }}", "there is no filter 'format'"),
        ("{{ 'x' | center(10**9) }}", "there is no filter 'center'"),
        ("{{ 'x' | indent(10**9) }}", "there is no filter 'indent'"),
        ("{{ lipsum(n=10**6) }}", "calls are not allowed"),
    ],
)
def test_what_grows_is_refused_before_it_is_made(source: str, message: str) -> None:
    assert message in refusal(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ inputs._private }}",
        "{{ (1).real.__class__ }}",
        "{{ [].append }}",
        "{{ inputs.items() }}",
        "{{ inputs.keys }}",
        "{{ inputs.word.upper }}",
        "{{ inputs.word.format }}",
        "{{ inputs.list.sort }}",
        "{{ inputs | attr('__class__') }}",
        "{{ [inputs] | map(attribute='__class__') }}",
        "{{ [inputs] | map(attribute='a.__class__.b') }}",
        "{{ [''] | map('attr', '__class__') }}",
        "{{ [1] | map(inputs.word) }}",
        "{{ [1] | select(inputs.word) }}",
        "{{ [1] | sort(attribute=inputs.word) }}",
        "{{ [1] | sum(attribute='__x') }}",
        "{{ [{}] | selectattr('__class__') }}",
        "{{ [{}] | rejectattr('__class__.x', 'eq', 1) }}",
        "{{ [{}] | unique(attribute='_x') }}",
        "{{ [{}] | join(attribute='__doc__') }}",
        "{{ [{}] | max(attribute='__doc__') }}",
        "{{ self }}",
        "{{ self.__init__ }}",
        "{{ loop }}",
        "{{ caller() }}",
        "{{ varargs }}",
        "{{ request }}",
        "{{ config }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ joiner() }}",
        "{{ namespace(a=1) }}",
        "{{ dict(a=1) }}",
        "{{ range.__class__ }}",
        "{{ range }}",
        "{{ range(*[1]) }}",
        "{{ range(**{}) }}",
        "{{ range(stop=5) }}",
        "{{ range() }}",
        "{{ x.y(1)(2) }}",
        "{{ (range)(3)(4) }}",
        "{{ inputs | random }}",
        "{{ 'a' | safe }}",
        "{{ 'a' | escape }}",
        "{{ 'a' | xmlattr }}",
        "{{ 'a' | pprint }}",
        "{{ 'a' is callable }}",
        "{{ 'a' is sameas 'a' }}",
        "{{ 'a' is filter }}",
        "{{ inputs['__class__'] }}",
        "{{ _ }}",
        "{{ __import__('os') }}",
        "{{ [].__class__ }}",
        "{{ a.b }}",
        "{{ 1, 2 }}",
        "{{ x = 1 }}",
        "{{ (x := 1) }}",
        "{{ lambda: 1 }}",
        "{{ [x for x in y] }}",
        "{{ 1 if 2 }}",
        "{{ f'{1}' }}",
        "{{ yield }}",
        "{{ inputs.text; inputs.text }}",
        "{{ }}",
        "{{ {{ }} }}",
        "{{ inputs.word",
        "{{ 'abc }}",
        "{{ 'a\\d' }}",
        "{{ 'a\\ud800' }}",
        "{{ 'a\\0' }}",
        "{{ 1e999 }}",
        "{{ 99999999999999999999999 }}",
        "{{ 'a' | upper(1) }}",
        "{{ 'a' | replace('b') }}",
        "{{ 'a' | replace(*['b', 'c']) }}",
        "{{ 'a' | replace(old='a', nue='b') }}",
        "{{ 'a' | map }}",
        "{{ [1] | map('replace', 'a') }}",
        "{{ [1] | select('gt') }}",
        "{{ 1 is divisibleby }}",
    ],
)
def test_nothing_but_the_language_can_be_reached(source: str) -> None:
    assert refusal(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for x in range(10) %}{{ x }}{% endfor %}",
        "{%- set x = 1 -%}",
        "{% raw %}{{ x }}{% endraw %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% while true %}",
        "a {% b",
        "{# a comment #}",
        "{# {{ inputs.word }} #}",
        "# for x in y\n{{ x }}\n{% endfor %}",
    ],
)
def test_statements_and_comments_are_refused(source: str) -> None:
    assert "not allowed" in refusal(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a" * 1_000_000, "longer than the 65,536 characters"),
        ("{{ 'a' }}" * 200_000, "longer than the 65,536 characters"),
        ("{{ " + "(" * 30_000 + "1" + ")" * 30_000 + " }}", "more than 20 brackets inside each other"),
        ("{{ " + "[" * 60_000, "more than 20 brackets inside each other"),
        ("{{ " + "{'a': " * 5_000 + "1" + "}" * 5_000 + " }}", "more than 20 brackets inside each other"),
        ("{{ " + "not " * 900 + "1 }}", "nested"),
        ("{{ " + "-" * 4_000 + "1 }}", "nested"),
        ("{{ " + "1 if 1 else " * 300 + "1 }}", "nested"),
        ("{{ " + "1 ** " * 400 + "1 }}", "nested"),
        ("{{ " + "1 + " * 1_000 + "1 }}", "nested more than 40 levels deep"),
        ("{{ " + "1 and " * 500 + "1 }}", "nested more than 40 levels deep"),
        ("{{ 'a'" + " | upper" * 500 + " }}", "nested more than 40 levels deep"),
        ("{{ inputs" + ".a" * 500 + " }}", "nested more than 40 levels deep"),
        ("{{ [" + "1," * 2_400 + "1] }}", "more than 2,000 parts"),
        ("{{ 'a' ~ " * 9_000, "longer than the 65,536 characters"),
        ("{{ " + "a " * 20_000 + "}}", "more than 5,000 words and signs"),
        ("{{ " + "9" * 60_000 + " }}", "a number that is too large"),
        ("{{ 0x" + "f" * 60_000 + " }}", "an integer beyond 64 bits"),
        ("{{ '" + "a" * 60_000, "is no expression"),
        ("{{ inputs.word }}\0", "contains a NUL character"),
        ("\0", "contains a NUL character"),
        ("\ud800", "half of a surrogate pair"),
        ("{{ '\udfff' }}", "half of a surrogate pair"),
    ],
)
def test_templates_that_are_too_much_are_refused_before_they_are_parsed(source: str, message: str) -> None:
    assert message in refusal(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ([range(9000), range(9000)] * 100) | map('sort') | map('sort') | list }}",
        "{{ range(90000) | map('string') | map('upper') | map('lower') | join }}",
        "{{ range(90000) | unique | unique | unique }}",
        "{{ range(90000) | sort | reverse | sort }}",
        "{{ ([range(900)] * 900) | unique }}",
        "{{ ([inputs.text] * 9000) | sort }}",
        "{{ ([inputs.text] * 9000) | unique }}",
        "{{ ([inputs.text] * 9000) | map('upper') }}",
        "{{ inputs.text in [inputs.text ~ 'a'] * 9000 }}",
        "{{ [[inputs.list] * 900] * 900 == 1 or [[inputs.list] * 900] * 900 == [[inputs.list] * 900] * 900 }}",
        "{{ " + " ~ ".join(["(inputs.text * 90)"] * 12) + " }}",
        "{{ [" + ", ".join(["inputs.text | replace('x', 'yx')"] * 200) + "] }}",
        "{{ [" + ", ".join(["inputs.list | sort | first"] * 400) + "] }}",
        "{{ [" + ", ".join(["steps.big.items | map(attribute='text') | join | length"] * 300) + "] }}",
    ],
)
def test_work_is_bounded_however_it_is_chained(source: str) -> None:
    assert refusal(source)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_messages_stay_short_however_long_the_names_are() -> None:
    long = "a" * 50_000
    for source in (
        f"{{{{ inputs.{long} }}}}",
        f"{{{{ inputs.deep.{long}.b }}}}",
        f"{{{{ {long} }}}}",
        f"{{{{ inputs['{long}'].x.y }}}}",
        f"{{{{ 1 | {long} }}}}",
    ):
        assert refusal(source)
    with pytest.raises(ExpressionError) as caught:
        compile_value({long: ["{{ 1 / 0 }}"]}, path="params").evaluate({})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("source", ["{{ inputs.a }}", "{{ inputs.a | string }}", "{{ inputs.a == inputs.b }}", "{{ [inputs.a] | unique }}"])
def test_recursion_through_a_deep_value_is_refused(source: str) -> None:
    with pytest.raises(ExpressionError, match="nested"):
        compile_template(source, path="here").evaluate({"inputs": {"a": nested(10_000), "b": nested(10_000)}})


def test_the_whole_of_some_params_shares_one_budget() -> None:
    tree = compile_value(["{{ range(30000) | length }}"] * 20, path="params")
    with pytest.raises(ExpressionError, match="more work"):
        tree.evaluate({})
    assert compile_value(["{{ range(30000) | length }}"] * 3, path="params").evaluate({}) == [30_000] * 3
    assert MAX_WORK == 200_000


# Words that may stand next to each other: most of what comes out is refused, some is evaluated.
WORDS = ["inputs", ".text", ".list", "[0]", "[", "]", "(", ")", "{", "}", ":", ",", "|", "map", "sort", "join", "default", "'a'", "'%s'", "1", "10**9", "*", "**", "+", "~", "%", "if", "else", "is", "in", "not", "defined", "range", ".__class__", "attribute=", "steps", ".big", ".items", "first", "batch", "'x'*9"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_whatever_is_written_gives_json_or_an_expression_error(source: str) -> None:
    with suppress(ExpressionError):
        value = compile_template("{{ " + source + " }}", path="here").evaluate(NAMESPACE)
        assert check_json(value, path="value", max_bytes=2**31) == []


@given(st.text(max_size=300))
def test_any_text_is_a_template_or_an_expression_error(source: str) -> None:
    with suppress(ExpressionError):
        value = compile_template("{{" + source, path="here").evaluate(NAMESPACE)
        assert check_json(value, path="value", max_bytes=2**31) == []
