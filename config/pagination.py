"""Pages of lists: by cursor, so that a list costs the same however long it grows."""

from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from spells.problems import Problem, shown
from spells.requests import UnreadableRequestError


class Cursors(CursorPagination):
    """Pages in the order that the view names as `ordering`, by a unique field. Refuses what it did not hand out."""

    page_size = 25
    max_page_size = 100
    page_size_query_param = "page_size"

    def get_ordering(self, request: Request, queryset: QuerySet[Model], view: APIView | None) -> tuple[str]:  # noqa: ARG002 - the framework's signature
        return (cast("Any", view).ordering,)

    def get_page_size(self, request: Request) -> int:
        """Return how many rows were asked for. Raises UnreadableRequestError when that is no number from 1 to the maximum."""
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return self.page_size
        if not (given.isascii() and given.isdecimal() and len(given) <= 4 and 1 <= int(given) <= self.max_page_size):  # noqa: PLR2004 - digits
            raise UnreadableRequestError(Problem(self.page_size_query_param, f"{shown(given)} is no number from 1 to {self.max_page_size}"))
        return int(given)

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any] | None:
        self.model = queryset.model
        self.order_field = cast("Any", view).ordering.lstrip("-")
        return super().paginate_queryset(queryset, request, view)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the place to go on from. Raises UnreadableRequestError when the cursor is not one that this list gives out."""
        try:
            cursor = super().decode_cursor(request)
            if cursor is not None:
                self._check(cursor, request.query_params[self.cursor_query_param])
        except (NotFound, ValueError, ValidationError) as error:
            raise self._bad_cursor() from error
        return cursor

    def _check(self, cursor: Cursor, given: str) -> None:
        if self.encode_cursor(cursor) != replace_query_param(str(self.base_url), self.cursor_query_param, given):
            raise ValueError(given)
        if cursor.position is not None:
            position = str(cursor.position)
            self.model._meta.get_field(self.order_field).to_python(position)
            if "\0" in position:
                raise ValueError(position)

    @staticmethod
    def _bad_cursor() -> UnreadableRequestError:
        return UnreadableRequestError(Problem("cursor", "is not one that this list gave out; begin at its first page"))

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:  # noqa: ARG002 - the framework's signature
        """Return what OpenAPI says of the parameters of a page."""
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        place = {"type": "string", "format": "cursor"}
        return [
            _parameter(self.cursor_query_param, place, "The place to go on from: taken from the `next` or `previous` of a page."),
            _parameter(self.page_size_query_param, size, "How many to show at most."),
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return what OpenAPI says of a page of what `schema` describes."""
        address = {"type": ["string", "null"], "format": "uri", "example": "https://grimoire.example.org/api/v1/casts/?cursor=cD0wMTlhNWQw"}
        return {
            "type": "object",
            "properties": {
                "next": {**address, "description": "The address of the next page, or null."},
                "previous": {**address, "description": "The address of the page before, or null."},
                "results": schema,
            },
            "required": ["next", "previous", "results"],
        }


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "required": False, "in": "query", "description": description, "schema": schema}
