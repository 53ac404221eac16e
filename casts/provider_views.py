"""The API of providers: what is known of them, to read."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.viewsets import GenericViewSet

from casts.provider_serializers import ProviderSerializer
from spells.models import Provider

PROVIDER = OpenApiExample(
    "A provider that is away",
    response_only=True,
    value={
        "slug": "replicate",
        "name": "Replicate",
        "enabled": True,
        "state": "open",
        "since": "2026-01-01T12:00:00Z",
        "retry_at": "2026-01-01T12:00:30Z",
        "quiet_until": None,
        "max_in_flight": 20,
        "max_per_minute": 600,
        "tools": ["replicate.run"],
    },
)


@extend_schema(tags=["tools"])
@extend_schema_view(
    list=extend_schema(summary="List the providers that tools call", examples=[PROVIDER]),
    retrieve=extend_schema(summary="Read one provider", examples=[PROVIDER]),
)
class ProviderViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Any]):
    """Other people's services: whether they are called just now, and how much."""

    queryset = Provider.objects.none()
    serializer_class = ProviderSerializer
    lookup_field = "slug"
    ordering = "slug"

    def get_queryset(self) -> QuerySet[Provider]:
        return Provider.objects.select_related("gate").prefetch_related("tools")
