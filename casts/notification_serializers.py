"""Notifications, tries and webhooks as clients see them; and what clients say to have webhooks."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model
from rest_framework import serializers

from casts.models import EVENT_KINDS, Delivery, Notification, NotificationChannel, NotificationKind, NotificationStatus, Subscription
from casts.notifications.destinations import MAX_CHARACTERS
from casts.notifications.messages import message_id_of
from casts.notifications.words import summary
from generations.serializers import OBJECT
from spells.fields import choice_field, json_field

_URL = {"type": "string", "maxLength": MAX_CHARACTERS, "description": "An https address on the public internet."}
_EVENTS = {
    "type": "array",
    "items": {"type": "string", "enum": list(EVENT_KINDS)},
    "uniqueItems": True,
    "minItems": 1,
    "description": "Of which kinds of events to tell. By default all that concern casts and cooks as a whole: `cast.succeeded` and so on.",
}
_DESCRIPTION = {"type": "string", "maxLength": 200, "description": "What it is for, in your own words."}
WEBHOOK: Mapping[str, Any] = {
    "type": "object",
    "properties": {"url": _URL, "events": _EVENTS, "description": _DESCRIPTION},
    "required": ["url"],
    "additionalProperties": False,
}
WEBHOOK_CHANGES: Mapping[str, Any] = {**{name: value for name, value in WEBHOOK.items() if name != "required"}, "minProperties": 1}
MAIL: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "events": {
            "type": "array",
            "items": {"type": "string", "enum": list(EVENT_KINDS)},
            "uniqueItems": True,
            "description": "Of which kinds of events to be told by e-mail. None: of nothing.",
        }
    },
    "required": ["events"],
    "additionalProperties": False,
}
MAIL_SETTINGS = {
    "type": "object",
    "properties": {
        "address": {"type": "string", "description": "Where mails go: the address of your account. Empty while it has none."},
        "events": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["address", "events"],
}
SECRET_SCHEMA = {
    "type": "object",
    "properties": {"secret": {"type": "string", "description": "What signs from now on. It is shown this once."}},
    "required": ["secret"],
}


class NotificationSerializer(serializers.ModelSerializer[Notification]):
    """What you were told, or are to be told, over one channel. Needs the spell of its cast and its subscription."""

    kind = choice_field(NotificationKind)
    channel = choice_field(NotificationChannel)
    status = choice_field(NotificationStatus, help_text="How far it is on its way. What is in the inbox is delivered.")
    summary = serializers.SerializerMethodField(help_text="What happened, in one sentence.")
    cast = serializers.UUIDField(source="cast_id", allow_null=True)
    cook = serializers.IntegerField(source="cook_id", allow_null=True)
    generation = serializers.UUIDField(source="generation_id", allow_null=True)
    target = serializers.SerializerMethodField(help_text="The address of the webhook, or of the e-mail. Empty for the inbox.")
    webhook = serializers.SerializerMethodField(help_text="The webhook of your account by which it is sent, if it is one.")
    message_id = serializers.SerializerMethodField(help_text="The `webhook-id`: the same however often it is sent. Empty for the inbox.")
    data = json_field(OBJECT, source="told", help_text="What happened, for programs: like `status`, `error`, `reason`.")
    tries = serializers.IntegerField(help_text="How often it was sent since it was written, or since you asked for it to be sent again.")
    due_at = serializers.DateTimeField(help_text="When it is sent next.", allow_null=True)
    said = serializers.CharField(help_text="What was wrong with the last try, or why it was given up.")

    class Meta:
        model = Notification
        fields = [
            "id",
            "kind",
            "summary",
            "cast",
            "cook",
            "generation",
            "round",
            "channel",
            "target",
            "webhook",
            "message_id",
            "data",
            "status",
            "tries",
            "due_at",
            "said",
            "created_at",
            "delivered_at",
            "given_up_at",
            "read_at",
        ]
        read_only_fields = fields

    def get_summary(self, row: Notification) -> str:
        return summary(row)

    def get_target(self, row: Notification) -> str:
        if row.subscription is None:
            return ""
        return row.subscription.url or row.target

    def get_webhook(self, row: Notification) -> int | None:
        subscription = row.subscription
        return subscription.pk if subscription and subscription.url and subscription.cast_id is None else None

    def get_message_id(self, row: Notification) -> str:
        return message_id_of(row) if row.message_id else ""


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One try to send a notification."""

    seconds = serializers.FloatField(help_text="How long it took.")
    status_code = serializers.IntegerField(help_text="What the HTTP or SMTP server answered, if it did.", allow_null=True)
    answer = serializers.CharField(help_text="The beginning of what it said.")
    error = serializers.CharField(help_text="What was wrong; empty if nothing was.")

    class Meta:
        model = Delivery
        fields = ["id", "at", "seconds", "address", "succeeded", "status_code", "answer", "error"]
        read_only_fields = fields


class WebhookSerializer(serializers.ModelSerializer[Subscription]):
    """Where your account is told what becomes of all its casts."""

    events = json_field({"type": "array", "items": {"type": "string", "enum": list(EVENT_KINDS)}}, source="kinds")
    failing_since = serializers.DateTimeField(help_text="Since when nothing has arrived. After five days it is disabled.", allow_null=True)
    former_secret_until = serializers.DateTimeField(
        source="former_until", help_text="Until when the secret before the present one signs as well.", allow_null=True
    )

    class Meta:
        model = Subscription
        fields = [
            "id",
            "url",
            "events",
            "description",
            "enabled",
            "disabled_at",
            "disabled_reason",
            "failing_since",
            "former_secret_until",
            "created_at",
        ]
        read_only_fields = fields


class NewWebhookSerializer(WebhookSerializer):
    """A webhook with its secret, which is shown this once. Needs webhooks with a `shown_secret`."""

    secret = serializers.CharField(source="shown_secret", help_text="What signs. It is shown this once.")

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]
        read_only_fields = fields


def with_secret(webhook: Model, secret: str) -> Any:
    """Return a webhook with the secret to show."""
    vars(webhook)["shown_secret"] = secret
    return webhook
