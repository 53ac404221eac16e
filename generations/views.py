"""The API of generations and artefacts."""

import logging
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.exceptions import NotFound
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from generations import downloads
from generations.api_examples import GENERATION, LINK, REFERENCE
from generations.filters import GenerationFilter
from generations.links import ARTIFACTS
from generations.models import Artifact, Generation
from generations.serializers import GenerationSerializer
from generations.signed_addresses import LINK_SCHEMA, link_to, row_of_the_address
from generations.uploads import upload
from spells.problems import Problem, suggestion
from spells.requests import NOTHING, InvalidBodyError, checked, user_of

logger = logging.getLogger(__name__)

UPLOAD = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary", "description": "The file."}},
    "required": ["file"],
    "additionalProperties": False,
}
REFERENCE_SCHEMA = {
    "type": "object",
    "properties": {
        "artifact": {"type": "string", "format": "uuid"},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "mime_type": {"type": "string"},
        "size": {"type": "integer", "minimum": 0},
    },
    "required": ["artifact", "sha256", "mime_type", "size"],
}


def seen_in_full(generations: QuerySet[Generation]) -> QuerySet[Generation]:
    """Fetch with generations all that their serializer shows. Two queries."""
    return generations.select_related("step__tool", "cancellation").prefetch_related("artifacts")


@extend_schema(tags=["generations"])
@extend_schema_view(
    list=extend_schema(summary="List your generations, the newest first", examples=[GENERATION]),
    retrieve=extend_schema(summary="Read one generation", examples=[GENERATION]),
)
class GenerationViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Generation]):
    """The attempts at the steps of your casts: what went in, what came out, what it cost."""

    queryset = Generation.objects.none()
    serializer_class = GenerationSerializer
    filterset_class = GenerationFilter
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Generation]:
        return seen_in_full(Generation.objects.visible_to(self.request.user))


class AnyType(BaseContentNegotiation):
    """Answers whatever a client says that it takes: bytes are of the type that they are. Problems are JSON."""

    def select_parser(self, request: Request, parsers: list[BaseParser]) -> BaseParser | None:  # type: ignore[override] # noqa: ARG002 - the stub has a narrower list
        return None

    def select_renderer(  # type: ignore[override] # the stub has a narrower list
        self,
        request: Request,  # noqa: ARG002 - the framework's signature
        renderers: list[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002 - likewise
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], str(renderers[0].media_type)


class ArtifactView(APIView):
    """The bytes of one artefact."""

    permission_classes: list[type[BasePermission]] = [AllowAny]  # asked below: a signature will do
    content_negotiation_class = AnyType

    @extend_schema(
        tags=["artifacts"],
        summary="Read the bytes of an artefact",
        description="Yours, or with the signature of a link. The type is the artefact's own; what a browser might run is for saving only.",
        parameters=[
            OpenApiParameter("signature", str, description="What the address of a link ends in."),
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One part: `bytes=0-1023`, `bytes=1024-`, `bytes=-1024`."),
            OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="The ETag of the bytes that you have."),
        ],
        responses={
            (200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, description="The bytes."),
            (206, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, description="The part that was asked for."),
            304: OpenApiResponse(description="You have them already."),
        },
    )
    def get(self, request: Request, artifact_id: UUID) -> HttpResponseBase:
        artifact = row_of_the_address(request, Artifact.objects.all(), links=ARTIFACTS, pk=artifact_id)
        try:
            return downloads.respond(request._request, artifact)
        except FileNotFoundError as error:
            logger.exception("The storage has lost the bytes of artefact %s (%s).", artifact.pk, artifact.sha256)
            raise NotFound(f"The bytes of artefact {artifact.pk} are gone from the storage.") from error


class ArtifactLinkView(APIView):
    """A link to one artefact."""

    @extend_schema(
        tags=["artifacts"],
        summary="Make a link that works without a key for an hour",
        request={"application/json": dict(NOTHING)},
        responses={201: OpenApiResponse(LINK_SCHEMA, examples=[LINK])},
    )
    def post(self, request: Request, artifact_id: UUID) -> Response:
        artifact = get_object_or_404(Artifact.objects.visible_to(request.user), pk=artifact_id)
        checked(request.data, NOTHING)
        return link_to(reverse("api:artifact", kwargs={"artifact_id": artifact.pk}, request=request), links=ARTIFACTS, pk=artifact.pk)


class ArtifactUploadView(APIView):
    """Files of yours."""

    parser_classes = [MultiPartParser]

    @extend_schema(
        tags=["artifacts"],
        summary="Bring a file of yours, to be named in the inputs of casts",
        description="Answers with the reference that stands for the file: put it, as it is, where a spell wants an image or a file.",
        request={"multipart/form-data": UPLOAD},
        responses={201: OpenApiResponse(REFERENCE_SCHEMA, examples=[REFERENCE])},
    )
    def post(self, request: Request) -> Response:
        file = _only_file(request)
        stored = upload(
            data=file.read(),
            name=file.name or "",
            claimed_type=file.content_type or "",
            owner_id=user_of(request).pk,
            now=timezone.now(),
        )
        url = reverse("api:artifact", kwargs={"artifact_id": stored.id}, request=request)
        return Response(stored.reference(), status=201, headers={"Location": url})


def _only_file(request: Request) -> UploadedFile[bytes]:
    """Return the file of an upload. Raises InvalidBodyError unless it is the only thing, not empty and not too large."""
    problems = [Problem(name, f"is unknown{suggestion(name, ['file'])}") for name in request.data if name != "file"]
    files = request.FILES.getlist("file")
    if len(files) != 1:
        problems.append(Problem("file", "must be one file" if files else "is missing: send it as a file, in multipart/form-data"))
    elif not files[0].size:
        problems.append(Problem("file", "is empty"))
    elif files[0].size > settings.GRIMOIRE_MAX_UPLOAD_BYTES:
        problems.append(Problem("file", f"is larger than the {settings.GRIMOIRE_MAX_UPLOAD_BYTES:,} bytes that are allowed"))
    if problems:
        raise InvalidBodyError(problems)
    file: UploadedFile[bytes] = files[0]
    return file
