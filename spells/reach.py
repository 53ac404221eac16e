"""What stands at the end of a reference, as far as the schemas tell before anything has run."""

from collections.abc import Mapping
from typing import Any

from spells.expressions import Reference
from spells.problems import shown, suggestion

Schema = Mapping[str, Any]

# Nothing is known of the value: any way that leads on from here may exist.
ANYTHING: Schema = {}

_MAX_LEAPS = 20


class DeadEndError(Exception):
    """A reference leads to what cannot exist. The message says where it fails, and what there is instead."""


def list_of(schema: Schema) -> Schema:
    """Return the schema of a list of such values: what later steps see of a step under for_each."""
    return {"type": "array", "items": schema}


def types_of(schema: Schema) -> frozenset[str]:
    """Return the JSON types that a value may have; empty when the schema does not say."""
    types = schema.get("type", ())
    return frozenset([types] if isinstance(types, str) else types)


def follow(reference: Reference, schema: Schema, *, skip: int = 0) -> Schema:
    """Return the schema of the value at the end of a reference that begins, after `skip` parts, at a value of `schema`.

    Raises:
        DeadEndError: a closed object has no such property, or the value is of a kind that has no parts.
    """
    root, current = schema, _resolved(schema, schema)
    for place in range(skip, len(reference.path)):
        name = str(Reference(reference.root, reference.path[:place]))
        part = reference.path[place]
        current = _property(current, part, name) if isinstance(part, str) else _item(current, part, name)
        current = _resolved(current, root)
        if not current:
            return ANYTHING
    return current


def _property(schema: Schema, key: str, name: str) -> Schema:
    types = types_of(schema)
    if types and "object" not in types:
        hint = f"; its items may: {name}[0].{key}, or {name} | map(attribute={shown(key)})" if "array" in types else ""
        raise DeadEndError(f"{name} is {_words(types)}, which has no {shown(key)}{hint}")
    properties = schema.get("properties", {})
    if key in properties:
        return _schema(properties[key])
    open_ended = schema.get("additionalProperties", True)
    if open_ended is False and "patternProperties" not in schema:
        raise DeadEndError(f"{name} has no {shown(key)}{suggestion(key, properties)}")
    return _schema(open_ended) if not properties else ANYTHING


def _item(schema: Schema, index: Any, name: str) -> Schema:
    types = types_of(schema)
    if types and not types & {"array", "object", "string"}:
        raise DeadEndError(f"{name} is {_words(types)}, which has no items")
    if types == {"object"} and isinstance(index, int):
        raise DeadEndError(f"{name} is an object, which has no item {index}")
    if types == {"string"}:
        return {"type": "string"}
    if types != {"array"} or "prefixItems" in schema:
        return ANYTHING
    return _schema(schema.get("items", True))


def _schema(schema: Any) -> Schema:
    return schema if isinstance(schema, Mapping) else ANYTHING


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Follow references of the schema to places in itself; what combines several schemas is not looked into."""
    for _ in range(_MAX_LEAPS):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return ANYTHING if schema.keys() & {"allOf", "anyOf", "oneOf", "if"} else schema
        current: Any = root
        for part in reference.removeprefix("#").strip("/").split("/"):
            if part:
                current = current.get(part.replace("~1", "/").replace("~0", "~"), ANYTHING) if isinstance(current, Mapping) else ANYTHING
        schema = _schema(current)
    return ANYTHING


def _words(types: frozenset[str]) -> str:
    words = {"array": "a list", "boolean": "true or false", "integer": "a number", "null": "null", "object": "an object", "string": "text"}
    return " or ".join(sorted({words.get(name, "a number") for name in types}))
