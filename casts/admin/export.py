"""What is done with pieces: who decided what, and exports with their progress."""

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from casts.models import Export, ExportStatus, Piece, ReviewEvent
from spells.admin.formats import NOTHING
from spells.admin.records import RecordAdmin, by_number

LOOKS = {ExportStatus.PREPARING: "running", ExportStatus.READY: "succeeded", ExportStatus.FAILED: "failed"}


@admin.register(Export)
class ExportAdmin(RecordAdmin[Export]):
    """Exports: how far each is, and whether its order is the cook's for good."""

    list_display = ("id", "cook_shown", "status_shown", "progress_shown", "requested_by", "created_at", "published_at")
    list_display_links = ("id",)
    list_filter = ("status",)
    list_select_related = ("requested_by",)
    search_fields = ("id",)
    search_help_text = "By id."
    ordering = ("-pk",)
    unlisted = ("description", "error")
    fields = (
        "cook_shown",
        "status_shown",
        "progress_shown",
        "error",
        "requested_by",
        "name_template",
        "description",
        "base_uri",
        "shuffle_seed",
        "provenance_hash",
        "created_at",
        "finished_at",
        "published_at",
        "archive_shown",
    )
    readonly_fields = ("cook_shown", "status_shown", "progress_shown", "archive_shown")
    empty_list = "No exports match."

    def matches(self, word: str) -> Q:
        return by_number(word)

    @admin.display(description="cook", ordering="cook")
    def cook_shown(self, row: Export) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("admin:casts_cook_change", args=[row.cook_id]), row.cook_id)

    @admin.display(description="status", ordering="status")
    def status_shown(self, row: Export) -> SafeString:
        return format_html('<span class="badge is-{}">{}</span>', LOOKS[ExportStatus(row.status)], row.status)

    @admin.display(description="archive")
    def archive_shown(self, row: Export) -> SafeString | str:
        if row.status != ExportStatus.READY:
            return NOTHING
        return format_html('<a href="{}">export-{}.zip</a>', reverse("api:export-archive", args=[row.pk]), row.pk)

    @admin.display(description="progress")
    def progress_shown(self, row: Export) -> SafeString:
        return format_html(
            '<progress class="is-{}" value="{}" max="{}"></progress> <span class="quiet">{}/{}</span>',
            *(LOOKS[ExportStatus(row.status)], row.prepared, row.total, row.prepared, row.total),
        )


@admin.register(ReviewEvent)
class ReviewEventAdmin(RecordAdmin[ReviewEvent]):
    """The audit of reviews. Append-only."""

    nouns = ("review event", "review events")
    list_display = ("at", "act", "actor", "piece_shown", "reason")
    list_display_links = ("at",)
    list_filter = ("act",)
    list_select_related = ("actor",)
    search_fields = ("piece_id",)
    search_help_text = "By id of the piece."
    ordering = ("-pk",)
    fields = ("piece_shown", "act", "actor", "reason", "at")
    readonly_fields = ("piece_shown",)
    empty_list = "No review events match."

    def matches(self, word: str) -> Q:
        return Q(piece__in=Piece.objects.filter(by_number(word)))

    @admin.display(description="piece", ordering="piece")
    def piece_shown(self, row: ReviewEvent) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("admin:casts_piece_change", args=[row.piece_id]), row.piece_id)
