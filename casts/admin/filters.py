"""Filters of the lists of casts and of alerts."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest

from casts.clock import database_now
from casts.models import Alert, Cast, CastStatus
from casts.progress import ShownStatus, with_shown_status
from spells.admin.filters import WordFilter, newest
from spells.models import Spell, SpellVersion

from . import stuck


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, status) for status in ShownStatus.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Cast]) -> QuerySet[Cast]:
        value = self.value()
        if value in (ShownStatus.RUNNING, ShownStatus.WAITING):
            return with_shown_status(queryset.filter(status=CastStatus.RUNNING)).filter(shown_status=value)
        return queryset.filter(status=value) if value in CastStatus.values else queryset


class StuckFilter(admin.SimpleListFilter):
    title = "stuck"
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(stuck.ANY, "in any way"), *((kind, title) for kind, (title, _) in stuck.KINDS.items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Cast]) -> QuerySet[Cast]:
        value = self.value() or ""
        if value != stuck.ANY and value not in stuck.KINDS:
            return queryset
        return stuck.stuck(queryset, kind=value, now=database_now())


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "open"), ("no", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        value = self.value()
        return queryset.filter(closed_at__isnull=value == "yes") if value in ("yes", "no") else queryset


class SpellFilter(WordFilter):
    title = "spell"
    parameter_name = "spell"
    placeholder = "slug or slug@2"

    def suggestions(self) -> list[str]:
        return newest(Spell.objects.order_by("-updated_at").values_list("slug", flat=True), count=100)

    def narrowed(self, queryset: QuerySet[Cast], word: str) -> QuerySet[Cast]:
        return queryset.filter(version__in=versions_named(word, exactly=True))


class InitiatorFilter(WordFilter):
    title = "initiator"
    parameter_name = "initiator"
    placeholder = "beginning of a username"

    def suggestions(self) -> list[str]:
        return newest(Cast.objects.order_by("-pk").values_list("initiator__username", flat=True), count=500)

    def narrowed(self, queryset: QuerySet[Cast], word: str) -> QuerySet[Cast]:
        return queryset.filter(initiator__in=get_user_model().objects.filter(username__istartswith=word))


def versions_named(word: str, *, exactly: bool) -> QuerySet[SpellVersion]:
    """Return the versions that a slug, a part of one, or `slug@number` names."""
    slug, _, number = word.partition("@")
    versions = SpellVersion.objects.filter(**{"spell__slug" if exactly else "spell__slug__icontains": slug})
    return versions.filter(number=int(number)) if number.isascii() and number.isdecimal() else versions
