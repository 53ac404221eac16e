"""JSON and JSON Schema, with bounds on everything that a stranger may send."""

from spells.problems import Problem

from .checks import Checker, check, checker
from .defaults import complete
from .definitions import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, check_schema
from .keywords import Unknown
from .values import MAX_BYTES, MAX_DEPTH, MAX_INTEGER, MIN_INTEGER, check_json

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_INTEGER",
    "MAX_SCHEMA_BYTES",
    "MAX_SCHEMA_DEPTH",
    "MIN_INTEGER",
    "Checker",
    "Problem",
    "Unknown",
    "check",
    "check_json",
    "check_schema",
    "checker",
    "complete",
]
