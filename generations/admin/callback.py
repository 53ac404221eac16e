"""Callbacks: what providers told us, as it came."""

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from generations.models import Callback
from spells.admin.json_html import json_html
from spells.admin.records import RecordAdmin
from spells.admin.search import matches_id

from .generation import short_id


@admin.register(Callback)
class CallbackAdmin(RecordAdmin[Callback]):
    """An inbox. Each row was stored before anything was done with it."""

    list_display = ("delivery_id", "adapter", "outcome", "generation_shown", "received_at", "applied_at")
    list_filter = ("outcome",)
    linked_by = ("generation",)
    unlisted = ("payload",)
    search_fields = ("delivery_id",)
    search_help_text = "By the sender's id of the delivery, by adapter, or by id of the generation (from 6 digits on)."
    ordering = ("-pk",)
    empty_list = "No callbacks match. Providers of jobs that take long will send them."
    fields = (
        *("adapter", "delivery_id", "generation_shown", "addressed_to", "outcome", "said", "received_at", "applied_at"),
        *("due_at", "attempts", "payload_shown"),
    )
    readonly_fields = ("generation_shown", "payload_shown")

    def matches(self, word: str) -> Q:
        by_id = matches_id(word, field="generation_id")
        named = Q(delivery_id=word) | Q(adapter=word)
        return named if by_id is None else named | by_id

    @admin.display(description="generation")
    def generation_shown(self, callback: Callback) -> SafeString | str:
        if callback.generation_id is None:
            return "none of ours"
        url = reverse("admin:generations_generation_change", args=[callback.generation_id])
        return format_html('<a href="{}">{}</a>', url, short_id(callback.generation_id))

    @admin.display(description="payload")
    def payload_shown(self, callback: Callback) -> SafeString | str:
        if not callback.is_complete:
            return "Not kept: it was too large, or held files or what no database stores. The provider was asked instead."
        return json_html(callback.payload)
