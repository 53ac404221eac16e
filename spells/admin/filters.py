"""Filters for lists with very many rows: by time through time-ordered ids, and by a typed word instead of a long list."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

MAX_SUGGESTIONS = 100


def first_id_since(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of a moment: all later ones are greater."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return UUID(int=milliseconds << 80)


class BegunFilter(admin.SimpleListFilter):
    """Keeps rows by their UUIDv7, which begins with the time at which they were made: the primary key serves as index."""

    title = "age"
    parameter_name = "since"
    spans: ClassVar[dict[str, tuple[str, timedelta]]] = {
        "hour": ("last hour", timedelta(hours=1)),
        "day": ("last 24 hours", timedelta(days=1)),
        "week": ("last 7 days", timedelta(days=7)),
        "month": ("last 30 days", timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in self.spans.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = self.spans.get(self.value() or "")
        return queryset.filter(pk__gte=first_id_since(timezone.now() - span[1])) if span else queryset


class WordFilter(admin.SimpleListFilter):
    """A filter into which a word is typed. Some words are suggested; any may be given."""

    template = "admin/word_filter.html"
    placeholder = ""

    def suggestions(self) -> list[str]:
        """Return words worth suggesting, in one query that does not grow with the table."""
        raise NotImplementedError

    def narrowed(self, queryset: QuerySet[Any], word: str) -> QuerySet[Any]:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, word) for word in self.suggestions()[:MAX_SUGGESTIONS]]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        word = (self.value() or "").strip()
        return self.narrowed(queryset, word) if word else queryset

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the one choice that the template draws: the field, its suggestions, and the other filters to keep."""
        kept = [(name, value) for name, values in changelist.filter_params.items() for value in values if name != self.parameter_name]
        clear = changelist.get_query_string(remove=[str(self.parameter_name)])
        yield {
            "name": self.parameter_name,
            "value": self.value() or "",
            "placeholder": self.placeholder,
            "suggestions": [word for word, _ in self.lookup_choices],
            "kept": kept,
            "clear": clear,
        }


def newest(rows: QuerySet[Model, Any], *, count: int) -> list[str]:
    """Return the different words among the first `count` values of a query, sorted."""
    return sorted({str(word) for word in rows[:count]})
