"""Lists and pages of rows that only Grimoire writes: made for tables with very many rows, and closed to editing."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AutocompleteSelect, RelatedFieldWidgetWrapper
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from .search import MAX_WORD, words_of

M = TypeVar("M", bound=Model)

# of a 64-bit id, all of which fit
MAX_DIGITS = 18

# Counting further takes time and tells nobody anything.
MAX_COUNT = 10_000

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin
else:

    class _ModelAdmin(admin.ModelAdmin):
        """Generic for the type checker alone."""

        def __class_getitem__(cls, _: Any) -> type:
            return cls


def by_number(word: str) -> Q:
    """Return the condition that a row has this id."""
    return Q(pk=int(word)) if word.isascii() and word.isdecimal() and len(word) <= MAX_DIGITS else Q(pk__in=[])


class CappedPaginator(Paginator):  # type: ignore[type-arg] # not generic at run time
    """Pages over the first rows of a query. It counts no further than they go."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by()[:MAX_COUNT].count() if isinstance(rows, QuerySet) else len(rows)

    @property
    def is_capped(self) -> bool:
        return self.count >= MAX_COUNT


class LightChangeList(ChangeList):
    """A page of rows without the columns that it does not show, completed in a fixed number of queries."""

    model_admin: "ListAdmin[Any]"

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        return super().get_queryset(request, exclude_parameters).defer(*self.model_admin.unlisted)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: Any = self.model_admin.completed(list(self.result_list))
        self.result_list = rows


class StrictAutocompleteSelect(AutocompleteSelect):
    """A choice among many rows that can draw itself around a value which is no id. Django's own looks that value up, and fails."""

    def optgroups(self, name: str, value: Sequence[str], attr: dict[str, Any] | None = None) -> Any:
        ids = [each for each in value if each.isascii() and each.isdecimal() and len(each) <= MAX_DIGITS]
        return super().optgroups(name, ids, attr)


class ListAdmin(_ModelAdmin[M]):
    """A list of many rows: constant in queries, searched by `matches`, filtered by what `list_filter` names and nothing else."""

    paginator = CappedPaginator
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    empty_list = "Nothing here yet."
    # what the rows are called where the model's own name is not the word: one of them, and many
    nouns: tuple[str, str] | None = None
    # fields by whose value other pages link into this list
    linked_by: ClassVar[Sequence[str]] = ()
    # columns that the list does not show, and that would cost time to read
    unlisted: ClassVar[Sequence[str]] = ()

    @property
    def names(self) -> tuple[str, str]:
        return self.nouns or (str(self.opts.verbose_name), str(self.opts.verbose_name_plural))

    def completed(self, rows: list[M]) -> list[M]:
        """Return the rows of one page with what their columns show beside their fields."""
        return rows

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LightChangeList

    def matches(self, word: str) -> Q:
        """Return the condition that a row is meant by one word of a search."""
        raise NotImplementedError

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[M], search_term: str) -> tuple[QuerySet[M], bool]:
        for word in words_of(search_term):
            queryset = queryset.filter(self.matches(word)) if len(word) <= MAX_WORD else queryset.none()
        return queryset, False

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = StrictAutocompleteSelect(db_field, self.admin_site, using=kwargs.get("using"))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer a related row for choice, without buttons that would add, change or delete one on the way."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            widget: Any = field.widget
            widget.can_add_related = widget.can_change_related = widget.can_delete_related = widget.can_view_related = False
        return field

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        filters = {getattr(each, "parameter_name", None) for each in self.list_filter}
        fields = {f"{each}__exact" for each in self.list_filter if isinstance(each, str)}
        return lookup in filters | fields | set(self.linked_by)

    def _links_are_ids(self, request: HttpRequest) -> bool:
        """Tell whether the ids by which another page linked here are ones that the database can hold."""
        for name in self.linked_by:
            target: Any = self.opts.get_field(name)
            if not _are_ids(target.target_field, request.GET.getlist(name)):
                return False
        return True

    def response_action(self, request: HttpRequest, queryset: QuerySet[M], *args: Any, **kwargs: Any) -> HttpResponse | None:
        if not _are_ids(self.opts.pk, request.POST.getlist(ACTION_CHECKBOX_NAME)):
            messages.error(request, "Nothing was changed: what was selected are no ids.")
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if any("\0" in text for name, values in request.GET.lists() for text in (name, *values)) or not self._links_are_ids(request):
            messages.error(request, "The address asked for what no row can have. All rows are shown.")
            return HttpResponseRedirect(request.path)
        title = self.names[1]
        context = {"title": title[:1].upper() + title[1:], "empty_list": self.empty_list, **(extra_context or {})}
        return super().changelist_view(request, context)


def _are_ids(field: Any, values: Sequence[str]) -> bool:
    """Tell whether a database can hold these values in a column of ids."""
    try:
        for value in values:
            field.clean(value, None)
    except ValidationError:
        return False
    return "\0" not in "".join(values)


class RecordAdmin(ListAdmin[M]):
    """Rows to look at. No field can be edited, no row added or deleted."""

    actions: Sequence[str] | None = None

    def get_readonly_fields(self, request: HttpRequest, obj: M | None = None) -> list[str]:
        shown = [name for name in super().get_readonly_fields(request, obj) if isinstance(name, str)]
        return list(dict.fromkeys([*shown, *(field.name for field in self.opts.fields)]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False
