"""Cancellations: what providers were asked to stop, and what they said."""

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from generations.models import Cancellation
from spells.admin.records import RecordAdmin
from spells.admin.search import matches_id

from .generation import short_id


@admin.register(Cancellation)
class CancellationAdmin(RecordAdmin[Cancellation]):
    """Errands, written when a job is given up, and done by the conductors."""

    list_display = ("generation_shown", "outcome", "attempts", "created_at", "done_at")
    list_filter = ("outcome",)
    linked_by = ("generation",)
    search_fields = ("generation__id",)
    search_help_text = "By id of the generation (from 6 digits on)."
    ordering = ("-pk",)
    unlisted = ("said",)
    empty_list = "No cancellations match. They appear when a cast with a job at a provider is cancelled, or runs out of time."
    fields = ("generation_shown", "outcome", "said", "created_at", "due_at", "attempts", "done_at")
    readonly_fields = ("generation_shown",)

    def matches(self, word: str) -> Q:
        return matches_id(word, field="generation_id") or Q(pk__in=[])

    @admin.display(description="generation")
    def generation_shown(self, cancellation: Cancellation) -> SafeString:
        url = reverse("admin:generations_generation_change", args=[cancellation.generation_id])
        return format_html('<a href="{}">{}</a>', url, short_id(cancellation.generation_id))
