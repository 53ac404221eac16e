"""Generations and artefacts as clients see them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from generations.artifacts import REFERENCE_KEY
from generations.models import Artifact, Cancellation, Generation, GenerationStatus
from generations.models.cancellation import CancellationOutcome
from generations.progress import read_progress
from spells.fields import choice_field, json_field

OBJECT = {"type": "object", "additionalProperties": True}
OBJECT_OR_NULL = {"type": ["object", "null"], "additionalProperties": True}
MONEY = {"type": "string", "format": "decimal", "pattern": r"^[0-9]+(\.[0-9]+)?$", "description": "US dollars."}

_NULLABLE_TEXT = {"type": ["string", "null"]}
_NULLABLE_INTEGER = {"type": ["integer", "null"]}
ERROR = {
    "type": ["object", "null"],
    "description": "What went wrong, in the provider's own words, and where.",
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "step": {**_NULLABLE_TEXT, "description": "The key of the step."},
        "item": {**_NULLABLE_INTEGER, "description": "The index under `for_each`."},
        "attempt": _NULLABLE_INTEGER,
        "provider": {**_NULLABLE_TEXT, "description": "The tool that failed."},
        "details": {"description": "What the provider said beyond its message, if anything."},
    },
    "required": ["code", "message", "step", "item", "attempt", "provider", "details"],
}


@extend_schema_field(ERROR)
class ErrorField(serializers.JSONField):
    """An error, with all the names that clients rely on."""

    def to_representation(self, value: Any) -> Any:
        """Return the error with null for what is not known."""
        return {name: value.get(name) for name in ERROR["required"]}


@extend_schema_field(MONEY)
class MoneyField(serializers.DecimalField):
    """Money as a decimal string without trailing zeros. For answers alone."""

    def __init__(self, **kwargs: Any) -> None:
        """Take the options of any read-only field."""
        super().__init__(max_digits=20, decimal_places=10, read_only=True, **kwargs)

    def to_representation(self, value: Decimal) -> str:
        """Return the amount: "0.5", never "0.5000000000" or "5E-1"."""
        return f"{Decimal(value).normalize():f}"


@extend_schema_field({**MONEY, "type": ["string", "null"]})
class OptionalMoneyField(MoneyField):
    """Money, or null while it is not known."""


def address_of(artifact_id: UUID | str, *, context: Mapping[str, Any]) -> str:
    """Return the address of the bytes of an artefact."""
    return reverse("api:artifact", kwargs={"artifact_id": artifact_id}, request=context["request"])


class ArtifactSerializer(serializers.ModelSerializer[Artifact]):
    """Bytes that a tool made: what they are, and where to get them."""

    url = serializers.SerializerMethodField()

    class Meta:
        model = Artifact
        fields = ["id", "sha256", "mime_type", "size", "name", "url"]
        read_only_fields = fields

    @extend_schema_field({"type": "string", "format": "uri", "description": "The bytes. Works with your own key."})
    def get_url(self, artifact: Artifact) -> str:
        return address_of(artifact.pk, context=self.context)


_LINE = {
    "unit": {"type": "string", "description": "What was counted, like `second` or `input_per_million`."},
    "quantity": {"type": "string", "description": "How much of it."},
    "price": {"type": "string", "description": "The price of the unit in US dollars."},
}
COST_BASIS = {
    "type": ["object", "null"],
    "description": "How the cost was reckoned: by one unit, or by `lines` of several. Null when nobody told.",
    "properties": {
        **_LINE,
        "lines": {"type": "array", "items": {"type": "object", "properties": _LINE}},
        "table": {"type": "integer", "minimum": 1, "description": "The number of the tool's price table."},
    },
    "additionalProperties": True,
}

PROGRESS = {
    "type": ["object", "null"],
    "description": "How far the call is, when its provider tells.",
    "properties": {
        "percent": {"type": ["number", "null"], "minimum": 0, "maximum": 100},
        "stage": {"type": "string", "description": "What it is at, in the provider's words."},
        "preview": {
            "type": ["object", "null"],
            "description": "A picture of the unfinished work: a reference, and where its bytes are.",
            "properties": {"artifact": {"type": "string", "format": "uuid"}, "url": {"type": "string", "format": "uri"}},
            "required": ["artifact", "url"],
        },
        "trouble": {
            "type": "string",
            "description": "Why the provider could not be asked for the job last, or what it made not be fetched; empty if it could.",
        },
    },
    "required": ["percent", "stage", "preview", "trouble"],
}


@extend_schema_field(PROGRESS)
class ProgressField(serializers.JSONField):
    """How far a call is. The preview gets an address."""

    def to_representation(self, value: Any) -> Any:
        """Return percent, stage, preview and trouble, each also when nobody told it."""
        progress = read_progress(value)
        return progress and {
            "percent": progress.percent,
            "stage": progress.stage,
            "preview": progress.preview and {**progress.preview, "url": address_of(progress.preview[REFERENCE_KEY], context=self.context)},
            "trouble": progress.trouble,
        }


UNFETCHED = {
    "type": ["object", "null"],
    "description": "What is left of a result whose files could not all be fetched from the provider; null of any other.",
    "properties": {
        "output": {"type": "object", "description": "The output, with null for each file that is missing."},
        "files": {
            "type": "array",
            "description": "The files that are missing.",
            "items": {
                "type": "object",
                "properties": {
                    "at": {"type": "array", "items": {"type": ["string", "integer"]}, "description": "The place in the output."},
                    "url": {"type": "string", "description": "Where the provider left it, maybe for an hour."},
                    "name": {"type": "string"},
                    "mime_type": {"type": "string"},
                },
                "required": ["at", "url", "name", "mime_type"],
            },
        },
        "bytes": {"type": "integer", "description": "How many bytes of files are here."},
    },
    "required": ["output", "files", "bytes"],
}

CANCELLATION = {
    "type": ["object", "null"],
    "description": "What came of asking the provider to stop the job; null while nobody wanted that.",
    "properties": {
        "outcome": {"type": "string", "enum": CancellationOutcome.values},
        "said": {"type": "string", "description": "What the provider said, if it did not just do it."},
        "created_at": {"type": "string", "format": "date-time"},
        "done_at": {"type": ["string", "null"], "format": "date-time"},
    },
    "required": ["outcome", "said", "created_at", "done_at"],
}


class CancellationSerializer(serializers.ModelSerializer[Cancellation]):
    """What came of asking a provider to stop a job."""

    class Meta:
        model = Cancellation
        fields = ["outcome", "said", "created_at", "done_at"]
        read_only_fields = fields


class GenerationSerializer(serializers.ModelSerializer[Generation]):
    """One attempt at one step of one cast."""

    cast = serializers.UUIDField(source="cast_id")
    step = serializers.CharField(source="step.key", help_text="The key of the step.")
    item = serializers.IntegerField(help_text="The index under `for_each`, else 0.")
    status = choice_field(GenerationStatus)
    tool = serializers.CharField(source="step.tool.slug")
    inputs = json_field(OBJECT)
    output = json_field(OBJECT_OR_NULL)
    unfetched = json_field(UNFETCHED)
    error = ErrorField()
    cost_usd = OptionalMoneyField()
    cost_basis = json_field(COST_BASIS)
    progress = ProgressField(read_only=True)
    job_id = serializers.CharField(help_text="The provider's own id of the job, if it is one.")
    cancellation = serializers.SerializerMethodField()
    artifacts = ArtifactSerializer(many=True)

    class Meta:
        model = Generation
        fields = [
            "id",
            "cast",
            "step",
            "item",
            "attempt",
            "status",
            "tool",
            "inputs",
            "output",
            "unfetched",
            "error",
            "reason",
            "cost_usd",
            "cost_basis",
            "progress",
            "job_id",
            "cancellation",
            "created_at",
            "started_at",
            "finished_at",
            "retry_at",
            "deadline_at",
            "artifacts",
        ]
        read_only_fields = fields

    @extend_schema_field(CANCELLATION)
    def get_cancellation(self, generation: Generation) -> Any:
        cancellation = getattr(generation, "cancellation", None)
        return cancellation and CancellationSerializer(cancellation).data


_LONG = ("cast", "inputs", "output", "unfetched", "deadline_at", "cancellation", "artifacts")


class GenerationShortSerializer(GenerationSerializer):
    """An attempt without what went in and came out."""

    class Meta(GenerationSerializer.Meta):
        fields = [name for name in GenerationSerializer.Meta.fields if name not in _LONG]
        read_only_fields = fields
