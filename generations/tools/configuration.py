"""A tool's configuration, and the secrets that it names."""

import os
from collections.abc import Mapping
from typing import Any

from spells.schemas import check, complete

from .contract import Request, ToolError

SECRET_SCHEMA = {
    "type": "object",
    "description": "A secret, by the name of the environment variable that holds it.",
    "properties": {"env": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$", "maxLength": 100}},
    "required": ["env"],
    "additionalProperties": False,
}

HEADER_NAME = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"
HEADER_VALUE = "^[\\x20-\\x7e]*$"


def headers_schema(description: str) -> dict[str, Any]:
    """Return the schema of configured headers: by name a text, or a secret."""
    return {
        "type": "object",
        "description": description,
        "additionalProperties": {"anyOf": [{"type": "string", "pattern": HEADER_VALUE, "maxLength": 2000}, SECRET_SCHEMA]},
        "propertyNames": {"pattern": HEADER_NAME},
        "maxProperties": 50,
        "default": {},
    }


# Secrets of this installation that are never sent anywhere, whatever a tool's configuration says.
RESERVED = frozenset({"DJANGO_SECRET_KEY", "DATABASE_URL"})


def read_config(request: Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tool's configuration with its defaults.

    Raises:
        ToolError: permanent, `bad_config`: it does not fit its adapter's schema.
    """
    problems = check(dict(request.config), schema, path="config")
    if problems:
        told = "; ".join(f"{problem.path} {problem.message}" for problem in problems[:5])
        raise ToolError(f"The tool {request.tool} is not configured right: {told}.", code="bad_config", permanent=True)
    return complete(request.config, schema)


def read_secret(name: str, *, tool: str) -> str:
    """Return the value of an environment variable that a configuration names.

    Raises:
        ToolError: permanent, `secret_missing`: it is not set, or may not be used.
    """
    value = "" if name in RESERVED else os.environ.get(name, "")
    if not value:
        why = "may not be used by a tool" if name in RESERVED else "is not set"
        raise ToolError(f"The tool {tool} needs the environment variable {name}, which {why}.", code="secret_missing", permanent=True)
    return value


def read_headers(headers: Mapping[str, Any], *, tool: str) -> dict[str, str]:
    """Return configured headers with their secrets. Raises ToolError as `read_secret`."""
    return {name: value if isinstance(value, str) else read_secret(value["env"], tool=tool) for name, value in headers.items()}
