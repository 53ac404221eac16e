"""Fields of serializers that say in OpenAPI what JSON they hold, and a serializer that makes its fields once."""

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, TypeVar

from django.db.models import Model, TextChoices
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

M = TypeVar("M", bound=Model)


def json_field(schema: Mapping[str, Any], **options: Any) -> Any:
    """Return a read-only field of JSON that its documentation describes by a JSON Schema."""
    field: Any = serializers.JSONField(read_only=True, **options)
    return extend_schema_field(dict(schema))(field)


def choice_field(choices: type[TextChoices], **options: Any) -> serializers.ChoiceField:
    """Return a read-only field of one word of a vocabulary."""
    return serializers.ChoiceField(choices=choices.choices, read_only=True, **options)


class AnswerSerializer(serializers.ModelSerializer[M]):
    """Shows rows, and reads none. Its fields, which are the same for each answer, are made once and copied.

    The framework makes them anew for each serializer, which took a tenth of the time of a small request. Fields with
    others inside, which know to whom they belong, cannot be copied so, and are refused.
    """

    _made: ClassVar[dict[type, dict[str, Any]]] = {}

    def get_fields(self) -> dict[str, Any]:
        """Return fields that belong to no serializer yet."""
        made = self._made.get(type(self))
        if made is None:
            made = super().get_fields()
            nesting = [name for name, field in made.items() if isinstance(field, serializers.BaseSerializer) or hasattr(field, "child")]
            assert not nesting, f"{type(self).__name__} has fields with others inside: {', '.join(nesting)}"
            self._made[type(self)] = made
        return {name: copy(field) for name, field in made.items()}
