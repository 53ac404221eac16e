"""By what lists of spells and tools can be narrowed down."""

from django.db.models import Q, QuerySet
from django_filters.rest_framework import ChoiceFilter, FilterSet, TypedChoiceFilter
from drf_spectacular.utils import extend_schema_field

from spells import tags as _lookups  # noqa: F401 - registers `has_item`
from spells.models import Effects, Spell, Tool, Visibility
from spells.text_filter import text_filter


class SpellFilter(FilterSet):  # type: ignore[misc] # django-filter has no types
    """Filters of spells. Several of them must all hold."""

    search = text_filter(method="search_for", max_length=200, help_text="A part of the slug, the name or the description.")
    tag = text_filter(field_name="tags", lookup_expr="has_item", max_length=50, help_text="Those with this tag.")
    visibility = ChoiceFilter(choices=Visibility.choices, help_text="Those with this visibility.")
    owner = text_filter(field_name="owner__username", max_length=150, help_text="Those of this user.")

    class Meta:
        model = Spell
        fields: list[str] = []

    def search_for(self, spells: QuerySet[Spell], _name: str, words: str) -> QuerySet[Spell]:
        return spells.filter(_anywhere(words, "slug", "name", "description"))


class ToolFilter(FilterSet):  # type: ignore[misc] # django-filter has no types
    """Filters of tools. Several of them must all hold."""

    search = text_filter(method="search_for", max_length=200, help_text="A part of the slug, the name or the description.")
    category = text_filter(max_length=50, help_text="Those of this category.")
    effects = ChoiceFilter(choices=Effects.choices, help_text="Those with these effects.")
    enabled = extend_schema_field(bool)(
        TypedChoiceFilter(
            choices=[("true", "true"), ("false", "false")], coerce=lambda word: word == "true", help_text="Those that can be run, or not."
        )
    )

    class Meta:
        model = Tool
        fields: list[str] = []

    def search_for(self, tools: QuerySet[Tool], _name: str, words: str) -> QuerySet[Tool]:
        return tools.filter(_anywhere(words, "slug", "name", "description"))


def _anywhere(words: str, *fields: str) -> Q:
    return Q(*((f"{field}__icontains", words) for field in fields), _connector=Q.OR)
