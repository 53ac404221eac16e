"""Casts and what happened to them, as clients see them; and what clients say to have one."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from casts.casting import Order
from casts.models import CAST_EVENT_KINDS, Cast, CastEvent, EventKind
from casts.notifications.destinations import MAX_CHARACTERS
from casts.notifications.payloads import shown_callback
from casts.notifications.subscriptions import Callback
from casts.progress import ShownStatus, progress_of
from casts.providers import WaitingFor, waiting_for
from generations.serializers import OBJECT, OBJECT_OR_NULL, ErrorField, MoneyField, OptionalMoneyField
from spells.fields import AnswerSerializer, choice_field, json_field
from spells.plan import MAX_ITEMS
from spells.requests import checked

_INPUTS = {"type": "object", "description": "What the spell's, or the tool's, own schema asks for.", "default": {}}
_BUDGET = {
    "type": ["string", "null"],
    "pattern": r"^[0-9]{1,10}(\.[0-9]{1,10})?$",
    "description": 'What the cast may cost, in US dollars, as text: "0.50". No billed call starts once it is spent.',
}
_EVENTS = {
    "type": "array",
    "items": {"type": "string", "enum": list(CAST_EVENT_KINDS)},
    "uniqueItems": True,
    "minItems": 1,
    "description": "Of which kinds of events to tell. By default all that concern the cast as a whole: `cast.succeeded` and so on.",
}
_CALLBACK = {
    "type": "object",
    "description": "Where to tell what becomes of the cast, by webhooks signed as Standard Webhooks says.",
    "properties": {
        "url": {"type": "string", "maxLength": MAX_CHARACTERS, "description": "An https address on the public internet."},
        "secret": {
            "type": "string",
            "writeOnly": True,
            "description": "What signs: `whsec_` and 24 to 64 random bytes in base64. It is kept encrypted, and never shown.",
        },
        "events": _EVENTS,
    },
    "required": ["url", "secret"],
    "additionalProperties": False,
}
CAST_ORDER: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "spell": {
            "type": "string",
            "pattern": r"^[a-z0-9]+(-[a-z0-9]+)*(@[1-9][0-9]{0,8})?$",
            "maxLength": 110,
            "description": "The slug of a spell, for its latest published version, or with @ and a number for that one.",
        },
        "inputs": _INPUTS,
        "max_cost_usd": _BUDGET,
        "callback": _CALLBACK,
    },
    "required": ["spell"],
    "additionalProperties": False,
}
TOOL_ORDER: Mapping[str, Any] = {
    "type": "object",
    "properties": {"inputs": _INPUTS, "max_cost_usd": _BUDGET, "callback": _CALLBACK},
    "additionalProperties": False,
}

SKIP: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "step": {"type": "string", "maxLength": 64, "description": "By default the step whose failure ended the cast."},
        "item": {"type": "integer", "minimum": 0, "maximum": MAX_ITEMS - 1, "description": "Which item of it, under `for_each`."},
        "output": {
            "description": (
                "What later steps see: an object as the tool would have returned it, or null. Of a step whose list of items could "
                "not be made: a list of these, one for each item."
            ),
            "default": None,
        },
        "reason": {"type": "string", "minLength": 1, "maxLength": 500, "pattern": r"\S", "description": "Why. It is kept with your name."},
        "resume": {"type": "boolean", "default": True, "description": "Go on with the cast. If not, it stays as it ended."},
    },
    "required": ["reason"],
    "additionalProperties": False,
}


def order_of(body: Any, *, tool: str = "") -> Order:
    """Read the body of a request for a cast, or for the run of a tool. Raises InvalidBodyError."""
    said = checked(body, TOOL_ORDER if tool else CAST_ORDER)
    budget = said.get("max_cost_usd")
    return Order(
        spell=said.get("spell", ""),
        tool=tool,
        inputs=said.get("inputs", {}),
        max_cost_usd=None if budget is None else Decimal(budget),
        callback=_callback_of(said.get("callback")),
    )


def _callback_of(said: Mapping[str, Any] | None) -> Callback | None:
    if said is None:
        return None
    asked = {"kinds": tuple(said["events"])} if "events" in said else {}
    return Callback(url=said["url"], secret=said["secret"], **asked)


def skip_of(body: Any) -> dict[str, Any]:
    """Read the body of a request to skip a step: arguments of `engine.skip`. Raises InvalidBodyError."""
    said = checked(body, SKIP)
    arguments = {"step_key": said.get("step")}
    return arguments | {name: value for name, value in said.items() if name != "step"}


class CastListSerializer(serializers.ListSerializer[Any]):
    """Looks up the progress of all casts of a page at once."""

    def to_representation(self, data: Any) -> list[Any]:
        """Return the casts, each with its progress."""
        casts, context = list(data), cast("dict[str, Any]", self.context)
        context["progress"] = progress_of(casts)
        context["waiting_for"] = waiting_for(shown.pk for shown in casts if shown.finished_at is None)
        return super().to_representation(casts)


PROGRESS = {
    "type": "object",
    "description": "How many items have ended for good, of those known so far: a step, or each item of its `for_each`.",
    "properties": {
        "done": {"type": "integer", "minimum": 0},
        "total": {"type": "integer", "minimum": 0},
        "percent": {
            "type": "integer",
            "minimum": 0,
            "maximum": 100,
            "description": "How far it is, with what providers say of calls at work. All steps weigh the same. Never falls but by a retry.",
        },
    },
    "required": ["done", "total", "percent"],
}


WAITING_FOR = {
    "type": ["object", "null"],
    "description": "The provider or tool at which the cast waits for room, since when, and behind how many others (at most 1000).",
    "properties": {
        "at": {"type": "string"},
        "since": {"type": "string", "format": "date-time"},
        "ahead": {"type": "integer", "minimum": 0, "maximum": 1000},
    },
    "required": ["at", "since", "ahead"],
}


CALLBACK = {
    "type": ["object", "null"],
    "description": "Where it tells what becomes of it, if somebody asked for that.",
    "properties": {
        "url": {"type": "string"},
        "events": {"type": "array", "items": {"type": "string"}},
        "enabled": {"type": "boolean"},
        "disabled_reason": {"type": "string"},
    },
    "required": ["url", "events", "enabled", "disabled_reason"],
}


class CastSerializer(AnswerSerializer[Cast]):
    """One run of one version of a spell. Needs casts with their shown status."""

    spell = serializers.CharField(source="version.spell.slug")
    version = serializers.IntegerField(source="version.number")
    status = choice_field(ShownStatus, source="shown_status")
    inputs = json_field(OBJECT)
    outputs = json_field(OBJECT_OR_NULL)
    error = ErrorField()
    reason = serializers.CharField(help_text="Why it was cancelled, if it was.")
    cost_usd = MoneyField()
    max_cost_usd = OptionalMoneyField()
    progress = serializers.SerializerMethodField()
    waiting_for = serializers.SerializerMethodField()
    initiator = serializers.CharField(source="initiator.get_username")
    callback = serializers.SerializerMethodField()
    generations = serializers.SerializerMethodField()

    class Meta:
        model = Cast
        list_serializer_class = CastListSerializer
        fields = [
            "id",
            "spell",
            "version",
            "status",
            "inputs",
            "outputs",
            "error",
            "reason",
            "cost_usd",
            "max_cost_usd",
            "progress",
            "waiting_for",
            "initiator",
            "idempotency_key",
            "callback",
            "created_at",
            "started_at",
            "finished_at",
            "deadline_at",
            "cancel_requested_at",
            "generations",
        ]
        read_only_fields = fields

    @extend_schema_field(PROGRESS)
    def get_progress(self, shown: Cast) -> dict[str, int]:
        known = self.context.get("progress") or progress_of([shown])
        return asdict(known[shown.pk])

    @extend_schema_field(WAITING_FOR)
    def get_waiting_for(self, shown: Cast) -> WaitingFor | None:
        known = (
            self.context["waiting_for"] if "waiting_for" in self.context else waiting_for([shown.pk] if shown.finished_at is None else [])
        )
        return known.get(shown.pk)

    @extend_schema_field(CALLBACK)
    def get_callback(self, shown: Cast) -> dict[str, Any] | None:
        return shown_callback(getattr(shown, "callback", None))

    @extend_schema_field({"type": "string", "format": "uri", "description": "The attempts at its steps."})
    def get_generations(self, shown: Cast) -> str:
        return reverse("api:cast-generations", kwargs={"cast_id": shown.pk}, request=self.context["request"])


class CastStatusSerializer(CastSerializer):
    """How a cast stands, in short: what changes while it is at work."""

    class Meta(CastSerializer.Meta):
        fields = ["id", "status", "progress", "cost_usd", "cancel_requested_at", "started_at", "finished_at"]
        read_only_fields = fields


class CastEventSerializer(serializers.ModelSerializer[CastEvent]):
    """Something that happened to a cast as a whole."""

    kind = choice_field(EventKind)
    actor = serializers.CharField(
        source="actor.get_username", allow_null=True, default=None, help_text="Who did it; null for Grimoire itself."
    )
    data = json_field(OBJECT, source="told")

    class Meta:
        model = CastEvent
        fields = ["id", "kind", "actor", "data", "at"]
        read_only_fields = fields
