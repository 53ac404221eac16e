"""Users, as Django shows them, with a search that takes anything."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from spells.admin.search import MAX_WORD

if TYPE_CHECKING:
    _UserAdmin = UserAdmin[User]
else:
    _UserAdmin = UserAdmin

admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(_UserAdmin):
    """People who sign in, and what they may do."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """Search for what a column can hold: no NUL, and no pattern that is too long for the database."""
        return super().get_search_results(request, queryset, search_term.replace("\0", " ")[:MAX_WORD])
