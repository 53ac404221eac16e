"""Collections, cooks and pieces as clients see them; and what clients say to have them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from casts.clock import database_now
from casts.cooks.beginning import MAX_PIECES, Wish
from casts.cooks.documents import DOCUMENT_SCHEMA
from casts.cooks.previewing import SHOWN, Preview
from casts.cooks.progress import CookProgress, progress_of_all
from casts.models import STANDING_ATTEMPTS, AttemptStatus, Collection, Cook, CookStatus, OnPieceFailure, Piece, PieceAttempt, PieceStatus
from casts.models.cook import MAX_ATTEMPTS, MAX_PARALLEL
from generations.serializers import MONEY, OBJECT, OBJECT_OR_NULL, MoneyField, OptionalMoneyField
from spells.fields import choice_field, json_field
from spells.requests import checked

MOST_SHOWN = 100
_PIECES = {"type": "integer", "minimum": 1, "maximum": MAX_PIECES}
_BUDGET = {
    "type": ["string", "null"],
    "pattern": r"^[0-9]{1,10}(\.[0-9]{1,10})?$",
    "description": 'What the whole may cost, in US dollars, as text: "20.00". The cook pauses when it is spent.',
}
_SHOWN = {"type": "integer", "minimum": 0, "maximum": MOST_SHOWN, "default": SHOWN, "description": "How many pieces to show."}
_WANTED = {**_PIECES, "description": "How many pieces. By default as many as the target of the collection."}

COLLECTION: Mapping[str, Any] = DOCUMENT_SCHEMA
PREVIEW: Mapping[str, Any] = {
    "type": "object",
    "properties": {"pieces": _WANTED, "shown": _SHOWN},
    "additionalProperties": False,
}
DRAFT_PREVIEW: Mapping[str, Any] = {
    "type": "object",
    "properties": {"collection": DOCUMENT_SCHEMA, "pieces": _WANTED, "shown": _SHOWN},
    "required": ["collection"],
    "additionalProperties": False,
}
COOK: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "collection": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1, "description": "The id of a collection of yours."},
        "pieces": _WANTED,
        "max_parallel": {"type": "integer", "minimum": 1, "maximum": MAX_PARALLEL, "default": 4, "description": "Casts at once."},
        "budget_usd": _BUDGET,
        "on_failure": {
            "type": "string",
            "enum": list(OnPieceFailure.values),
            "default": OnPieceFailure.REPLACE.value,
            "description": "What a failed cast does: its piece is cast again, or is left behind, or so many in a row pause the cook.",
        },
        "max_attempts": {"type": "integer", "minimum": 1, "maximum": MAX_ATTEMPTS, "default": 3, "description": "With `replace`."},
        "failures_to_stop": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 3, "description": "With `stop`."},
    },
    "required": ["collection"],
    "additionalProperties": False,
}
REASON: Mapping[str, Any] = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 500, "description": "Why. It is shown with the cook.", "default": ""}},
    "additionalProperties": False,
}
RESUME: Mapping[str, Any] = {"type": "object", "properties": {"budget_usd": _BUDGET}, "additionalProperties": False}
EXTEND: Mapping[str, Any] = {
    "type": "object",
    "properties": {"pieces": {**_PIECES, "description": "How many pieces in all, so that a repeat changes nothing."}},
    "required": ["pieces"],
    "additionalProperties": False,
}
REGENERATE: Mapping[str, Any] = {
    "type": "object",
    "properties": {"redraw": {"type": "boolean", "default": False, "description": "With other traits: the next draw of its index."}},
    "additionalProperties": False,
}
_COUNT = {"type": "integer", "minimum": 0}
_SHARE = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_SHOWN_PIECE = {
    "type": "object",
    "properties": {
        "index": _COUNT,
        "traits": {"type": "object", "additionalProperties": {"type": "string"}},
        "trait_hash": {"type": "string"},
        "item": {"description": "That of a list."},
        "inputs": OBJECT,
    },
    "required": ["index", "traits", "trait_hash", "item", "inputs"],
}
_RARITY = {
    "type": "object",
    "properties": {
        "category": {"type": "string"},
        "value": {"type": "string"},
        "asked": {**_SHARE, "description": "Its share of the weights."},
        "drawn": {**_COUNT, "description": "How many of all the pieces have it."},
        "share": {**_SHARE, "description": "Its share of the pieces that have the category."},
    },
    "required": ["category", "value", "asked", "drawn", "share"],
}
_OPTIONAL_MONEY = {**MONEY, "type": ["string", "null"]}
PREVIEWED = {
    "type": "object",
    "properties": {
        "total": {**_COUNT, "description": "How many pieces were drawn."},
        "supply": {"type": ["integer", "null"], "description": "How many there can be at most; null for more than anybody asks for."},
        "pieces": {"type": "array", "items": _SHOWN_PIECE},
        "rarity": {"type": "array", "items": _RARITY},
        "quote": {
            "type": "object",
            "description": "What it is expected to cost; null while tools (`unknown`) have told no cost yet.",
            "properties": {
                "each_usd": _OPTIONAL_MONEY,
                "total_usd": _OPTIONAL_MONEY,
                "basis": {"type": "string", "enum": ["casts", "tools", "unknown"]},
                "unknown": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["each_usd", "total_usd", "basis", "unknown"],
        },
    },
    "required": ["total", "supply", "pieces", "rarity", "quote"],
}
PROGRESS = {
    "type": "object",
    "description": "Pieces by state. `per_minute` and `seconds_left` are null while too little is known, or nothing goes on.",
    "properties": {
        **dict.fromkeys(("total", "pending", "cooking", "made", "failed"), _COUNT),
        "percent": {**_COUNT, "maximum": 100},
        "per_minute": {"type": ["number", "null"], "minimum": 0},
        "seconds_left": {"type": ["integer", "null"], "minimum": 0},
    },
    "required": ["total", "pending", "cooking", "made", "failed", "percent", "per_minute", "seconds_left"],
}
PIECE_ERROR = {
    "type": ["object", "null"],
    "description": "Why it failed.",
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
    "required": ["code", "message"],
}


def wish_of(body: Any) -> tuple[int, Wish]:
    """Read the body of a request for a cook: the id of its collection, and the wish. Raises InvalidBodyError."""
    said = checked(body, COOK)
    numbers = {name: int(said[name]) for name in ("pieces", "max_parallel", "max_attempts", "failures_to_stop") if name in said}
    budget = said.get("budget_usd")
    on_failure = OnPieceFailure(said.get("on_failure", OnPieceFailure.REPLACE))
    return int(said["collection"]), Wish(**numbers, on_failure=on_failure, budget_usd=None if budget is None else Decimal(budget))


def shown_preview(preview: Preview) -> dict[str, Any]:
    """Return a preview as clients see it."""
    quote = preview.quote
    return {
        "total": preview.wanted,
        "supply": preview.supply,
        "pieces": [
            {"index": piece.index, "traits": piece.traits, "trait_hash": piece.trait_hash, "item": piece.item, "inputs": inputs}
            for piece, inputs in preview.pieces
        ],
        "rarity": [
            {"category": row.category, "value": row.value, "asked": _shown(row.asked), "drawn": row.drawn, "share": _shown(row.share)}
            for row in preview.rarity
        ],
        "quote": {
            "each_usd": _money(quote.each_usd),
            "total_usd": _money(preview.total_usd),
            "basis": quote.basis,
            "unknown": list(quote.unknown),
        },
    }


def _shown(share: Any) -> float | None:
    return None if share is None else round(float(share), 6)


def _money(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd.normalize():f}"


class CollectionSerializer(serializers.ModelSerializer[Collection]):
    """What pieces are made of, in short. Needs its version with its spell."""

    spell = serializers.CharField(source="version.spell.slug")
    version = serializers.IntegerField(source="version.number")
    owner = serializers.CharField(source="owner.get_username")

    class Meta:
        model = Collection
        fields = ["id", "name", "description", "spell", "version", "seed", "target_supply", "owner", "idempotency_key", "created_at"]
        read_only_fields = fields


class CollectionInFullSerializer(CollectionSerializer):
    """What pieces are made of."""

    inputs = json_field(OBJECT)
    trait_tree = json_field(OBJECT_OR_NULL)
    item_count = serializers.SerializerMethodField(help_text="How many items its list has; null for one with a trait tree.")

    class Meta(CollectionSerializer.Meta):
        fields = [*CollectionSerializer.Meta.fields, "inputs", "trait_tree", "item_count"]
        read_only_fields = fields

    def get_item_count(self, shown: Collection) -> int | None:
        return None if shown.items is None else len(shown.items)


class CookListSerializer(serializers.ListSerializer[Any]):
    """Looks up the progress of all cooks of a page at once."""

    def to_representation(self, data: Any) -> list[Any]:
        """Return the cooks, each with its progress."""
        cooks = list(data)
        cast("dict[str, Any]", self.context)["progress"] = progress_of_all(cooks, now=database_now())
        return super().to_representation(cooks)


class CookSerializer(serializers.ModelSerializer[Cook]):
    """The making of so many pieces of a collection."""

    collection = serializers.IntegerField(source="collection_id")
    name = serializers.CharField(source="collection.name", help_text="The name of the collection.")
    status = choice_field(CookStatus)
    on_failure = choice_field(OnPieceFailure)
    reason = serializers.CharField(help_text="Why it is paused or stopped, if it is.")
    budget_usd = OptionalMoneyField()
    quote_usd = OptionalMoneyField(help_text="What the whole was expected to cost when it began, or was extended.")
    cost_usd = serializers.SerializerMethodField()
    progress = serializers.SerializerMethodField()
    initiator = serializers.CharField(source="initiator.get_username")

    class Meta:
        model = Cook
        list_serializer_class = CookListSerializer
        fields = [
            "id",
            "collection",
            "name",
            "status",
            "reason",
            "max_parallel",
            "budget_usd",
            "quote_usd",
            "cost_usd",
            "on_failure",
            "max_attempts",
            "failures_to_stop",
            "progress",
            "initiator",
            "idempotency_key",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields

    @extend_schema_field(MONEY)
    def get_cost_usd(self, shown: Cook) -> str:
        return f"{self._progress(shown).cost_usd.normalize():f}"

    @extend_schema_field(PROGRESS)
    def get_progress(self, shown: Cook) -> dict[str, Any]:
        progress = self._progress(shown)
        return {name: getattr(progress, name) for name in PROGRESS["required"]}

    def _progress(self, shown: Cook) -> CookProgress:
        known: dict[int, CookProgress] = cast("dict[str, Any]", self.context).setdefault("progress", {})
        if shown.pk not in known:
            known.update(progress_of_all([shown], now=database_now()))
        return known[shown.pk]


class PieceAttemptSerializer(serializers.ModelSerializer[PieceAttempt]):
    """One cast by which a piece was to be made."""

    cast = serializers.UUIDField(source="cast_id")
    status = choice_field(AttemptStatus)
    traits = json_field(OBJECT)
    cost_usd = MoneyField(source="cast.cost_usd")

    class Meta:
        model = PieceAttempt
        fields = ["number", "status", "cast", "traits", "cost_usd", "created_at", "ended_at"]
        read_only_fields = fields


class PieceSerializer(serializers.ModelSerializer[Piece]):
    """One piece of a cook. Needs its attempts with their casts."""

    cook = serializers.IntegerField(source="cook_id")
    status = choice_field(PieceStatus)
    traits = json_field(OBJECT)
    item = json_field({"description": "That of a list; null for a piece of a trait tree."})
    error = json_field(PIECE_ERROR)
    cast = serializers.SerializerMethodField(help_text="The cast that makes it, or has made it.")
    outputs = serializers.SerializerMethodField(help_text="What that cast has made.")
    attempts = PieceAttemptSerializer(many=True)

    class Meta:
        model = Piece
        fields = [
            "id",
            "cook",
            "index",
            "status",
            "traits",
            "trait_hash",
            "redraw",
            "item",
            "error",
            "cast",
            "outputs",
            "attempts",
            "settled_at",
        ]
        read_only_fields = fields

    @extend_schema_field({"type": ["string", "null"], "format": "uuid"})
    def get_cast(self, shown: Piece) -> str | None:
        standing = self._standing(shown)
        return None if standing is None else str(standing.cast_id)

    @extend_schema_field(OBJECT_OR_NULL)
    def get_outputs(self, shown: Piece) -> Any:
        standing = self._standing(shown)
        return None if standing is None else standing.cast.outputs

    def _standing(self, shown: Piece) -> PieceAttempt | None:
        return next((attempt for attempt in shown.attempts.all() if attempt.status in STANDING_ATTEMPTS), None)
