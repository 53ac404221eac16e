"""Generations: every call that was made, to read."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from generations.models import Cancellation, Generation
from spells.admin.filters import BegunFilter
from spells.admin.formats import NOTHING, duration, money
from spells.admin.json_html import json_html
from spells.admin.records import RecordAdmin
from spells.admin.search import matches_id

from .filters import ToolFilter
from .pictures import artifact_figure, picture_of

# Artefacts of one call that its page shows.
SHOWN_ARTIFACTS = 50


@admin.register(Generation)
class GenerationAdmin(RecordAdmin[Generation]):
    """A generation is settled on the page of its cast, in sight of the others."""

    list_display = ("id_shown", "cast_shown", "step_shown", "tool_shown", "status_shown", "cost_shown", "took", "created_at")
    list_filter = ("status", ToolFilter, BegunFilter)
    linked_by = ("cast", "step")
    list_select_related = ("step__tool",)
    search_fields = ("id", "job_id")
    search_help_text = "By id of the generation or its cast (from 6 digits on), by job id of the provider, or by idempotency key."
    sortable_by = ("id_shown", "cost_shown")
    ordering = ("-pk",)
    unlisted = (
        *("inputs", "output", "late_output", "unfetched", "error", "progress", "cost_basis", "reason"),
        *("step__params", "step__for_each", "step__when"),
        *(f"step__tool__{name}" for name in ("input_schema", "output_schema", "config", "pricing", "description")),
    )
    empty_list = "No generations match. They appear as soon as a cast calls its first tool."
    fieldsets = (
        (None, {"fields": ("cast_shown", "step_shown", "tool_shown", "status_shown", "reason", "error_shown", "pictures_shown")}),
        (
            "What went in, what came out",
            {"fields": ("inputs_shown", "output_shown", "unfetched_shown", "late_output_shown", "progress_shown")},
        ),
        ("Cost", {"fields": ("cost_shown", "cost_basis_shown", "cost_booked_at")}),
        ("Times", {"fields": ("created_at", "started_at", "finished_at", "took", "poll_at", "retry_at", "deadline_at")}),
        ("Bookkeeping", {"fields": ("id", "round", "epoch", "lost", "job_id", "job_handle", "cancellation_shown", "idempotency_key")}),
    )
    readonly_fields = (
        *("cast_shown", "step_shown", "tool_shown", "status_shown", "error_shown", "pictures_shown"),
        *("inputs_shown", "output_shown", "late_output_shown", "progress_shown", "cost_shown", "cost_basis_shown", "took"),
        *("cancellation_shown", "unfetched_shown", "idempotency_key"),
    )

    def matches(self, word: str) -> Q:
        by_id, by_cast = matches_id(word), matches_id(word, field="cast_id")
        owing = matches_id(word, field="owed_key")
        others = Q(job_id=word) | (owing or Q(pk__in=[]))
        if by_id is None or by_cast is None or owing is None:
            return others
        # these have indexes, the others have none: they are asked for when nothing else is meant
        meant = by_id | by_cast | (owing & Q(cast__in=Generation.objects.filter(by_id).values("cast")))
        return meant if Generation.objects.filter(meant).exists() else others

    def get_queryset(self, request: HttpRequest) -> QuerySet[Generation]:
        return super().get_queryset(request).select_related("step__tool")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().change_view(request, object_id, form_url, {"title": "Generation", "subtitle": object_id, **(extra_context or {})})

    @admin.display(description="id", ordering="pk")
    def id_shown(self, generation: Generation) -> SafeString:
        return short_id(generation.pk)

    @admin.display(description="cast")
    def cast_shown(self, generation: Generation) -> SafeString:
        url = reverse("admin:casts_cast_change", args=[generation.cast_id])
        return format_html('<a href="{}#g-{}">{}</a>', url, generation.pk, short_id(generation.cast_id))

    @admin.display(description="step")
    def step_shown(self, generation: Generation) -> SafeString:
        again = f", attempt {generation.attempt}" if generation.attempt > 1 else ""
        return format_html('<code>{}</code> {}<span class="quiet">{}</span>', generation.step.key, generation.item, again)

    @admin.display(description="tool")
    def tool_shown(self, generation: Generation) -> str:
        return generation.step.tool.slug

    @admin.display(description="status", ordering="status")
    def status_shown(self, generation: Generation) -> SafeString:
        return badge(generation.status)

    @admin.display(description="cost", ordering="cost_usd")
    def cost_shown(self, generation: Generation) -> str:
        return money(generation.cost_usd)

    @admin.display(description="took")
    def took(self, generation: Generation) -> str:
        if generation.started_at is None or generation.finished_at is None:
            return NOTHING
        return duration((generation.finished_at - generation.started_at).total_seconds())

    @admin.display(description="error")
    def error_shown(self, generation: Generation) -> SafeString:
        return json_html(generation.error)

    @admin.display(description="inputs")
    def inputs_shown(self, generation: Generation) -> SafeString:
        return json_html(generation.inputs, picture=picture_of)

    @admin.display(description="output")
    def output_shown(self, generation: Generation) -> SafeString:
        return json_html(generation.output, picture=picture_of)

    @admin.display(description="not fetched")
    def unfetched_shown(self, generation: Generation) -> SafeString:
        return json_html(generation.unfetched, picture=picture_of)

    @admin.display(description="late output")
    def late_output_shown(self, generation: Generation) -> SafeString:
        return json_html(generation.late_output, picture=picture_of)

    @admin.display(description="progress")
    def progress_shown(self, generation: Generation) -> SafeString:
        return json_html(generation.progress)

    @admin.display(description="cancellation")
    def cancellation_shown(self, generation: Generation) -> SafeString | str:
        cancellation = Cancellation.objects.filter(generation=generation).first()
        if cancellation is None:
            return "Nobody asked the provider to stop it."
        url = reverse("admin:generations_cancellation_change", args=[cancellation.pk])
        return format_html('<a href="{}">{}</a> {}', url, cancellation.get_outcome_display(), cancellation.said)

    @admin.display(description="basis of the cost")
    def cost_basis_shown(self, generation: Generation) -> SafeString:
        return json_html(generation.cost_basis)

    @admin.display(description="artefacts")
    def pictures_shown(self, generation: Generation) -> SafeString | str:
        made = list(generation.artifacts.order_by("pk")[:SHOWN_ARTIFACTS])
        if not made:
            return "None."
        return format_html('<div class="thumbs">{}</div>', format_html_join("", "{}", ((artifact_figure(each),) for each in made)))


def short_id(id_: Any) -> SafeString:
    """Return the beginning of a UUIDv7, which tells rows apart to the millisecond, with the whole of it as title."""
    return format_html('<code class="id" title="{}">{}</code>', id_, str(id_)[:13])


def badge(status: str) -> SafeString:
    return format_html('<span class="badge is-{0}">{0}</span>', status)
