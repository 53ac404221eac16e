"""The form of a trait tree's document, and how large it may be."""

from typing import Any

from .numbers import MAX_SEED

MAX_TREE_BYTES = 256 * 1024  # as compact JSON
MAX_TEXT_BYTES = 1024 * 1024  # as text, with what makes it readable
MAX_CATEGORIES = 64
MAX_TRAITS = 1_000  # of one category
MAX_TRAITS_IN_ALL = 3_000
MAX_RULES = 200
MAX_NAME_CHARS = 64
MAX_VALUE_CHARS = 200
MAX_PROMPT_CHARS = 4_000
MAX_WEIGHT = 1_000_000_000
MAX_RANGE_BOUND = 10**15


def _text(most: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": most}


def _integer(least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_CONDITION_SCHEMA = {"type": "object", "minProperties": 1, "maxProperties": MAX_CATEGORIES}
_TRAIT_SCHEMA = _object(
    ["value"],
    value=_text(MAX_VALUE_CHARS),
    prompt={"type": "string", "maxLength": MAX_PROMPT_CHARS},
    weight={"type": "number", "minimum": 0, "maximum": MAX_WEIGHT},
)
_RANGE_SCHEMA = _object(
    ["start", "end"],
    start=_integer(-MAX_RANGE_BOUND, MAX_RANGE_BOUND),
    end=_integer(-MAX_RANGE_BOUND, MAX_RANGE_BOUND),
    step=_integer(1, MAX_RANGE_BOUND),
    zero_pad=_integer(0, 20),
    unique={"type": "boolean"},
    shuffle_seed=_integer(0, MAX_SEED),
)
_CATEGORY_SCHEMA = _object(
    ["name"],
    name=_text(MAX_NAME_CHARS),
    traits={"type": "array", "items": _TRAIT_SCHEMA, "minItems": 1, "maxItems": MAX_TRAITS},
    range=_RANGE_SCHEMA,
    when=_CONDITION_SCHEMA,
)
_RULE_SCHEMA = _object(
    [],
    exclude=_CONDITION_SCHEMA,
    when=_CONDITION_SCHEMA,
    require=_CONDITION_SCHEMA,
    one_of={"type": "array", "items": _CONDITION_SCHEMA, "minItems": 2, "maxItems": MAX_CATEGORIES},
)
TREE_SCHEMA = _object(
    ["categories"],
    categories={"type": "array", "items": _CATEGORY_SCHEMA, "minItems": 1, "maxItems": MAX_CATEGORIES},
    rules={"type": "array", "items": _RULE_SCHEMA, "maxItems": MAX_RULES},
)
