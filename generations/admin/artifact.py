"""Artefacts: what tools made, as a gallery."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from generations.models import Artifact
from spells.admin.filters import BegunFilter
from spells.admin.formats import size
from spells.admin.records import RecordAdmin
from spells.admin.search import matches_id

from .filters import KindFilter, OwnerFilter
from .generation import short_id
from .pictures import artifact_figure, artifact_url

_SHA256 = 64


@admin.register(Artifact)
class ArtifactAdmin(RecordAdmin[Artifact]):
    """What stands for stored bytes. The bytes are served by the API, to whoever may see them."""

    nouns = ("artefact", "artefacts")
    list_display = ("id",)
    list_filter = (KindFilter, OwnerFilter, BegunFilter)
    linked_by = ("generation",)
    list_select_related = ("owner", "generation__step")
    list_per_page = 40
    search_fields = ("id", "sha256")
    search_help_text = "By id (from 6 digits on), by the beginning of the SHA-256, or by name."
    ordering = ("-pk",)
    change_list_template = "admin/generations/gallery.html"
    empty_list = "No artefacts match. Pictures and files that tools make appear here."
    fields = ("figure_shown", "id", "generation_shown", "owner", "mime_type", "size_shown", "sha256", "name", "source_url", "created_at")
    readonly_fields = ("figure_shown", "generation_shown", "size_shown")

    def matches(self, word: str) -> Q:
        by_hash = Q(sha256__gte=word.lower(), sha256__lt=f"{word.lower()}g") if len(word) <= _SHA256 else Q(pk__in=[])
        by_id = matches_id(word)
        return by_hash | Q(name=word) if by_id is None else by_hash | Q(name=word) | by_id

    @admin.display(description="")
    def figure_shown(self, artifact: Artifact) -> SafeString:
        return format_html('<div class="thumbs is-large">{}</div>', artifact_figure(artifact))

    @admin.display(description="generation")
    def generation_shown(self, artifact: Artifact) -> SafeString | str:
        if artifact.generation_id is None:
            return "None: it was brought in."
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:generations_generation_change", args=[artifact.generation_id]),
            short_id(artifact.generation_id),
        )

    @admin.display(description="size")
    def size_shown(self, artifact: Artifact) -> SafeString:
        return format_html('{}, <a href="{}">the bytes</a>', size(artifact.size), artifact_url(artifact.pk))


def gallery_figure(artifact: Artifact) -> SafeString:
    """Return an artefact as the gallery draws it."""
    generation: Any = artifact.generation
    caption = f"{generation.step.key} {generation.item}" if generation else artifact.name
    page = reverse("admin:generations_artifact_change", args=[artifact.pk])
    figure = artifact_figure(artifact, caption)
    return format_html('<div class="card">{}<a class="quiet" href="{}">{}</a></div>', figure, page, short_id(artifact.pk))
