"""By what lists of casts can be narrowed down."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import (
    BooleanFilter,
    ChoiceFilter,
    FilterSet,
    IsoDateTimeFilter,
    MultipleChoiceFilter,
    NumberFilter,
    UUIDFilter,
)
from drf_spectacular.utils import extend_schema_field

from casts.models import (
    Cast,
    Cook,
    CookStatus,
    Decision,
    Export,
    ExportStatus,
    Notification,
    NotificationChannel,
    NotificationKind,
    NotificationStatus,
    Piece,
    PieceReview,
    PieceStatus,
)
from casts.progress import ShownStatus
from spells.requests import user_of
from spells.text_filter import text_filter

MAX_ROW_ID = 2**63 - 1


class UniversalTimeField(IsoDateTimeField):  # type: ignore[misc] # django-filter has no types
    """A time in ISO 8601. One that does not exist in UTC, at the ends of the calendar, is refused."""

    def clean(self, value: Any) -> datetime | None:
        """Return the time in UTC. Raises ValidationError."""
        cleaned: datetime | None = super().clean(value)
        try:
            return cleaned and cleaned.astimezone(UTC)
        except OverflowError as error:
            raise ValidationError("Beyond the calendar.") from error


class UniversalTimeFilter(IsoDateTimeFilter):  # type: ignore[misc] # django-filter has no types
    """Compares with a time in ISO 8601."""

    field_class = UniversalTimeField


def row_filter(*, field_name: str, help_text: str) -> NumberFilter:
    """Return a filter by the id of a row."""
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_ROW_ID, "description": help_text}
    made = NumberFilter(field_name=field_name, min_value=1, max_value=MAX_ROW_ID, decimal_places=0, help_text=help_text)
    return extend_schema_field(schema)(made)


class CastFilter(FilterSet):  # type: ignore[misc] # django-filter has no types
    """Filters of casts. Several of them must all hold; of several statuses, one must."""

    status = MultipleChoiceFilter(field_name="shown_status", choices=ShownStatus.choices, help_text="Those in one of these statuses.")
    spell = text_filter(field_name="version__spell__slug", max_length=100, help_text="Those of the spell with this slug.")
    created_after = UniversalTimeFilter(field_name="created_at", lookup_expr="gte", help_text="From this time on, in ISO 8601.")
    created_before = UniversalTimeFilter(field_name="created_at", lookup_expr="lt", help_text="Before this time, in ISO 8601.")
    search = text_filter(method="search_for", max_length=200, help_text="An id, an idempotency key, or a part of the spell's slug or name.")

    class Meta:
        model = Cast
        fields: list[str] = []

    def search_for(self, casts: QuerySet[Cast], _name: str, words: str) -> QuerySet[Cast]:
        matches = Q(version__spell__slug__icontains=words) | Q(version__spell__name__icontains=words) | Q(idempotency_key=words)
        try:
            matches |= Q(pk=UUID(words))
        except ValueError:
            return casts.filter(matches)  # not an id
        return casts.filter(matches)


class NotificationFilter(FilterSet):  # type: ignore[misc] # django-filter has no types
    """Filters of notifications. Several of them must all hold; of several kinds, one must."""

    unread = BooleanFilter(method="by_reading", help_text="Those of the inbox that you have not read; or, if false, that you have.")
    kind = MultipleChoiceFilter(choices=NotificationKind.choices, help_text="Those of one of these kinds.")
    channel = ChoiceFilter(choices=NotificationChannel.choices, help_text="Those over one channel.")
    status = ChoiceFilter(choices=NotificationStatus.choices, method="by_status", help_text="Those that are so far.")
    cast = UUIDFilter(field_name="cast_id", help_text="Those of one cast.")

    class Meta:
        model = Notification
        fields: list[str] = []

    def by_reading(self, rows: QuerySet[Notification], _name: str, unread: bool) -> QuerySet[Notification]:
        return rows.filter(channel=NotificationChannel.INBOX, read_at__isnull=unread)

    def by_status(self, rows: Any, _name: str, status: str) -> QuerySet[Notification]:
        found: QuerySet[Notification] = rows.in_status(NotificationStatus(status))
        return found


class CookFilter(FilterSet):  # type: ignore[misc] # django-filter has no types
    """Filters of cooks. Several of them must all hold; of several statuses, one must."""

    status = MultipleChoiceFilter(choices=CookStatus.choices, help_text="Those in one of these statuses.")
    collection = row_filter(field_name="collection_id", help_text="Those of one collection.")

    class Meta:
        model = Cook
        fields: list[str] = []


class PieceFilter(FilterSet):  # type: ignore[misc] # django-filter has no types
    """Filters of pieces. Several of them must all hold; of several statuses, one must."""

    status = MultipleChoiceFilter(choices=PieceStatus.choices, help_text="Those in one of these statuses.")
    cook = row_filter(field_name="cook_id", help_text="Those of one cook.")

    class Meta:
        model = Piece
        fields: list[str] = []


class ReviewFilter(FilterSet):  # type: ignore[misc] # django-filter has no types
    """Filters of reviews. Several of them must all hold."""

    cook = row_filter(field_name="attempt__cook", help_text="Those of one cook.")
    decision = ChoiceFilter(choices=Decision.choices, help_text="Those that were so decided.")
    open = BooleanFilter(method="by_being_open", help_text="Those on which nothing is decided; or, if false, the others.")
    mine = BooleanFilter(method="by_reviewer", help_text="Those that you decided or that were handed out to you; or, if false, the others.")

    class Meta:
        model = PieceReview
        fields: list[str] = []

    def by_being_open(self, rows: QuerySet[PieceReview], _name: str, is_open: bool) -> QuerySet[PieceReview]:
        return rows.filter(decision="") if is_open else rows.exclude(decision="")

    def by_reviewer(self, rows: QuerySet[PieceReview], _name: str, is_mine: bool) -> QuerySet[PieceReview]:
        me = user_of(self.request).pk
        return rows.filter(reviewer=me) if is_mine else rows.exclude(reviewer=me)


class ExportFilter(FilterSet):  # type: ignore[misc] # django-filter has no types
    """Filters of exports. Several of them must all hold."""

    cook = row_filter(field_name="cook_id", help_text="Those of one cook.")
    status = ChoiceFilter(choices=ExportStatus.choices, help_text="Those that are so far.")

    class Meta:
        model = Export
        fields: list[str] = []
