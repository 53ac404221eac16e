"""What stands around casts, to read: wakeups, events, conductors."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from casts.clock import database_now
from casts.models import CastEvent, ConductorProcess, Wakeup
from generations.admin.generation import short_id
from spells.admin.json_html import json_html
from spells.admin.records import RecordAdmin
from spells.admin.search import matches_id


class _OfACast(RecordAdmin[CastEvent | Wakeup]):
    """Rows of casts."""

    search_fields = ("cast_id",)
    search_help_text = "By id of the cast (from 6 digits on)."
    linked_by = ("cast",)
    ordering = ("-pk",)

    def matches(self, word: str) -> Q:
        return matches_id(word, field="cast_id") or Q(pk__in=[])

    @admin.display(description="cast", ordering="cast")
    def cast_shown(self, row: CastEvent | Wakeup) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("admin:casts_cast_change", args=[row.cast_id]), short_id(row.cast_id))


@admin.register(CastEvent)
class CastEventAdmin(_OfACast):
    """The audit of casts. Append-only."""

    nouns = ("event", "events")
    list_display = ("at", "kind", "actor", "cast_shown")
    list_display_links = ("at",)
    list_filter = ("kind",)
    list_select_related = ("actor",)
    fields = ("cast_shown", "kind", "actor", "at", "data_shown")
    readonly_fields = ("cast_shown", "data_shown")
    unlisted = ("data",)
    empty_list = "No events match. Each cast leaves its first one when it starts."

    @admin.display(description="data")
    def data_shown(self, event: CastEvent) -> SafeString:
        return json_html(event.told)


@admin.register(Wakeup)
class WakeupAdmin(_OfACast):
    """When each unfinished cast is looked at next. The row goes when its cast ends."""

    list_display = ("cast_shown", "due_at", "claimed_until", "epoch", "bell", "lost", "priority", "initiator")
    list_display_links = None
    ordering = ("due_at",)
    sortable_by = ("due_at",)
    fields = ("cast_shown", "due_at", "claimed_until", "epoch", "bell", "lost", "priority", "initiator")
    readonly_fields = ("cast_shown",)
    empty_list = "No cast is unfinished."


@admin.register(ConductorProcess)
class ConductorProcessAdmin(RecordAdmin[ConductorProcess]):
    """Who conducts. A row whose time is over is dead; the reaper takes it away."""

    nouns = ("conductor", "conductors")
    list_display = ("host", "pid", "state", "kind", "in_flight", "started_at", "alive_until")
    list_filter = ("kind",)
    search_fields = ("host",)
    search_help_text = "By host."
    ordering = ("-alive_until",)
    empty_list = "No conductor runs. Start one with: manage.py conduct, or all there is with: manage.py serve"

    fields = ("host", "pid", "kind", "in_flight", "started_at", "alive_until")

    def matches(self, word: str) -> Q:
        return Q(host__icontains=word)

    def completed(self, rows: list[ConductorProcess]) -> list[ConductorProcess]:
        now = database_now()
        for row in rows:
            vars(row)["is_alive"] = row.alive_until > now
        return rows

    @admin.display(description="state")
    def state(self, row: Any) -> SafeString:
        shown = ("succeeded", "alive") if row.is_alive else ("failed", "dead")
        return format_html('<span class="badge is-{}">{}</span>', *shown)
