"""Spells as documents: read from and written to YAML and JSON, and stored as drafts."""

from .document import (
    DOCUMENT_SCHEMA,
    MAX_DOCUMENT_BYTES,
    MAX_STEPS,
    Document,
    DocumentError,
    StepDocument,
    from_data,
    shape_problems,
    to_data,
)
from .drafts import NotOwnerError, document_of, key_problems, save_draft, tool_problems, tools_of
from .inputs import OPTIONAL, input_problems, input_schema_of, inputs_of
from .text import Format, dump, load, parse

__all__ = [
    "DOCUMENT_SCHEMA",
    "MAX_DOCUMENT_BYTES",
    "MAX_STEPS",
    "OPTIONAL",
    "Document",
    "DocumentError",
    "Format",
    "NotOwnerError",
    "StepDocument",
    "document_of",
    "dump",
    "from_data",
    "input_problems",
    "input_schema_of",
    "inputs_of",
    "key_problems",
    "load",
    "parse",
    "save_draft",
    "shape_problems",
    "to_data",
    "tool_problems",
    "tools_of",
]
