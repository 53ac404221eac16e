"""Filters of lists: by the parameters that a view declares, and no others. A misspelt one is refused, not ignored."""

from typing import cast

from django.db.models import Model, QuerySet
from django_filters.rest_framework import BooleanFilter, CharFilter, DjangoFilterBackend
from rest_framework.request import Request
from rest_framework.views import APIView

from config.pagination import Cursors
from config.problems import flattened
from spells.problems import Problem, suggestion
from spells.requests import UnreadableRequestError


class StrictFilters(DjangoFilterBackend):  # type: ignore[misc] # django-filter has no types
    """Applies the view's `filterset_class` to its list. Raises UnreadableRequestError for values and names that it does not know.

    A view names as `parameters` those of its own that filter nothing.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet[Model], view: APIView) -> QuerySet[Model]:
        if getattr(view, "detail", False):
            return queryset  # one thing, by its address
        filterset = self.get_filterset(request, queryset, view)
        known = {
            Cursors.cursor_query_param,
            Cursors.page_size_query_param,
            *getattr(view, "parameters", ()),
            *(filterset.filters if filterset else ()),
        }
        unknown = [name for name in request.query_params if name not in known]
        if unknown:
            raise UnreadableRequestError(*(Problem(name, f"is unknown{suggestion(name, known)}") for name in unknown))
        if filterset is None:
            return queryset
        empty = [name for name, each in filterset.filters.items() if _is_empty(request, name) and not isinstance(each, CharFilter)]
        if empty:
            raise UnreadableRequestError(*(Problem(name, "is empty; leave it out, or say by what to filter") for name in empty))
        neither = [name for name, each in filterset.filters.items() if isinstance(each, BooleanFilter) and not _is_truth(request, name)]
        if neither:
            raise UnreadableRequestError(*(Problem(name, "is neither true nor false") for name in neither))
        if not filterset.is_valid():
            raise UnreadableRequestError(*flattened(filterset.errors))
        return cast("QuerySet[Model]", filterset.qs)


def _is_truth(request: Request, name: str) -> bool:
    """Tell whether a parameter is left out, or said once as JSON says it: django-filter takes anything else for nothing."""
    return request.query_params.getlist(name) in ([], ["true"], ["false"])


def _is_empty(request: Request, name: str) -> bool:
    return "" in request.query_params.getlist(name)
