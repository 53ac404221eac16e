"""A filter of lists by text."""

from typing import Any

from django_filters.rest_framework import CharFilter
from drf_spectacular.utils import extend_schema_field


def text_filter(*, max_length: int, help_text: str, **options: Any) -> CharFilter:
    """Return a filter by text of at most `max_length` characters, NUL not among them, and described so."""
    schema = {"type": "string", "maxLength": max_length, "pattern": r"^[^\u0000]*$", "description": help_text}
    return extend_schema_field(schema)(CharFilter(max_length=max_length, help_text=help_text, **options))
