"""Each filter and test, and what it refuses."""

from typing import Any

import pytest

from spells.expressions import FILTERS, PREDICATES, ExpressionError, compile_template

NAMESPACE = {
    "inputs": {
        "people": [{"name": "Mara", "age": 41, "ship": {"tons": 9}}, {"name": "ada", "age": 36}, {"name": "Bo", "age": None}],
        "mixed": [1, "a", None],
        "words": ["sea", "Storm", "light"],
    },
    "steps": {},
}

CASES = [
    ("{{ -3 | abs }}", 3),
    ("{{ (-3) | abs }}", 3),
    ("{{ [1, 2, 3] | batch(2) }}", [[1, 2], [3]]),
    ("{{ [1, 2, 3] | batch(2, 0) }}", [[1, 2], [3, 0]]),
    ("{{ [] | batch(2, 0) }}", []),
    ("{{ 'sea STORM' | capitalize }}", "Sea storm"),
    ("{{ inputs.words | count }}", 3),
    ("{{ inputs.none | d(1) }}", 1),
    ("{{ inputs.none | default([]) }}", []),
    ("{{ [1, 2] | first }}", 1),
    ("{{ 'ab' | first }}", "a"),
    ("{{ [[1], [2, 3], 4] | flatten }}", [1, 2, 3, 4]),
    ("{{ '1.5' | float }}", 1.5),
    ("{{ 2 | float }}", 2.0),
    ("{{ 'x' | float(0.5) }}", 0.5),
    ("{{ [1] | float(0.5) }}", 0.5),
    ("{{ ' 12 ' | int }}", 12),
    ("{{ 3.9 | int }}", 3),
    ("{{ -3.9 | int }}", -3),
    ("{{ true | int }}", 1),
    ("{{ 'x' | int(0) }}", 0),
    ("{{ none | int(7) }}", 7),
    ("{{ {'b': 1, 'a': 2} | items }}", [["a", 2], ["b", 1]]),
    ("{{ inputs.words | join(', ') }}", "sea, Storm, light"),
    ("{{ [1, true] | join }}", "1true"),
    ("{{ inputs.people[:2] | join('+', attribute='name') }}", "Mara+ada"),
    ("{{ [1, 2] | last }}", 2),
    ("{{ {'a': 1} | length }}", 1),
    ("{{ 'abc' | length }}", 3),
    ("{{ 'abc' | list }}", ["a", "b", "c"]),
    ("{{ {'a': 1} | list }}", ["a"]),
    ("{{ 'AbC' | lower }}", "abc"),
    ("{{ inputs.people | map(attribute='name') }}", ["Mara", "ada", "Bo"]),
    ("{{ inputs.people | map(attribute='ship.tons', default=0) }}", [9, 0, 0]),
    ("{{ [[1, 2], [3]] | map(attribute=0) }}", [1, 3]),
    ("{{ [{'a': [5]}] | map(attribute='a.0') }}", [5]),
    ("{{ inputs.words | map('upper') | list }}", ["SEA", "STORM", "LIGHT"]),
    ("{{ inputs.words | map('replace', 's', 'z') }}", ["zea", "Storm", "light"]),
    ("{{ [3, 9, 4] | max }}", 9),
    ("{{ (inputs.people[:2] | max(attribute='age')).name }}", "Mara"),
    ("{{ ['b', 'A'] | min }}", "A"),
    ("{{ ['b', 'A'] | max(case_sensitive=true) }}", "b"),
    ("{{ [0, 1, '', 'x', none] | reject }}", [0, "", None]),
    ("{{ [1, 2, 3] | reject('odd') }}", [2]),
    ("{{ inputs.people | rejectattr('age') | map(attribute='name') }}", ["Bo"]),
    ("{{ 'banana' | replace('a', 'o') }}", "bonono"),
    ("{{ 'banana' | replace('a', 'o', 2) }}", "bonona"),
    ("{{ 'abc' | reverse }}", "cba"),
    ("{{ [1, 2] | reverse }}", [2, 1]),
    ("{{ 2.567 | round(2) }}", 2.57),
    ("{{ 2.1 | round(0, 'ceil') }}", 3.0),
    ("{{ 29 | round(-1, 'floor') }}", 20.0),
    ("{{ 2.5 | round | int }}", 2),
    ("{{ [0, 1, '', 'x', none] | select }}", [1, "x"]),
    ("{{ [1, 5, 9] | select('gt', 4) }}", [5, 9]),
    ("{{ [1, 'a', none] | select('string') }}", ["a"]),
    ("{{ inputs.people | selectattr('ship') | map(attribute='name') }}", ["Mara"]),
    ("{{ inputs.people | selectattr('ship.tons', 'eq', 9) | length }}", 1),
    ("{{ inputs.people | selectattr('name', 'in', ['ada']) | length }}", 1),
    ("{{ ['b', 'C', 'a'] | sort }}", ["a", "b", "C"]),
    ("{{ ['b', 'C', 'a'] | sort(case_sensitive=true) }}", ["C", "a", "b"]),
    ("{{ [3, 1.5, 2] | sort(reverse=true) }}", [3, 2, 1.5]),
    ("{{ inputs.people[:2] | sort(attribute='age') | map(attribute='name') }}", ["ada", "Mara"]),
    ("{{ 'a b  c' | split }}", ["a", "b", "c"]),
    ("{{ 'a,b,c' | split(',', 1) }}", ["a", "b,c"]),
    ("{{ 5 | string }}", "5"),
    ("{{ [1, {'a': true}] | string }}", '[1,{"a":true}]'),
    ("{{ [1, 2.5] | sum }}", 3.5),
    ("{{ [] | sum }}", 0),
    ("{{ inputs.people[:2] | sum(attribute='age') }}", 77),
    ("{{ [1] | sum(start=10) }}", 11),
    ("{{ 'the LAMP' | title }}", "The Lamp"),
    ("{{ {'a': [1, none]} | tojson }}", '{"a":[1,null]}'),
    ("{{ 'é\"' | tojson }}", '"é\\""'),
    ("{{ [1] | tojson(2) }}", "[\n  1\n]"),
    ("{{ ' a ' | trim }}", "a"),
    ("{{ '--a-' | trim('-') }}", "a"),
    ("{{ 'one two three' | truncate(9) }}", "one two…"),
    ("{{ 'one two three' | truncate(9, true, '') }}", "one two t"),
    ("{{ 'short' | truncate(9) }}", "short"),
    ("{{ ['a', 'A', 'b', 1, true, 1.0] | unique }}", ["a", "b", 1, True]),
    ("{{ ['a', 'A'] | unique(case_sensitive=true) }}", ["a", "A"]),
    ("{{ [{'a': [1]}, {'a': [1]}, {'a': [2]}] | unique }}", [{"a": [1]}, {"a": [2]}]),
    ("{{ inputs.people | unique(attribute='age') | length }}", 3),
    ("{{ 'straße' | upper }}", "STRASSE"),
    ("{{ 'a b/ü' | urlencode }}", "a%20b%2F%C3%BC"),
    ("{{ 'one two' | wordcount }}", 2),
]

