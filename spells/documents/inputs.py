"""The inputs of a document as one JSON Schema, and back."""

from collections.abc import Mapping
from typing import Any

from spells.problems import Problem

from .document import Document, DocumentError

OPTIONAL = "optional"


def input_schema_of(document: Document) -> dict[str, Any]:
    """Return the schema of what a caster may give: an object with these properties and no other.

    Required is an input without a `default` that is not `optional`.
    """
    properties = {
        name: {keyword: value for keyword, value in schema.items() if keyword != OPTIONAL} for name, schema in document.inputs.items()
    }
    required = sorted(name for name, schema in document.inputs.items() if "default" not in schema and not schema.get(OPTIONAL))
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def input_problems(document: Document) -> list[Problem]:
    """Return what is wrong with the use of our own word in the schemas of inputs."""
    problems = []
    for name, schema in document.inputs.items():
        if OPTIONAL in schema and schema[OPTIONAL] is not True:
            problems.append(Problem(f"inputs.{name}.{OPTIONAL}", "can only be true; an input without it must be given"))
        elif OPTIONAL in schema and "default" in schema:
            problems.append(Problem(f"inputs.{name}.{OPTIONAL}", "is not needed: an input with a default need not be given"))
        elif isinstance(schema.get("required"), bool):
            problems.append(Problem(f"inputs.{name}.required", f"write `{OPTIONAL}: true` for an input that need not be given"))
    return problems


def inputs_of(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the inputs that a version's schema says. Raises DocumentError when it says more than a document can."""
    foreign = schema.keys() - {"type", "properties", "required", "additionalProperties"}
    if foreign or schema.get("type", "object") != "object" or schema.get("additionalProperties", False) is not False:
        raise DocumentError([Problem("input_schema", "must describe an object by properties and required alone")])
    required = schema.get("required", [])
    inputs = {}
    for name, property_schema in schema.get("properties", {}).items():
        inputs[name] = dict(property_schema)
        if name not in required and "default" not in property_schema:
            inputs[name][OPTIONAL] = True
    return inputs
