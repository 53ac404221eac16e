"""The API of exports."""

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, quote_etag
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from casts.clock import database_now
from casts.cooks import exporting
from casts.export_serializers import EXPORT, ExportSerializer, wish_of
from casts.filters import ExportFilter
from casts.headers import REPEAT_HEADERS, idempotency_key_of
from casts.models import Cook, Export
from casts.named_cooks import named_cook
from generations import downloads
from generations.views import AnyType
from spells.requests import NOTHING, checked, user_of

EXAMPLE = OpenApiExample(
    "Ready",
    value={
        "id": 3,
        "cook": 7,
        "status": "ready",
        "total": 1000,
        "prepared": 1000,
        "name_template": "{{ collection }} #{{ number }}",
        "description": "Sailors of all seas.",
        "base_uri": "",
        "shuffle_seed": 2026,
        "provenance_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "error": "",
        "idempotency_key": None,
        "archive": "https://grimoire.example.org/api/v1/exports/3/archive/",
        "created_at": "2026-11-29T18:10:00Z",
        "finished_at": "2026-11-29T18:10:09.512Z",
        "published_at": None,
    },
    response_only=True,
)
ORDER = OpenApiExample(
    "All accepted pieces, shuffled", value={"cook": 7, "shuffle_seed": 2026, "description": "Sailors of all seas."}, request_only=True
)


@extend_schema(tags=["exports"])
@extend_schema_view(
    list=extend_schema(summary="List exports, the newest first", examples=[EXAMPLE]),
    retrieve=extend_schema(summary="Read one export, and how far it is", examples=[EXAMPLE]),
)
class ExportViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Export]):
    """Pieces to be taken home as one archive."""

    queryset = Export.objects.none()
    serializer_class = ExportSerializer
    filterset_class = ExportFilter
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Export]:
        return Export.objects.visible_to(self.request.user)

    @extend_schema(
        summary="Export pieces of a cook",
        description="The pieces as they are now, in an order that does not change. Their files are read in the background.",
        parameters=REPEAT_HEADERS,
        request={"application/json": dict(EXPORT)},
        responses={
            201: OpenApiResponse(ExportSerializer, "It is being prepared.", examples=[EXAMPLE]),
            200: OpenApiResponse(ExportSerializer, "The one that the same request began before.", examples=[EXAMPLE]),
        },
        examples=[ORDER],
    )
    def create(self, request: Request) -> Response:
        said = checked(request.data, EXPORT)
        begun = exporting.begin(
            cook=named_cook(said, rows=Cook.objects.visible_to(request.user)),
            wish=wish_of(said),
            requested_by_id=user_of(request).pk,
            now=database_now(),
            idempotency_key=idempotency_key_of(request),
        )
        url = reverse("api:export", kwargs={"pk": begun.export.pk}, request=request)
        return Response(self.get_serializer(begun.export).data, status=201 if begun.created else 200, headers={"Location": url})

    @extend_schema(
        summary="Publish an export: lock the order of its cook's pieces",
        description="For good, and for one export of a cook. Asking again changes nothing.",
        request={"application/json": dict(NOTHING)},
        responses={200: OpenApiResponse(ExportSerializer, "Its order is locked.", examples=[EXAMPLE])},
    )
    def publish(self, request: Request, pk: int) -> Response:
        export: Export = get_object_or_404(self.get_queryset(), pk=pk)
        checked(request.data, NOTHING)
        return Response(self.get_serializer(exporting.publish(export_id=export.pk, now=database_now())).data)


class ExportArchiveView(APIView):
    """The archive of one export."""

    content_negotiation_class = AnyType

    @extend_schema(
        tags=["exports"],
        summary="Fetch the archive of an export",
        description="A ZIP with `images/`, `metadata/` and `manifest.json`, made as it is sent and the same each time.",
        parameters=[
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One part: `bytes=1024-` goes on where it broke off."),
            OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="The ETag of the archive that you have."),
        ],
        responses={
            (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, description="The archive."),
            (206, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, description="The part that was asked for."),
            304: OpenApiResponse(description="You have it already."),
        },
    )
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        export = get_object_or_404(Export.objects.visible_to(request.user).select_related("cook__collection"), pk=pk)
        archive = exporting.archive_of(export)
        disposition = content_disposition_header(True, f"export-{export.pk}.zip")  # noqa: FBT003 - Django's signature
        assert disposition is not None  # it is an attachment
        headers = {"Content-Type": "application/zip", "Content-Disposition": disposition}
        etag = quote_etag(f"export-{export.pk}-{export.provenance_hash}")
        return downloads.stream(request._request, size=archive.size, etag=etag, headers=headers, open_at=archive.open_at)