REFUSED = [
    ("{{ 'a' | abs }}", "abs needs a number, not text"),
    ("{{ [1] | batch(0) }}", "batch needs a size of at least 1"),
    ("{{ 'ab' | batch(1) }}", "batch needs a list, not text"),
    ("{{ 1 | capitalize }}", "capitalize needs text, not a number"),
    ("{{ {} | first }}", "first needs a list, not an object"),
    ("{{ 'x' | float }}", "float cannot read 'x' as a number; float(0.0) would give 0.0 instead"),
    ("{{ none | float }}", "float cannot read null as a number"),
    ("{{ 'x' | int }}", "int cannot read 'x' as a whole number; int(0) would give 0 instead"),
    ("{{ none | int }}", "int cannot read null as a whole number"),
    ("{{ 1e300 | int }}", "the result is an integer beyond 64 bits"),
    ("{{ [1] | items }}", "items needs an object, not a list"),
    ("{{ 'a' | join }}", "join needs a list, not text"),
    ("{{ [1, none] | join(',') }}", "item 1 is null, which has no text; write {{ item 1 or '' }} if that is meant"),
    ("{{ 1 | length }}", "a number has no length"),
    ("{{ 1 | list }}", "a number cannot become a list"),
    ("{{ inputs.people | map(attribute='ship') }}", "item 1 has no 'ship'; it has: name, age"),
    ("{{ inputs.mixed | map(attribute='x') }}", "item 0 is a number, which has no 'x'"),
    ("{{ [none] | map(attribute='x') }}", "item 0 is null, so it has no 'x'; leave such items out with | select"),
    ("{{ [1] | map }}", "map needs the name of a filter and its arguments in order, or attribute='…'"),
    ("{{ [1] | map('upper', attribute='x') }}", "map takes the name of a filter or an attribute, not both"),
    ("{{ [1] | map('int', default=0) }}", "map needs the name of a filter and its arguments in order, or attribute='…'"),
    ("{{ inputs.mixed | max }}", "only numbers, or only texts, have an order; these are a number, null, text"),
    ("{{ inputs.mixed | sort }}", "only numbers, or only texts, have an order; these are a number, null, text"),
    ("{{ 'a' | replace(1, 'b') }}", "replace needs text, not a number"),
    ("{{ 1 | reverse }}", "reverse needs a list, not a number"),
    ("{{ 1 | round(0, 'up') }}", "round's method is common, ceil or floor"),
    ("{{ 'a' | round }}", "round needs a number, not text"),
    ("{{ 'a' | split('') }}", "split needs a separator that is not empty"),
    ("{{ none | string }}", "the value is null, which has no text; write {{ the value or '' }} if that is meant"),
    ("{{ [1, 'a'] | sum }}", "sum adds numbers, not text"),
    ("{{ [{}] | selectattr('a', 'gt', 1) }}", "null > a number is not possible: only two numbers or two texts have an order"),
    ("{{ 'abc' | truncate(1, false, '...') }}", "truncate cannot cut to 1 characters and append 3"),
    ("{{ 3 is divisibleby 0 }}", "nothing is divisible by zero"),
    ("{{ 'a' is odd }}", "odd needs a whole number, not text"),
    ("{{ 'a' | uppr }}", "there is no filter 'uppr'; did you mean 'upper'?"),
    ("{{ 'a' is strin }}", "there is no test 'strin'; did you mean 'string'?"),
    ("{{ 'a' | replace('b') }}", "filter 'replace' takes (old, new, count): missing a required argument: 'new'"),
    ("{{ [1] | select('gt') }}", "test 'gt' takes (other): missing a required argument: 'other'"),
]

