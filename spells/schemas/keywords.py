"""JSON Schema 2020-12 with bounded work: jsonschema's keywords, each of which pays from one purse.

Replaced are the keywords whose time is not bounded by the size of value and schema: patterns (by RE2), `uniqueItems`
and `enum` (by hashing), `format` (by length). Those that would need the rest of the schema twice are refused.
"""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import attrs
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from .patterns import PatternError, matches

Keyword = Callable[[Any, Any, Any, dict[str, Any]], Iterator[ValidationError]]

# Keywords evaluated in one check; some 5 µs each.
MAX_WORK = 200_000

MAX_FORMAT_CHARS = 2_048
FORMATS = ("date", "time", "date-time", "duration", "email", "uri", "uuid", "ipv4", "ipv6")

UNSUPPORTED = frozenset(
    {"$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveRef", "$vocabulary", "unevaluatedItems", "unevaluatedProperties"}
)


class TooMuchWorkError(Exception):
    """Checking the value takes more steps than are allowed."""


class UnsupportedError(Exception):
    """The schema uses a keyword that is not supported here."""


class Unknown:
    """Stands in a value for what an expression will give. Fits any schema that allows one of its types, if they are known."""

    __slots__ = ("types",)

    def __init__(self, types: frozenset[str] = frozenset()) -> None:
        """Take the JSON types that the value may have; none when nothing is known."""
        self.types = types

    def may_be(self, wanted: list[str]) -> bool:
        """Tell whether the value may have one of the wanted types. A number may turn out to be an integer."""
        mine, theirs = ({"number" if name == "integer" else name for name in names} for names in (self.types, wanted))
        return not mine or not mine.isdisjoint(theirs)


purse: ContextVar[list[int]] = ContextVar("purse")
# The validators of those parts of the schema in use that were needed before, by the ids of the parts, which it keeps alive;
# and of what its references refer to, by the ids of where these stand.
parts: ContextVar[dict[int | tuple[str, int], Any]] = ContextVar("parts")


def pay(units: int) -> None:
    """Take from the purse of the check that is under way. Raises TooMuchWorkError when it is empty."""
    left = purse.get()
    left[0] -= units
    if left[0] < 0:
        raise TooMuchWorkError


