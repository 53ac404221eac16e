"""The list of casts; `acting` has the page of one."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from casts.clock import database_now
from casts.models import Cast
from casts.progress import progress_of, with_shown_status
from generations.admin.generation import badge, short_id
from generations.models import Generation
from spells.admin.filters import BegunFilter
from spells.admin.formats import NOTHING, duration, money, rough
from spells.admin.json_html import visible
from spells.admin.search import id_range

from .acting import ActingAdmin, spell_of
from .filters import InitiatorFilter, SpellFilter, StatusFilter, StuckFilter, versions_named


@admin.register(Cast)
class CastAdmin(ActingAdmin):
    """The list of casts: how each stands, and what it costs."""

    list_display = (
        *("id_shown", "spell_shown", "status_shown", "progress_shown"),
        *("cost_shown", "begun", "took", "initiator_shown", "error_shown"),
    )
    list_filter = (StatusFilter, StuckFilter, BegunFilter, SpellFilter, InitiatorFilter)
    list_select_related = ("version__spell", "initiator")
    search_fields = ("id",)
    search_help_text = (
        "By id of the cast or of one of its generations (from 6 digits on), by spell (slug or slug@2), or by idempotency key."
    )
    sortable_by = ("id_shown", "cost_shown")
    ordering = ("-pk",)
    unlisted = ("inputs", "outputs", "reason", "request_digest", "version__input_schema", "version__outputs", "version__spell__description")
    empty_list = "No casts match. Start one with: manage.py cast SPELL"

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cast]:
        casts: QuerySet[Cast] = with_shown_status(super().get_queryset(request)).select_related("version__spell", "initiator")
        return casts

    def matches(self, word: str) -> Q:
        found = Q(version__in=versions_named(word, exactly=False)) | Q(idempotency_key=word)
        bounds = id_range(word)
        if bounds is None:
            return found
        if bounds[0] == bounds[1]:  # a whole id is nothing else
            return Q(pk=bounds[0]) | Q(pk__in=list(Generation.objects.filter(pk=bounds[0]).values_list("cast", flat=True)))
        return found | Q(pk__range=bounds)

    def completed(self, rows: list[Cast]) -> list[Cast]:
        progress, now = progress_of(rows), database_now()
        for cast in rows:
            vars(cast).update(progress=progress[cast.pk], now=now)
        return rows

    @admin.display(description="cast", ordering="pk")
    def id_shown(self, cast: Cast) -> SafeString:
        return short_id(cast.pk)

    @admin.display(description="spell")
    def spell_shown(self, cast: Cast) -> str:
        return spell_of(cast)

    @admin.display(description="initiator")
    def initiator_shown(self, cast: Cast) -> SafeString:
        return format_html("<bdi>{}</bdi>", visible(cast.initiator.get_username()))

    @admin.display(description="status")
    def status_shown(self, cast: Any) -> SafeString:
        shown = badge(cast.shown_status)
        is_ending = cast.cancel_requested_at and cast.finished_at is None
        return format_html('{} <span class="quiet">cancelling</span>', shown) if is_ending else shown

    @admin.display(description="progress")
    def progress_shown(self, cast: Any) -> SafeString:
        return format_html(
            '<progress class="is-{}" value="{}" max="{}">{} of {}</progress> <span class="quiet">{}/{}</span>',
            *(cast.shown_status, cast.progress.done, max(cast.progress.total, 1)),
            *(cast.progress.done, cast.progress.total, cast.progress.done, cast.progress.total),
        )

    @admin.display(description="cost", ordering="cost_usd")
    def cost_shown(self, cast: Cast) -> str:
        return money(cast.cost_usd)

    @admin.display(description="age")
    def begun(self, cast: Any) -> SafeString:
        age = rough((cast.now - cast.created_at).total_seconds())
        return format_html('<time datetime="{0}" title="{0}">{1}</time>', cast.created_at.isoformat(), age)

    @admin.display(description="took")
    def took(self, cast: Any) -> str:
        if cast.started_at is None:
            return NOTHING
        return duration(((cast.finished_at or cast.now) - cast.started_at).total_seconds())

    @admin.display(description="error")
    def error_shown(self, cast: Cast) -> SafeString | str:
        error = cast.error if isinstance(cast.error, dict) else {}
        code, message = str(error.get("code", ""))[:60], str(error.get("message", ""))[:300]
        return format_html('<code title="{}">{}</code>', visible(message), visible(code)) if error else NOTHING