TESTS = [
    ("defined", "inputs", "inputs.x"),
    ("undefined", "inputs.x", "inputs"),
    ("none", "none", "0"),
    ("boolean", "false", "0"),
    ("true", "true", "1"),
    ("false", "false", "0"),
    ("number", "1.5", "true"),
    ("integer", "1", "1.0"),
    ("float", "1.0", "1"),
    ("string", "''", "1"),
    ("mapping", "{}", "[]"),
    ("sequence", "[]", "'a'"),
    ("divisibleby(3)", "6", "7"),
    ("odd", "3", "4"),
    ("even", "4", "3"),
    ("eq(1)", "1", "true"),
    ("equalto('a')", "'a'", "'b'"),
    ("ne(1)", "2", "1"),
    ("lt(2)", "1", "2"),
    ("lessthan(2)", "1", "2"),
    ("le(2)", "2", "3"),
    ("gt(2)", "3", "2"),
    ("greaterthan(2)", "3", "2"),
    ("ge(2)", "2", "1"),
    ("in([1])", "1", "2"),
]


def value(source: str) -> Any:
    return compile_template(source, path="here").evaluate(NAMESPACE)


@pytest.mark.parametrize(("source", "expected"), CASES)
def test_filters(source: str, expected: Any) -> None:
    assert value(source) == expected
    assert type(value(source)) is type(expected)


@pytest.mark.parametrize(("source", "message"), REFUSED)
def test_filters_refuse_what_they_cannot_do(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(source)
    assert caught.value.message == message


@pytest.mark.parametrize(("test", "holds", "fails"), TESTS)
def test_tests(test: str, holds: str, fails: str) -> None:
    assert value(f"{{{{ {holds} is {test} }}}}") is True
    assert value(f"{{{{ {fails} is {test} }}}}") is False
    assert value(f"{{{{ {fails} is not {test} }}}}") is True


def test_every_filter_and_every_test_is_tested_here() -> None:
    used = {name for source, _ in CASES for name in FILTERS if f"| {name}" in source}
    assert used == set(FILTERS)
    assert {name.partition("(")[0] for name, _, _ in TESTS} == set(PREDICATES)
