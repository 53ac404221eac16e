"""Filters of lists of calls."""

from django.db.models import QuerySet

from generations.models import Artifact, Generation
from spells.admin.filters import WordFilter, newest
from spells.models import Step, Tool


class ToolFilter(WordFilter):
    title = "tool"
    parameter_name = "tool"
    placeholder = "slug"

    def suggestions(self) -> list[str]:
        return newest(Tool.objects.order_by("slug").values_list("slug", flat=True), count=200)

    def narrowed(self, queryset: QuerySet[Generation], word: str) -> QuerySet[Generation]:
        return queryset.filter(step__in=Step.objects.filter(tool__slug=word))


class OwnerFilter(WordFilter):
    title = "owner"
    parameter_name = "owner"
    placeholder = "username"

    def suggestions(self) -> list[str]:
        return newest(Artifact.objects.order_by("-pk").values_list("owner__username", flat=True), count=500)

    def narrowed(self, queryset: QuerySet[Artifact], word: str) -> QuerySet[Artifact]:
        return queryset.filter(owner__username=word)


class KindFilter(WordFilter):
    title = "kind"
    parameter_name = "kind"
    placeholder = "image, or image/png"

    def suggestions(self) -> list[str]:
        return newest(Artifact.objects.order_by("-pk").values_list("mime_type", flat=True), count=500)

    def narrowed(self, queryset: QuerySet[Artifact], word: str) -> QuerySet[Artifact]:
        return queryset.filter(mime_type=word) if "/" in word else queryset.filter(mime_type__startswith=f"{word}/")
