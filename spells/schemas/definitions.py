"""Whether a schema itself may be published."""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator

from spells.problems import MAX_PROBLEMS, Problem, join_path, shown

from .checks import check
from .keywords import UNSUPPORTED
from .patterns import PatternError, compiled
from .values import check_json

MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_DEPTH = 32

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Where schemas stand inside a schema.
_BY_NAME = ("$defs", "dependentSchemas", "patternProperties", "properties")
_IN_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_ALONE = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
# Where they judge the same value as the schema around them: a circle of these never ends.
_IN_PLACE = ("allOf", "anyOf", "oneOf", "else", "if", "not", "then")


def check_schema(schema: Any, *, path: str) -> list[Problem]:
    """Return what keeps `schema` from being a JSON Schema (2020-12) that may judge strangers' values.

    Beyond the standard's own rules: `$ref` only to a place in the same schema (`#/...`) and never in a circle, patterns
    that RE2 knows, defaults that fit, and none of the keywords that move or look past the place where they stand.
    """
    problems = check_json(schema, path=path, max_bytes=MAX_SCHEMA_BYTES, max_depth=MAX_SCHEMA_DEPTH)
    problems = problems or _breaches_of_the_standard(schema, path)
    return problems or _first(_breaches_of_ours(schema, path))


def _first(found: Iterator[Problem]) -> list[Problem]:
    return [problem for problem, _ in zip(found, range(MAX_PROBLEMS), strict=False)]


def _breaches_of_the_standard(schema: Any, path: str) -> list[Problem]:
    if not isinstance(schema, dict | bool):
        return [Problem(path, f"{shown(schema)} is not a JSON Schema: write an object like {{type: string}}")]
    errors = Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema)
    return _first(Problem(join_path(path, *error.absolute_path), f"is no JSON Schema: {_shortened(error.message)}") for error in errors)


def _shortened(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:200]}…"  # noqa: PLR2004 - a line or two


def _breaches_of_ours(schema: Any, path: str) -> Iterator[Problem]:
    stack = [(schema, path)]
    while stack:
        current, place = stack.pop()
        if not isinstance(current, Mapping):
            continue
        yield from _own_breaches(current, root=schema, place=place)
        stack.extend((inner, join_path(place, *parts)) for inner, parts in _subschemas(current))


def _subschemas(schema: Mapping[str, Any]) -> Iterator[tuple[Any, tuple[str | int, ...]]]:
    for keyword in _BY_NAME:
        yield from ((inner, (keyword, name)) for name, inner in schema.get(keyword, {}).items())
    for keyword in _IN_LISTS:
        yield from ((inner, (keyword, index)) for index, inner in enumerate(schema.get(keyword, [])))
    yield from ((schema[keyword], (keyword,)) for keyword in _ALONE if keyword in schema)


def _own_breaches(schema: Mapping[str, Any], *, root: Any, place: str) -> Iterator[Problem]:
    for keyword in sorted(UNSUPPORTED & schema.keys()):
        yield Problem(join_path(place, keyword), "is not supported")
    if schema.get("$schema", _DIALECT).rstrip("#") != _DIALECT:
        yield Problem(join_path(place, "$schema"), f"only {_DIALECT} is supported")
    if "$ref" in schema:
        yield from _reference_breaches(schema, root=root, place=join_path(place, "$ref"))
    for pattern in (*schema.get("patternProperties", ()), *([schema["pattern"]] if "pattern" in schema else ())):
        try:
            compiled(pattern)
        except PatternError as error:
            yield Problem(join_path(place, "pattern"), f"{shown(pattern)} {error}")
    if "default" in schema:
        yield from check(schema["default"], schema, root=root, path=join_path(place, "default"))


def _reference_breaches(schema: Mapping[str, Any], *, root: Any, place: str) -> Iterator[Problem]:
    reference = schema["$ref"]
    if not reference.startswith("#"):
        yield Problem(place, f"{shown(reference)} leaves this schema; only places in it, like #/$defs/name, can be referred to")
    elif _target(root, reference) is None:
        yield Problem(place, f"{shown(reference)} is no place in this schema")
    elif _circles(schema, root):
        yield Problem(place, f"{shown(reference)} leads back here without end")


def _target(root: Any, reference: str) -> Any:
    """Return the schema at a local reference, or None."""
    current = root
    if reference in {"#", "#/"}:
        return root
    if not reference.startswith("#/"):
        return None
    for raw in reference.removeprefix("#/").split("/"):
        part = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(current, list) and part.isdecimal() and int(part) < len(current):
            current = current[int(part)]
        elif isinstance(current, dict) and part in current:
            current = current[part]
        else:
            return None
    return current if isinstance(current, dict | bool) else None


def _circles(start: Mapping[str, Any], root: Any) -> bool:
    """Tell whether judging one value by `start` judges the same value by `start` again."""
    seen: set[int] = set()
    stack: list[Any] = [start]
    while stack:
        current = stack.pop()
        if not isinstance(current, Mapping):
            continue
        if id(current) in seen:
            if current is start:
                return True
            continue
        seen.add(id(current))
        if isinstance(current.get("$ref"), str):
            stack.append(_target(root, current["$ref"]))
        for keyword in _IN_PLACE:
            inner = current.get(keyword, ())
            stack.extend(inner if isinstance(inner, list) else [inner])
    return False
