"""By what lists of generations can be narrowed down."""

from django_filters.rest_framework import FilterSet, MultipleChoiceFilter, UUIDFilter

from generations.models import Generation, GenerationStatus
from spells.text_filter import text_filter


class GenerationFilter(FilterSet):  # type: ignore[misc] # django-filter has no types
    """Filters of generations. Several of them must all hold; of several statuses, one must."""

    cast = UUIDFilter(field_name="cast_id", help_text="Those of one cast.")
    step = text_filter(field_name="step__key", max_length=64, help_text="Those of steps with this key.")
    tool = text_filter(field_name="step__tool__slug", max_length=100, help_text="Those of one tool.")
    status = MultipleChoiceFilter(choices=GenerationStatus.choices, help_text="Those in one of these statuses.")

    class Meta:
        model = Generation
        fields: list[str] = []
