"""Spells, their versions and tools as clients see them; and what clients say of a spell."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from spells.documents import DOCUMENT_SCHEMA, DocumentError, document_of, to_data
from spells.fields import choice_field, json_field
from spells.models import Effects, Spell, SpellVersion, Tool, Visibility

SCHEMA = {"type": "object", "additionalProperties": True, "description": "A JSON Schema (2020-12)."}
SCHEMA_OR_NULL = {**SCHEMA, "type": ["object", "null"]}
NUMBER_OR_NULL = {"type": ["integer", "null"], "minimum": 1}

_SAID = ("name", "description", "tags", "visibility")
# What can be said of a spell without a new version of it.
DESCRIPTION: Mapping[str, Any] = {
    "type": "object",
    "properties": {name: DOCUMENT_SCHEMA["properties"][name] for name in _SAID},
    "required": list(_SAID),
    "additionalProperties": False,
}
CHANGE_OF_DESCRIPTION: Mapping[str, Any] = {name: value for name, value in DESCRIPTION.items() if name != "required"}
# A version may leave out what the spell says of itself already.
VERSION_DOCUMENT: Mapping[str, Any] = {**DOCUMENT_SCHEMA, "required": ["steps"]}

VALIDATION = {
    "type": "object",
    "properties": {
        "valid": {"type": "boolean"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "The place, like steps.art.params.prompt."},
                    "message": {"type": "string"},
                },
                "required": ["path", "message"],
            },
        },
    },
    "required": ["valid", "errors"],
}


class SpellSerializer(serializers.ModelSerializer[Spell]):
    """A spell. Needs spells with the numbers of their versions."""

    tags = json_field({"type": "array", "items": {"type": "string"}})
    visibility = choice_field(Visibility)
    owner = serializers.CharField(source="owner.get_username", allow_null=True, default=None, help_text="Null for that of a tool.")
    latest_version = json_field(NUMBER_OR_NULL, source="latest_number", help_text="The number that a cast without one gets.")
    draft_version = serializers.SerializerMethodField()
    versions = serializers.SerializerMethodField()

    class Meta:
        model = Spell
        fields = [
            "slug",
            "name",
            "description",
            "tags",
            "visibility",
            "owner",
            "latest_version",
            "draft_version",
            "created_at",
            "updated_at",
            "versions",
        ]
        read_only_fields = fields

    @extend_schema_field({**NUMBER_OR_NULL, "description": "For whoever may change the spell: the version that is being written."})
    def get_draft_version(self, spell: Any) -> int | None:
        user = self.context["request"].user
        may_see = spell.owner_id is not None and (user.is_staff or spell.owner_id == user.pk)
        return spell.draft_number if may_see else None

    @extend_schema_field({"type": "string", "format": "uri"})
    def get_versions(self, spell: Spell) -> str:
        return reverse("api:spell-versions", kwargs={"slug": spell.slug}, request=self.context["request"])


class SpellDetailSerializer(SpellSerializer):
    """A spell, and what its latest version asks of a caster."""

    input_schema = json_field(
        SCHEMA_OR_NULL, help_text="The JSON Schema of the inputs of the latest version; null while none is published."
    )

    class Meta(SpellSerializer.Meta):
        fields = [*SpellSerializer.Meta.fields, "input_schema"]
        read_only_fields = fields


class SpellVersionSerializer(serializers.ModelSerializer[SpellVersion]):
    """A version of a spell. It never changes once it is published."""

    spell = serializers.CharField(source="spell.slug")
    published_at = serializers.DateTimeField(allow_null=True, read_only=True, help_text="Null for a draft.")
    url = serializers.SerializerMethodField()

    class Meta:
        model = SpellVersion
        fields = ["spell", "number", "created_at", "published_at", "url"]
        read_only_fields = fields

    @extend_schema_field({"type": "string", "format": "uri"})
    def get_url(self, version: SpellVersion) -> str:
        return reverse("api:spell-version", kwargs={"slug": version.spell.slug, "number": version.number}, request=self.context["request"])


class SpellVersionDetailSerializer(SpellVersionSerializer):
    """A version of a spell with all that it says."""

    input_schema = json_field(SCHEMA, help_text="The JSON Schema of a cast's inputs.")
    document = serializers.SerializerMethodField()

    class Meta(SpellVersionSerializer.Meta):
        fields = [*SpellVersionSerializer.Meta.fields, "input_schema", "document"]
        read_only_fields = fields

    @extend_schema_field(
        {
            "type": ["object", "null"],
            "additionalProperties": True,
            "description": "The document that makes this version. Null for that of a tool.",
        }
    )
    def get_document(self, version: SpellVersion) -> dict[str, Any] | None:
        try:
            return None if version.spell.tool_id else to_data(document_of(version))
        except DocumentError:
            return None  # written by code, with a schema that no document can say


class ToolSerializer(serializers.ModelSerializer[Tool]):
    """A tool: what a step can call. Its configuration is for operators, in the admin."""

    effects = choice_field(Effects, help_text="`pure` is free and safe to run again; a `billed` call may cost money.")
    input_schema = json_field(SCHEMA)
    output_schema = json_field(SCHEMA)
    pricing = json_field({"type": "object"}, help_text="Prices by unit, as decimal strings in US dollars.")
    price_table = serializers.IntegerField(
        min_value=1, read_only=True, help_text="The number of these prices: each change makes the next. Costs name it in their basis."
    )

    class Meta:
        model = Tool
        fields = [
            "slug",
            "name",
            "description",
            "category",
            "effects",
            "input_schema",
            "output_schema",
            "pricing",
            "price_table",
            "max_attempts",
            "run_timeout_seconds",
            "deadline_seconds",
            "enabled",
        ]
        read_only_fields = fields
