"""Spells: who owns them and how they are shown. What they do is in their versions."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Exists, JSONField, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from spells.documents import DOCUMENT_SCHEMA
from spells.models import Spell, SpellVersion
from spells.schemas import check

from .formats import NOTHING
from .json_field import StrictJSONField
from .records import ListAdmin

SHOWN_VERSIONS = 20


class SpellForm(forms.ModelForm[Spell]):
    """What may change without a new version."""

    class Meta:
        model = Spell
        fields = ("name", "description", "owner", "visibility", "tags")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ask for an owner: only the spells of single tools have none."""
        super().__init__(*args, **kwargs)
        if "owner" in self.fields:
            self.fields["owner"].required = True

    def clean_tags(self) -> list[str]:
        """Hold tags to what a document may say of them, so that the spell can still be exported."""
        tags: list[str] = self.cleaned_data["tags"]
        problems = check(tags, DOCUMENT_SCHEMA["properties"]["tags"], path="tags")
        if problems:
            raise forms.ValidationError([str(problem) for problem in problems])
        return tags


class KindFilter(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("written", "written by somebody"), ("tool", "of a single tool")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Spell]) -> QuerySet[Spell]:
        return queryset.filter(tool__isnull=self.value() == "written") if self.value() in {"written", "tool"} else queryset


@admin.register(Spell)
class SpellAdmin(ListAdmin[Spell]):
    """Its owner, visibility, tags and words can change. Documents come in by `manage.py import_spell` and the API."""

    form = SpellForm
    formfield_overrides = {JSONField: {"form_class": StrictJSONField}}
    fields = ("slug", "name", "description", "owner", "visibility", "tags", "versions_shown", "created_at", "updated_at")
    readonly_fields = ("slug", "versions_shown", "created_at", "updated_at")
    autocomplete_fields = ("owner",)
    list_display = ("slug", "name", "owner_shown", "visibility", "published_shown", "has_draft", "updated_at")
    list_filter = ("visibility", KindFilter)
    list_select_related = ("owner", "tool")
    search_fields = ("slug", "name")
    search_help_text = "By slug, name or owner."
    ordering = ("slug",)
    actions = None
    empty_list = "No spells match. Bring one in with: manage.py import_spell FILE"

    def matches(self, word: str) -> Q:
        return Q(slug__icontains=word) | Q(name__icontains=word) | Q(owner__username__iexact=word)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Spell]:
        versions = SpellVersion.objects.filter(spell=OuterRef("pk"))
        latest = versions.published().order_by("-number").values("number")[:1]
        return super().get_queryset(request).annotate(latest=Subquery(latest), drafted=Exists(versions.drafts()))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Spell | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Spell | None = None) -> bool:
        """Allow no change of the spell by which a tool is run on its own: it follows its tool."""
        return (obj is None or obj.tool_id is None) and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Spell, form: Any, change: bool) -> None:
        obj.save(update_fields=[*form.changed_data, "updated_at"])

    @admin.display(description="owner", ordering="owner__username")
    def owner_shown(self, spell: Spell) -> SafeString:
        return format_html("<bdi>{}</bdi>", spell.owner) if spell.owner else format_html("the tool {}", spell.tool)

    @admin.display(description="published")
    def published_shown(self, spell: Any) -> SafeString | str:
        if spell.latest is None:
            return NOTHING
        return format_html(
            '<a href="{}?spell={}">version {}</a>', reverse("admin:spells_spellversion_changelist"), spell.slug, spell.latest
        )

    @admin.display(description="draft", boolean=True)
    def has_draft(self, spell: Any) -> bool:
        return bool(spell.drafted)

    @admin.display(description="versions")
    def versions_shown(self, spell: Spell) -> SafeString | str:
        versions = list(spell.versions.order_by("-number").values_list("pk", "number", "published_at")[: SHOWN_VERSIONS + 1])
        if not versions:
            return "None yet."
        rows = format_html_join(
            "",
            '<li><a href="{}">version {}</a> <span class="quiet">{}</span></li>',
            (
                (reverse("admin:spells_spellversion_change", args=[pk]), number, f"published {at:%d %b %Y %H:%M}" if at else "draft")
                for pk, number, at in versions[:SHOWN_VERSIONS]
            ),
        )
        more = format_html('<li><a href="{}?spell={}">all versions</a></li>', reverse("admin:spells_spellversion_changelist"), spell.slug)
        return format_html('<ul class="plain">{}{}</ul>', rows, more if len(versions) > SHOWN_VERSIONS else "")
