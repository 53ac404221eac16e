"""Fields of serializers that say in OpenAPI what JSON they hold."""

from collections.abc import Mapping
from typing import Any

from django.db.models import TextChoices
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


def json_field(schema: Mapping[str, Any], **options: Any) -> Any:
    """Return a read-only field of JSON that its documentation describes by a JSON Schema."""
    field: Any = serializers.JSONField(read_only=True, **options)
    return extend_schema_field(dict(schema))(field)


def choice_field(choices: type[TextChoices], **options: Any) -> serializers.ChoiceField:
    """Return a read-only field of one word of a vocabulary."""
    return serializers.ChoiceField(choices=choices.choices, read_only=True, **options)