def frozen(value: Any) -> Any:
    """Return something hashable that is equal for equal JSON values, with 1 and 1.0 equal and 1 and true not."""
    pay(1)
    if isinstance(value, dict):
        return ("object", frozenset((key, frozen(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(frozen(item) for item in value))
    return (isinstance(value, bool), value)


def has_unknown(value: Any) -> bool:
    """Tell whether an `Unknown` stands anywhere inside."""
    stack = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, Unknown):
            return True
        pay(1)
        stack.extend(current.values() if isinstance(current, dict) else current if isinstance(current, list) else ())
    return False


def _of_part(validator: Any, schema: Any) -> Any:
    """Return the validator of a part of the schema: the one that did so before, if there is one."""
    known = parts.get()
    inner = known.get(id(schema))
    if inner is None:
        inner = known[id(schema)] = validator.evolve(schema=schema)
    return inner


def _misfits(validator: Any, value: Any, schema: Any, *, name: str, rule: str) -> Iterator[ValidationError]:
    """Yield what keeps a member of a value from fitting a part of the schema. As `descend` does, which makes a validator each time."""
    for error in _of_part(validator, schema).iter_errors(value):
        error.path.appendleft(name)
        error.schema_path.appendleft(rule)
        yield error


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: dict[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, str):
        pay(len(instance) // 64)
        if not matches(pattern, instance):
            yield ValidationError("does not match the pattern")


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, _schema: dict[str, Any]) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        pay(len(instance))
        for name in instance:
            if matches(pattern, name):
                yield from _misfits(validator, instance[name], subschema, name=name, rule=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    declared, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    pay(len(instance) * (1 + len(patterns)))
    for name in instance:
        if name in declared or any(matches(pattern, name) for pattern in patterns):
            continue
        if allowed is False:
            error = ValidationError("is unknown")
            error.path.append(name)
            yield error
        else:
            yield from _misfits(validator, instance[name], allowed, name=name, rule=name)


def _properties(validator: Any, properties: dict[str, Any], instance: Any, _schema: dict[str, Any]) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for name, subschema in properties.items():
        if name in instance and subschema is False:
            error = ValidationError("must not be given")
            error.path.append(name)  # jsonschema names the object around it
            yield error
        elif name in instance:
            yield from _misfits(validator, instance[name], subschema, name=name, rule=name)


def _ref(validator: Any, ref: str, instance: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """Go on with what is referred to, which is looked up once: a lookup aborts in Rust when the stack ends there, where we catch nothing."""
    known = parts.get()
    place = ("$ref", id(schema))
    inner = known.get(place)
    if inner is None:
        found = validator._resolver.lookup(ref)
        inner = known[place] = validator.evolve(schema=found.contents, _resolver=found.resolver)
    yield from inner.iter_errors(instance)


_ITEMS = Draft202012Validator.VALIDATORS["items"]


def _items(validator: Any, items: Any, instance: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    if items is False or not isinstance(instance, list):
        yield from _ITEMS(validator, items, instance, schema) or ()
        return
    for index in range(len(schema.get("prefixItems", ())), len(instance)):
        inner = _of_part(validator, items)
        for error in inner.iter_errors(instance[index]):
            error.path.appendleft(index)
            yield error


def _required(_validator: Any, required: list[str], instance: Any, _schema: dict[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for name in required:
            if name not in instance:
                error = ValidationError("is missing")
                error.path.append(name)
                yield error


def _unique_items(_validator: Any, wanted: bool, instance: Any, _schema: dict[str, Any]) -> Iterator[ValidationError]:
    if wanted and isinstance(instance, list) and len({frozen(item) for item in instance}) != len(instance):
        yield ValidationError("has an item twice")


def _enum(_validator: Any, allowed: list[Any], instance: Any, _schema: dict[str, Any]) -> Iterator[ValidationError]:
    wanted = frozen(instance)
    # a container equals no scalar: only like is frozen and compared with like
    nested = isinstance(instance, dict | list)
    pay(len(allowed))
    if not any(frozen(item) == wanted for item in allowed if isinstance(item, dict | list) == nested):
        yield ValidationError("is not one of the allowed values")


def _format(validator: Any, name: str, instance: Any, _schema: dict[str, Any]) -> Iterator[ValidationError]:
    if (
        isinstance(instance, str)
        and name in FORMATS
        and (len(instance) > MAX_FORMAT_CHARS or not validator.format_checker.conforms(instance, name))
    ):
        yield ValidationError("has another format")


def _type(validator: Any, types: Any, instance: Any, _schema: dict[str, Any]) -> Iterator[ValidationError]:
    allowed = [types] if isinstance(types, str) else types
    fits = instance.may_be(allowed) if isinstance(instance, Unknown) else any(validator.is_type(instance, name) for name in allowed)
    if not fits:
        yield ValidationError("has another type")


def _refused(_validator: Any, _value: Any, _instance: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    raise UnsupportedError(", ".join(sorted(UNSUPPORTED & schema.keys())))


def _paid(name: str, keyword: Keyword) -> Keyword:
    # What holds of a container with gaps cannot be said by these; the others look at one place at a time.
    gaps_matter = name in {"const", "contains", "enum", "if", "not", "oneOf", "uniqueItems"}

    price = 5 if name == "$ref" else 1

    def paid(validator: Any, argument: Any, instance: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
        pay(price)
        if isinstance(instance, Unknown):
            if name in {"$ref", "allOf", "anyOf", "type"}:
                yield from keyword(validator, argument, instance, schema) or ()
            return
        if gaps_matter and isinstance(instance, dict | list) and has_unknown(instance):
            return
        yield from keyword(validator, argument, instance, schema) or ()

    return paid


_REPLACED: dict[str, Keyword] = {
    "$ref": _ref,
    "additionalProperties": _additional_properties,
    "enum": _enum,
    "format": _format,
    "items": _items,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "properties": _properties,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique_items,
    **dict.fromkeys(UNSUPPORTED, _refused),
}

BoundedValidator: Any = validators.extend(  # type: ignore[no-untyped-call]  # jsonschema does not annotate it
    Draft202012Validator,
    {name: _paid(name, keyword) for name, keyword in {**Draft202012Validator.VALIDATORS, **_REPLACED}.items()},
    format_checker=FormatChecker(FORMATS),
)


def _evolve(validator: Any, **changes: Any) -> Any:
    """Return the validator of a part of the schema, of the same kind: jsonschema's own would be of the kind that a `$schema` names there."""
    return attrs.evolve(validator, **changes)


BoundedValidator.evolve = _evolve

__all__ = ["BoundedValidator", "PatternError", "TooMuchWorkError", "Unknown", "UnsupportedError", "parts", "purse"]
