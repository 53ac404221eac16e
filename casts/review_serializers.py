"""Reviews as clients see them, and what clients say to review."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from casts.cooks.reviewing import LEASE_SECONDS, MAX_HANDED_OUT, MAX_LEASE_SECONDS, MAX_REASON_CHARACTERS
from casts.cooks.selecting import Selection
from casts.models import Decision, PieceReview, ReviewAct, ReviewEvent
from generations.serializers import OBJECT
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
REJECT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "reason": _REASON,
        "again": {
            "enum": ["same", "redraw"],
            "description": "Have the piece cast again: with the same traits, or with the next ones that no piece has.",
        },
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


def selection_of(where: Mapping[str, Any]) -> Selection:
    """Return the selection that a body says."""
    return Selection(
        traits={name: frozenset(values) for name, values in where.get("traits", {}).items()},
        first=where.get("first"),
        last=where.get("last"),
        piece_ids=frozenset(where["pieces"]) if "pieces" in where else None,
    )


class PieceReviewSerializer(serializers.ModelSerializer[PieceReview]):
    """One attempt at a piece under review. Needs `reviewing.in_full`."""

    piece = serializers.IntegerField(source="attempt.piece_id")
    cook = serializers.IntegerField(source="attempt.cook_id")
    index = serializers.IntegerField(source="attempt.piece.index", help_text="The place of the piece in its cook, from 0.")
    attempt = serializers.IntegerField(source="attempt.number", help_text="Which attempt at the piece it is, from 1.")
    traits = json_field(OBJECT, source="attempt.traits")
    cast = serializers.UUIDField(source="attempt.cast_id")
    outputs = json_field(OBJECT, source="attempt.cast.outputs", help_text="What was made.")
    decision = choice_field(Decision, allow_null=True, help_text="What was decided; null while it is open.")
    reviewer = serializers.CharField(
        source="reviewer.username", default=None, allow_null=True, help_text="Who decided, or in whose hands it is."
    )

    class Meta:
        model = PieceReview
        fields = [
            "piece",
            "cook",
            "index",
            "attempt",
            "traits",
            "cast",
            "outputs",
            "decision",
            "reason",
            "reviewer",
            "leased_until",
            "decided_at",
        ]
        read_only_fields = fields

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
