"""Reviews as clients see them, and what clients say to review."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from casts.casting import references
from casts.cooks.reviewers import MAX_REVIEWERS
from casts.cooks.reviewing import LEASE_SECONDS, MAX_HANDED_OUT, MAX_LEASE_SECONDS, MAX_REASON_CHARACTERS
from casts.cooks.selecting import Selection
from casts.models import Decision, PieceReview, ReviewAct, ReviewEvent
from generations.artifacts import StoredArtifact, readable_by_each
from generations.links import ARTIFACTS
from generations.serializers import OBJECT
from generations.signed_addresses import signed_address
from spells.fields import choice_field, json_field

_MAX_ID = 2**63 - 1
_COOK = {"type": "integer", "minimum": 1, "maximum": _MAX_ID, "description": "The id of the cook."}
_REASON = {"type": "string", "minLength": 1, "maxLength": MAX_REASON_CHARACTERS, "pattern": r"\S", "description": "Why."}
_INDEX = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_VALUES = {"type": "array", "items": {"type": "string", "maxLength": 200}, "minItems": 1, "maxItems": 1000}

NEXT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "cook": _COOK,
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_HANDED_OUT, "default": 1, "description": "How many pieces at most."},
        "lease_seconds": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_LEASE_SECONDS,
            "default": LEASE_SECONDS,
            "description": "For how long nobody else is given them.",
        },
    },
    "required": ["cook"],
    "additionalProperties": False,
}
_AGAIN = {
    "enum": ["same", "redraw"],
    "description": "Have it cast again: with the same traits, or with the next ones that no piece has.",
}
REJECT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "reason": _REASON,
        "again": _AGAIN,
    },
    "required": ["reason"],
    "additionalProperties": False,
}
_WHERE: Mapping[str, Any] = {
    "type": "object",
    "description": "Which pieces are meant: those for which all of this holds; of nothing, all that are open.",
    "properties": {
        "traits": {
            "type": "object",
            "maxProperties": 64,
            "propertyNames": {"maxLength": 64},
            "additionalProperties": _VALUES,
            "description": "Categories, each with the values of which a piece must have one.",
        },
        "first": {**_INDEX, "description": "From this index on."},
        "last": {**_INDEX, "description": "Up to this index."},
        "pieces": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": _MAX_ID}, "minItems": 1, "maxItems": 1000},
    },
    "additionalProperties": False,
}
BULK: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "cook": _COOK,
        "decision": {"enum": [Decision.ACCEPTED.value, Decision.REJECTED.value]},
        "reason": {**_REASON, "description": "Why. Required to reject."},
        "again": {
            **_AGAIN,
            "description": "Have those that are rejected cast again, all or none: with the same traits, or with other ones.",
        },
        "where": _WHERE,
    },
    "required": ["cook", "decision"],
    "additionalProperties": False,
}
CULL: Mapping[str, Any] = {
    "type": "object",
    "properties": {"cook": _COOK, "target": {**_INDEX, "description": "How many accepted pieces are to be left."}},
    "required": ["cook", "target"],
    "additionalProperties": False,
}
_COUNT = {"type": "integer", "minimum": 0}
DECIDED = {
    "type": "object",
    "properties": {
        "decided": {**_COUNT, "description": "On how many pieces it was decided."},
        "left": {**_COUNT, "description": "How many were decided before, or are in the hands of somebody else."},
    },
    "required": ["decided", "left"],
}
CULLED = {"type": "object", "properties": {"culled": _COUNT}, "required": ["culled"]}


FILES = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "artifact": {"type": "string", "format": "uuid"},
            "mime_type": {"type": "string"},
            "size": {"type": "integer", "minimum": 0, "description": "In bytes."},
            "url": {"type": "string", "format": "uri"},
        },
        "required": ["artifact", "mime_type", "size", "url"],
    },
}
REVIEWERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "reviewers": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 150},
            "uniqueItems": True,
            "maxItems": MAX_REVIEWERS,
            "description": "The usernames of all of them: whoever is left out is none any more.",
        }
    },
    "required": ["reviewers"],
    "additionalProperties": False,
}


def selection_of(where: Mapping[str, Any]) -> Selection:
    """Return the selection that a body says."""
    return Selection(
        traits={name: frozenset(values) for name, values in where.get("traits", {}).items()},
        first=where.get("first"),
        last=where.get("last"),
        piece_ids=frozenset(where["pieces"]) if "pieces" in where else None,
    )


class PieceReviewListSerializer(serializers.ListSerializer[Any]):
    """Looks up the files of all reviews of a page at once."""

    def to_representation(self, data: Any) -> list[Any]:
        """Return the reviews, each with its files."""
        reviews = list(data)
        cast("dict[str, Any]", self.context)["readable"] = _files_of(reviews)
        return super().to_representation(reviews)


def _files_of(reviews: Iterable[PieceReview]) -> dict[int, dict[UUID, StoredArtifact]]:
    """Return the artefacts that the outputs under review name, by their owners: whoever began the cook. One query."""
    wanted: dict[int, set[UUID]] = defaultdict(set)
    for review in reviews:
        wanted[review.attempt.cast.initiator_id] |= _named_by(review)
    return readable_by_each(wanted)


def _named_by(review: PieceReview) -> set[UUID]:
    return {id_ for _, id_ in references(review.attempt.cast.outputs, path="outputs")}


class PieceReviewSerializer(serializers.ModelSerializer[PieceReview]):
    """One attempt at a piece under review. Needs `reviewing.in_full`."""

    piece = serializers.IntegerField(source="attempt.piece_id")
    cook = serializers.IntegerField(source="attempt.cook_id")
    index = serializers.IntegerField(source="attempt.piece.index", help_text="The place of the piece in its cook, from 0.")
    attempt = serializers.IntegerField(source="attempt.number", help_text="Which attempt at the piece it is, from 1.")
    traits = json_field(OBJECT, source="attempt.traits")
    cast = serializers.UUIDField(source="attempt.cast_id")
    outputs = json_field(OBJECT, source="attempt.cast.outputs", help_text="What was made.")
    files = serializers.SerializerMethodField(help_text="The files of `outputs`, each with a link that works for an hour without a key.")
    decision = choice_field(Decision, allow_null=True, help_text="What was decided; null while it is open.")
    reviewer = serializers.CharField(
        source="reviewer.username", default=None, allow_null=True, help_text="Who decided, or in whose hands it is."
    )

    class Meta:
        model = PieceReview
        list_serializer_class = PieceReviewListSerializer
        fields = [
            "piece",
            "cook",
            "index",
            "attempt",
            "traits",
            "cast",
            "outputs",
            "files",
            "decision",
            "reason",
            "reviewer",
            "leased_until",
            "decided_at",
        ]
        read_only_fields = fields

    @extend_schema_field(FILES)
    def get_files(self, row: PieceReview) -> list[dict[str, Any]]:
        known = cast("dict[str, Any]", self.context).get("readable") or _files_of([row])
        theirs = known[row.attempt.cast.initiator_id]
        return [self._file(theirs[id_]) for id_ in sorted(_named_by(row)) if id_ in theirs]

    def _file(self, stored: StoredArtifact) -> dict[str, Any]:
        url = reverse("api:artifact", kwargs={"artifact_id": stored.id}, request=self.context.get("request"))
        signed, _ = signed_address(url, links=ARTIFACTS, pk=stored.id)
        return {"artifact": str(stored.id), "mime_type": stored.mime_type, "size": stored.size, "url": signed}

    def to_representation(self, instance: PieceReview) -> dict[str, Any]:
        """Return what is shown: no decision is null, not an empty word."""
        shown = super().to_representation(instance)
        return {**shown, "decision": shown["decision"] or None}


class ReviewEventSerializer(serializers.ModelSerializer[ReviewEvent]):
    """One act in the review of a piece. Needs its attempt and its actor."""

    act = choice_field(ReviewAct)
    attempt = serializers.IntegerField(source="attempt.number", help_text="On which attempt at the piece, from 1.")
    actor = serializers.CharField(source="actor.username")

    class Meta:
        model = ReviewEvent
        fields = ["id", "act", "attempt", "actor", "reason", "at"]
        read_only_fields = fields
