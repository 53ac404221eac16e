"""The declaration of a tool, as data beside its adapter, and the pieces that schemas share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from spells.models.tool import Effects, Recovery

Schema = Mapping[str, Any]

# What the `example` of a tool names where it takes a picture; whoever runs the example puts one of theirs there.
EXAMPLE_IMAGE_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
EXAMPLE_IMAGE = {"artifact": str(EXAMPLE_IMAGE_ID)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDefinition:
    """A tool that comes with its adapter. `manage.py sync_tools` makes a row of it.

    The name, description, category, schemas, effects and recovery are the code's and are written at each
    sync; all else is where an operator starts from and is written once. `input_schema` and `output_schema` are JSON
    Schema of 2020-12, durations are seconds, `pricing` holds decimal strings in US dollars. `example` are params
    that work. `provider` is the slug of the service that the tool calls, whose limits and outages it shares.
    """

    slug: str
    name: str
    description: str
    category: str
    input_schema: Schema
    output_schema: Schema
    example: Mapping[str, Any]
    effects: Effects = Effects.PURE
    recovery: Recovery = Recovery.NONE
    config: Mapping[str, Any] = field(default_factory=dict)
    pricing: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 3
    backoff_seconds: float = 1.0
    max_backoff_seconds: float = 300.0
    retry_lost_jobs: bool = False
    run_timeout_seconds: int = 60
    deadline_seconds: int = 3600
    provider: str = ""


def object_schema(properties: Mapping[str, Any], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of an object that has these properties and no others."""
    schema: dict[str, Any] = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return schema


def artifact_schema(description: str, *, kind: str = "") -> dict[str, Any]:
    """Return the schema of a reference to an artefact. `kind` (`image` ...) tells clients what to ask for."""
    schema: dict[str, Any] = {
        "type": "object",
        "description": description,
        "required": ["artifact"],
        "properties": {
            "artifact": {"type": "string", "format": "uuid", "description": "The id of the artefact."},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "The hash of its bytes."},
            "mime_type": {"type": "string", "maxLength": 127, "description": "Its MIME type."},
            "size": {"type": "integer", "minimum": 0, "description": "Its size in bytes."},
            "source_url": {"type": "string", "maxLength": 8192, "description": "Where its provider had put it."},
            "preview": {"type": "string", "maxLength": 500, "description": "How a text begins that was too large for an output."},
        },
        "additionalProperties": False,
    }
    if kind:
        schema["x-kind"] = kind
    return schema


def text_schema(description: str, *, max_length: int = 200_000, **more: Any) -> dict[str, Any]:
    """Return the schema of a string of at most `max_length` characters."""
    return {"type": "string", "description": description, "maxLength": max_length, **more}


def integer_schema(description: str, *, minimum: int, maximum: int, **more: Any) -> dict[str, Any]:
    """Return the schema of an integer between two bounds, both included."""
    return {"type": "integer", "description": description, "minimum": minimum, "maximum": maximum, **more}


# Up to what JavaScript, and so every client, holds exactly.
SEED_SCHEMA = integer_schema(
    "Chooses among the many that fit: the same seed gives the same again.", minimum=0, maximum=2**53 - 1, default=0
)
