"""Exports as clients see them, and what clients say to have one."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.reverse import reverse

from casts.cooks.exporting import DEFAULT_TEMPLATE, Wish
from casts.cooks.numbers import MAX_SEED
from casts.models import Export, ExportStatus
from casts.models.export import MAX_TEMPLATE_CHARACTERS
from spells.fields import choice_field

EXPORT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "cook": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1, "description": "The id of the cook."},
        "pieces": {"enum": ["accepted", "made"], "default": "accepted", "description": "Which pieces: as they are now."},
        "name_template": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_TEMPLATE_CHARACTERS,
            "default": DEFAULT_TEMPLATE,
            "description": "What each is called. Expressions may read `collection`, `number` (from 1), `index` and `traits`.",
        },
        "description": {"type": "string", "maxLength": 2000, "description": "What is said of each of them."},
        "base_uri": {
            "type": "string",
            "maxLength": 200,
            "pattern": r"^[!-~]*$",
            "description": "What stands before the names of images in the metadata, like `ipfs://CID/`. Else they are named as in the archive.",
        },
        "shuffle_seed": {"type": "integer", "minimum": 0, "maximum": MAX_SEED, "description": "Gives the pieces other numbers by lot."},
    },
    "required": ["cook"],
    "additionalProperties": False,
}


def wish_of(said: Mapping[str, Any]) -> Wish:
    """Return what a body asks for."""
    return Wish(
        accepted=said.get("pieces", "accepted") == "accepted",
        name_template=said.get("name_template", DEFAULT_TEMPLATE),
        description=said.get("description", ""),
        base_uri=said.get("base_uri", ""),
        shuffle_seed=int(said["shuffle_seed"]) if "shuffle_seed" in said else None,
    )


class ExportSerializer(serializers.ModelSerializer[Export]):
    """An export and how far it is."""

    cook = serializers.IntegerField(source="cook_id")
    status = choice_field(ExportStatus)
    total = serializers.IntegerField(help_text="How many pieces.")
    prepared = serializers.IntegerField(help_text="How many of their files have been read.")
    provenance_hash = serializers.CharField(
        help_text="The SHA-256 of the SHA-256 of all files, one after the other in their order. Empty until it is ready."
    )
    error = serializers.CharField(help_text="Why it failed, if it did.")
    published_at = serializers.DateTimeField(help_text="Since when the order of the cook is this one, for good.", allow_null=True)
    archive = serializers.SerializerMethodField(help_text="Where the archive is fetched; null until it is ready.")

    class Meta:
        model = Export
        fields = [
            "id",
            "cook",
            "status",
            "total",
            "prepared",
            "name_template",
            "description",
            "base_uri",
            "shuffle_seed",
            "provenance_hash",
            "error",
            "archive",
            "idempotency_key",
            "created_at",
            "finished_at",
            "published_at",
        ]
        read_only_fields = fields

    def get_archive(self, row: Export) -> str | None:
        if row.status != ExportStatus.READY:
            return None
        return reverse("api:export-archive", kwargs={"pk": row.pk}, request=self.context.get("request"))
