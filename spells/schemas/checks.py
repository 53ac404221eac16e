"""Whether a value fits a JSON Schema, told in words that name the place."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonschema import FormatChecker, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from spells.problems import MAX_PROBLEMS, Problem, join_path, shown, suggestion

from .keywords import FORMATS, MAX_WORK, BoundedValidator, PatternError, TooMuchWorkError, Unknown, UnsupportedError, parts, purse

# Knows no document and fetches none: a `$ref` that leaves its own schema cannot be resolved.
_REGISTRY: Registry[Any] = Registry()
_FORMAT_CHECKER = FormatChecker(FORMATS)

_ARTICLES = {"array": "a list", "boolean": "true or false", "integer": "an integer", "null": "null", "number": "a number"}
_NOUNS = {**_ARTICLES, "object": "an object", "string": "text"}


# Checkers kept by one process, and the characters of JSON that the schema of one may have.
MAX_KEPT = 256
MAX_KEPT_CHARS = 64 * 1024


class Checker:
    """A schema by which values are checked. What is made of it for one value serves the next: it must not change meanwhile."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Take the schema, which may be a stranger's: whether it can be used at all shows when a value is checked."""
        self._schema = schema
        self._validator: Any = None
        self._parts: dict[int | tuple[str, int], Any] = {}

    def check(self, value: Any, *, path: str, part: Mapping[str, Any] | None = None) -> list[Problem]:
        """Return what keeps a JSON value from fitting the schema, or a `part` of it. As the function `check`."""
        tokens = purse.set([MAX_WORK]), parts.set(self._parts)
        try:
            if self._validator is None:
                self._validator = BoundedValidator(self._schema, registry=_REGISTRY, format_checker=_FORMAT_CHECKER)
            validator = self._validator if part is None else self._validator.evolve(schema=part)
            return list(_told(validator.iter_errors(value), path))
        except TooMuchWorkError:
            return [Problem(path, "is too large to be checked against its schema")]
        except RecursionError:
            return [Problem(path, "cannot be checked: value or schema is nested too deeply, or the schema refers to itself without end")]
        except UnsupportedError as error:
            return [Problem(path, f"cannot be checked: its schema uses {error}, which is not supported")]
        except PatternError as error:
            return [Problem(path, f"cannot be checked: a pattern of its schema {error}")]
        except Unresolvable as error:
            return [Problem(path, f"cannot be checked: its schema has no {shown(str(error.ref))}")]
        finally:
            purse.reset(tokens[0])
            parts.reset(tokens[1])


def checker(schema: Mapping[str, Any]) -> Checker:
    """Return what checks values by a schema of this very content: the one that did so before, if it is still kept."""
    text = json.dumps(schema)
    return _kept(text) if len(text) <= MAX_KEPT_CHARS else Checker(schema)


@lru_cache(maxsize=MAX_KEPT)
def _kept(text: str) -> Checker:
    return Checker(json.loads(text))


def check(value: Any, schema: Mapping[str, Any], *, path: str, root: Mapping[str, Any] | None = None) -> list[Problem]:
    """Return what keeps a JSON value from fitting a schema, at most `MAX_PROBLEMS`; `path` is the name of the value.

    `root` is the schema in which a part of one stands: what its references refer to.
    Both may come from strangers: work is bounded, patterns take linear time, nothing is fetched. A schema that cannot
    be used, or a check that would take too long, is a problem too. Never raises.
    """
    return Checker(schema).check(value, path=path) if root is None else Checker(root).check(value, path=path, part=schema)


def _told(errors: Iterable[ValidationError], path: str) -> Iterator[Problem]:
    seen = set()
    for error in errors:
        problem = Problem(join_path(path, *error.absolute_path), _message(error))
        if problem not in seen:
            seen.add(problem)
            yield problem
        if len(seen) >= MAX_PROBLEMS:
            return


def _message(error: ValidationError) -> str:
    rule, limit, value = str(error.validator), error.validator_value, error.instance
    if rule in _TELLERS:
        return _TELLERS[rule](error)
    if rule in _BOUNDS:
        return _BOUNDS[rule].format(value=_subject(value), limit=shown(limit))
    return f"{_subject(value)} does not satisfy `{rule}` of its schema" if error.validator else "must not be given"


def _of_type(error: Any) -> str:
    wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    return f"{_subject(error.instance)} is not {' or '.join(_NOUNS.get(name, name) for name in wanted)}"


def _of_unknown(error: Any) -> str:
    return f"is unknown{suggestion(str(error.path[-1]), error.schema.get('properties', {}))}"


def _of_choice(error: Any) -> str:
    allowed = error.validator_value if error.validator == "enum" else [error.validator_value]
    listed = ", ".join(shown(item) for item in allowed[:10]) + (", …" if len(allowed) > 10 else "")  # noqa: PLR2004 - enough to see
    return f"{_subject(error.instance)} is not one of: {listed}"


def _of_forms(error: Any) -> str:
    if not error.context:
        return f"{_subject(error.instance)} fits more than one of the allowed forms"
    return f"fits none of the allowed forms: {'; or '.join(dict.fromkeys(_message(inner) for inner in error.context[:5]))}"


_TELLERS: dict[str, Callable[[Any], str]] = {
    "additionalProperties": _of_unknown,
    "anyOf": _of_forms,
    "const": _of_choice,
    "enum": _of_choice,
    "oneOf": _of_forms,
    "properties": lambda _error: "must not be given",
    "required": lambda _error: "is missing",
    "type": _of_type,
}


def _subject(value: Any) -> str:
    if isinstance(value, Unknown):
        return f"what the expression gives, {' or '.join(sorted(_NOUNS.get(name, name) for name in value.types))},"
    return shown(value)


_BOUNDS = {
    "minimum": "{value} is less than {limit}",
    "maximum": "{value} is greater than {limit}",
    "exclusiveMinimum": "{value} is not greater than {limit}",
    "exclusiveMaximum": "{value} is not less than {limit}",
    "multipleOf": "{value} is no multiple of {limit}",
    "minLength": "{value} is shorter than {limit} characters",
    "maxLength": "{value} is longer than {limit} characters",
    "minItems": "has fewer than {limit} items",
    "maxItems": "has more than {limit} items",
    "minProperties": "has fewer than {limit} properties",
    "maxProperties": "has more than {limit} properties",
    "pattern": "{value} does not match the pattern {limit}",
    "format": "{value} is no {limit}",
    "uniqueItems": "has the same item twice",
}
