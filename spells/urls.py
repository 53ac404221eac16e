"""Addresses of spells and tools, below /api/v1/."""

from typing import Any

from django.urls import URLPattern, path, register_converter
from django.urls.converters import StringConverter

from spells.views import SpellVersionViewSet, SpellViewSet, ToolViewSet


class SpellSlug(StringConverter):
    """The slug of a spell, as the model has it."""

    regex = r"[a-z0-9]+(?:-[a-z0-9]+)*"


class ToolSlug(StringConverter):
    """The slug of a tool, as the model has it."""

    regex = r"[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)*"


register_converter(SpellSlug, "spell")
register_converter(ToolSlug, "tool")

_SPELL: dict[str, Any] = {"get": "retrieve", "put": "update", "patch": "partial_update"}

urlpatterns: list[URLPattern] = [
    path("spells/", SpellViewSet.as_view({"get": "list", "post": "create"}), name="spells"),
    path("spells/validate/", SpellViewSet.as_view({"post": "validate"}), name="spells-validate"),
    path("spells/<spell:slug>/", SpellViewSet.as_view(_SPELL, detail=True), name="spell"),
    path("spells/<spell:slug>/publish/", SpellViewSet.as_view({"post": "publish"}, detail=True), name="spell-publish"),
    path("spells/<spell:slug>/versions/", SpellVersionViewSet.as_view({"get": "list", "post": "create"}), name="spell-versions"),
    path(
        "spells/<spell:slug>/versions/<int:number>/",
        SpellVersionViewSet.as_view({"get": "retrieve", "put": "update"}, detail=True),
        name="spell-version",
    ),
    path("tools/", ToolViewSet.as_view({"get": "list"}), name="tools"),
    path("tools/<tool:slug>/", ToolViewSet.as_view({"get": "retrieve"}, detail=True), name="tool"),
]
