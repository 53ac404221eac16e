"""A spell written down: what YAML and JSON documents say, and what a version of a spell holds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spells.models import OnFailure, Visibility
from spells.problems import Problem, ProblemsError, join_path
from spells.schemas import check, check_json

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_STEPS = 200
MAX_INPUTS = MAX_OUTPUTS = 100

_STEP_PLACE = re.compile(r"^steps\[(\d+)\]")
_NAME = r"^[A-Za-z][A-Za-z0-9_]{0,63}$"
_DAY = 86_400
_EXACT_BELOW = 1e16  # from here on Python writes a float with an exponent, and PostgreSQL reads an integer


class DocumentError(ProblemsError):
    """A document that cannot be read as a spell, or a version that cannot be written as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDocument:
    """One step. Empty texts and None mean: not given. Durations are whole seconds."""

    key: str
    tool: str
    params: Mapping[str, Any] = field(default_factory=dict)
    for_each: str = ""
    when: str = ""
    on_failure: str = OnFailure.FAIL.value
    max_attempts: int | None = None
    run_timeout: int | None = None
    deadline: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole spell.

    `inputs` maps names to JSON Schemas. An input must be given by the caster unless its schema has a `default`, or
    says `optional: true`, which is our own word. `outputs` maps names to JSON values with expressions.
    """

    slug: str
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    visibility: str = Visibility.PRIVATE.value
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    steps: tuple[StepDocument, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)


def _whole(most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most}


_STEP_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "key": {"type": "string", "pattern": r"^[a-z][a-z0-9_]*$", "maxLength": 64},
        "tool": {"type": "string", "minLength": 1, "maxLength": 100},
        "params": {"type": "object"},
        "for_each": {"type": "string"},
        "when": {"type": "string"},
        "on_failure": {"enum": list(OnFailure.values)},
        "max_attempts": _whole(100),
        "run_timeout": _whole(_DAY),
        "deadline": _whole(30 * _DAY),
    },
    "required": ["key", "tool"],
    "additionalProperties": False,
}

DOCUMENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "slug": {"type": "string", "pattern": r"^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 100},
        "name": {"type": "string", "minLength": 1, "maxLength": 200},
        "description": {"type": "string", "maxLength": 10_000},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 50}, "maxItems": 20, "uniqueItems": True},
        "visibility": {"enum": list(Visibility.values)},
        "inputs": {
            "type": "object",
            "propertyNames": {"pattern": _NAME},
            "additionalProperties": {"type": "object"},
            "maxProperties": MAX_INPUTS,
        },
        "steps": {"type": "array", "items": _STEP_SCHEMA, "maxItems": MAX_STEPS},
        "outputs": {"type": "object", "propertyNames": {"pattern": _NAME}, "maxProperties": MAX_OUTPUTS},
    },
    "required": ["slug", "steps"],
    "additionalProperties": False,
}


def shape_problems(data: Any) -> list[Problem]:
    """Return what keeps data from having the form of a document, whatever its expressions and tools."""
    problems = check_json(data, path="", max_bytes=MAX_DOCUMENT_BYTES) or _inexact_numbers(data) or check(data, DOCUMENT_SCHEMA, path="")
    return [Problem(_STEP_PLACE.sub(lambda found: _step_place(data, found), problem.path), problem.message) for problem in problems]


def _inexact_numbers(data: Any) -> list[Problem]:
    """Return a problem for the first float that would come back from PostgreSQL as an integer, and as another number."""
    stack = [(data, "")]
    while stack:
        value, path = stack.pop()
        if isinstance(value, float) and abs(value) >= _EXACT_BELOW:
            return [Problem(path, f"{value} is not kept exactly by every database; write an integer of at most 64 bits, or a text")]
        if isinstance(value, dict | list):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            stack.extend((inner, join_path(path, place)) for place, inner in pairs)
    return []


def _step_place(data: Any, found: re.Match[str]) -> str:
    """Return how a step is named in a problem: by its key, where it has one, for so it is named everywhere else."""
    key = data["steps"][int(found[1])].get("key") if isinstance(data["steps"][int(found[1])], dict) else None
    return f"steps.{key}" if isinstance(key, str) and key.isidentifier() else found[0]


def from_data(data: Any) -> Document:
    """Read a document from JSON data, as YAML, JSON or a request's body give it. Raises DocumentError."""
    problems = shape_problems(data)
    if problems:
        raise DocumentError(problems)
    return Document(
        slug=data["slug"],
        name=data.get("name", data["slug"].replace("-", " ").capitalize()),
        description=data.get("description", ""),
        tags=tuple(data.get("tags", ())),
        visibility=data.get("visibility", Visibility.PRIVATE.value),
        inputs=data.get("inputs", {}),
        steps=tuple(StepDocument(**step) for step in data["steps"]),
        outputs=data.get("outputs", {}),
    )


def to_data(document: Document) -> dict[str, Any]:
    """Return the JSON data of a document.

    Equal documents give equal data in the same order: free names are sorted, for no order of theirs survives in every
    database. What is as by default is left out, but for the name and the visibility.
    """
    data: dict[str, Any] = {
        "slug": document.slug,
        "name": document.name,
        "description": document.description,
        "tags": list(document.tags),
        "visibility": document.visibility,
        "inputs": {name: _arranged(schema) for name, schema in sorted(document.inputs.items())},
        "steps": [_step_data(step) for step in document.steps],
        "outputs": _arranged(document.outputs),
    }
    kept = ("slug", "name", "visibility", "steps")
    return {name: value for name, value in data.items() if value or name in kept}


def _step_data(step: StepDocument) -> dict[str, Any]:
    data: dict[str, Any] = {
        "key": step.key,
        "tool": step.tool,
        "for_each": step.for_each,
        "when": step.when,
        "params": _arranged(step.params),
        "on_failure": "" if step.on_failure == OnFailure.FAIL else step.on_failure,
        "max_attempts": step.max_attempts,
        "run_timeout": step.run_timeout,
        "deadline": step.deadline,
    }
    return {name: value for name, value in data.items() if value or name in {"key", "tool"}}


# What a reader of a schema looks for first.
_FIRST = {name: place for place, name in enumerate(("type", "title", "description", "optional", "default"))}


def _arranged(value: Any) -> Any:
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: (_FIRST.get(name, len(_FIRST)), name))
        return {name: _arranged(value[name]) for name in names}
    if isinstance(value, float):
        return value + 0.0  # -0.0 equals 0.0, and PostgreSQL knows but one zero
    return [_arranged(item) for item in value] if isinstance(value, list) else value
