"""Alerts for operators: those that are open first, then what was; and the mails that told of them."""

from typing import Any

from django.contrib import admin
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from casts.models import Alert, AlertMail
from spells.admin.json_html import json_html
from spells.admin.records import RecordAdmin

from .filters import OpenFilter


@admin.register(Alert)
class AlertAdmin(RecordAdmin[Alert]):
    """What is or was wrong. An alert closes by itself, some minutes after what it tells of is over."""

    list_display = ("kind_shown", "subject", "state", "told", "opened_at", "closed_at")
    list_display_links = ("kind_shown",)
    list_filter = (OpenFilter, "kind")
    search_fields = ("subject",)
    search_help_text = "By tool or provider."
    sortable_by = ("opened_at",)
    ordering = (F("closed_at").desc(nulls_first=True), "-pk")
    fields = ("kind", "subject", "state", "told", "opened_at", "seen_at", "told_at", "calm_since", "closed_at", "details_shown")
    readonly_fields = ("state", "details_shown")
    unlisted = ("details",)
    empty_list = "No alerts match. The reaper looks for them each minute."

    def matches(self, word: str) -> Q:
        return Q(subject__icontains=word)

    @admin.display(description="what")
    def kind_shown(self, alert: Alert) -> str:
        return str(alert.get_kind_display())

    @admin.display(description="state")
    def state(self, alert: Alert) -> SafeString:
        return state_badge(alert)

    @admin.display(description="details")
    def details_shown(self, alert: Alert) -> SafeString:
        return json_html(alert.details)


def state_badge(alert: Alert) -> SafeString:
    look, word = ("succeeded", "over") if alert.closed_at else ("waiting", "calming down") if alert.calm_since else ("failed", "open")
    return format_html('<span class="badge is-{}">{}</span>', look, word)


@admin.register(AlertMail)
class AlertMailAdmin(RecordAdmin[AlertMail]):
    """The outbox of mails to operators."""

    nouns = ("alert mail", "alert mails")
    list_display = ("created_at", "target", "subject", "outcome", "attempts", "done_at", "said")
    list_filter = ("outcome",)
    search_fields = ("target",)
    search_help_text = "By address."
    ordering = ("-pk",)
    unlisted = ("body",)
    empty_list = "No mails match. They go to the addresses of GRIMOIRE_ALERT_EMAILS."

    def matches(self, word: str) -> Q:
        return Q(target__icontains=word)

    def get_fields(self, request: HttpRequest, obj: AlertMail | None = None) -> Any:
        return ("target", "subject", "body", "outcome", "said", "attempts", "created_at", "due_at", "done_at")
