"""The API of spells, their versions, and tools."""

from typing import Any

from django.db.models import Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from spells import api_examples as examples
from spells.authoring import begin, describe, description_of, publish_draft, revise
from spells.documents import DOCUMENT_SCHEMA, DocumentError, from_data
from spells.filters import SpellFilter, ToolFilter
from spells.models import Spell, SpellVersion, Tool
from spells.parsers import DOCUMENT_PARSERS, YAML_TYPE
from spells.problems import Problem
from spells.publishing import validate
from spells.requests import NOTHING, checked, user_of
from spells.serializers import (
    CHANGE_OF_DESCRIPTION,
    DESCRIPTION,
    VALIDATION,
    VERSION_DOCUMENT,
    SpellDetailSerializer,
    SpellSerializer,
    SpellVersionDetailSerializer,
    SpellVersionSerializer,
    ToolSerializer,
)

PUBLISHED = Q(versions__published_at__isnull=False)


def with_numbers(spells: QuerySet[Spell]) -> QuerySet[Any]:
    """Annotate spells with the numbers of their latest version and of their draft."""
    return spells.annotate(
        latest_number=Max("versions__number", filter=PUBLISHED),
        draft_number=Max("versions__number", filter=Q(versions__published_at__isnull=True)),
    ).select_related("owner")


def with_input_schema(spells: QuerySet[Any]) -> QuerySet[Any]:
    """Annotate spells with the schema of the inputs of their latest version."""
    latest = SpellVersion.objects.published().filter(spell=OuterRef("pk")).order_by("-number")
    annotated: QuerySet[Any] = spells.annotate(input_schema=Subquery(latest.values("input_schema")[:1]))
    return annotated


class OfSpells(GenericViewSet[Any]):
    """What the views of spells have in common. Public spells are for everybody to see; changing one is its owner's."""

    queryset: QuerySet[Any] = Spell.objects.none()
    parser_classes = DOCUMENT_PARSERS

    def get_permissions(self) -> list[Any]:
        permission: type[BasePermission] = AllowAny if self.action in {"list", "retrieve"} else IsAuthenticated
        return [permission()]

    def visible(self) -> Spell:
        """Return the spell of the address. Raises Http404 when there is none that this user may see."""
        spell: Spell = get_object_or_404(Spell.objects.visible_to(self.request.user), slug=self.kwargs["slug"])
        return spell

    def own(self) -> Spell:
        """Return the spell of the address. Raises Http404, or PermissionDenied when only others may change it."""
        spell = self.visible()
        if not Spell.objects.written().owned_by(self.request.user).filter(pk=spell.pk).exists():
            raise PermissionDenied(f"Only its owner may change {spell.slug}." if spell.owner_id else f"{spell.slug} changes with its tool.")
        return spell


@extend_schema(tags=["spells"])
@extend_schema_view(
    list=extend_schema(summary="List the spells that you may cast", examples=[examples.SPELL]),
    retrieve=extend_schema(summary="Read one spell", responses=SpellDetailSerializer, examples=[examples.SPELL_DETAIL]),
)
class SpellViewSet(ListModelMixin, RetrieveModelMixin, OfSpells):
    """Saved chains of tool steps. What one does is in its versions."""

    filterset_class = SpellFilter
    lookup_field = "slug"
    ordering = "slug"

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return SpellSerializer if self.action == "list" else SpellDetailSerializer

    def get_queryset(self) -> QuerySet[Any]:
        spells = with_numbers(Spell.objects.visible_to(self.request.user))
        return spells.filter(tool__isnull=True) if self.action == "list" else with_input_schema(spells)

    @extend_schema(
        summary="Write a new spell, as a draft",
        request={"application/json": DOCUMENT_SCHEMA, YAML_TYPE: OpenApiTypes.STR},
        responses={201: OpenApiResponse(SpellDetailSerializer, "The spell. Its draft can be published.", examples=[examples.SPELL_DETAIL])},
        examples=[examples.DOCUMENT, examples.YAML_DOCUMENT],
    )
    def create(self, request: Request) -> Response:
        version = begin(document=from_data(request.data), owner=user_of(request), now=timezone.now())
        return self._answer(version.spell, status=201)

    @extend_schema(
        summary="Say anew what a spell is called and who may cast it",
        request={"application/json": dict(DESCRIPTION)},
        responses=SpellDetailSerializer,
        examples=[examples.DESCRIPTION, examples.SPELL_DETAIL],
    )
    def update(self, request: Request, slug: str) -> Response:  # noqa: ARG002 - read from the kwargs
        spell = self.own()
        describe(spell=spell, said=checked(request.data, DESCRIPTION), now=timezone.now())
        return self._answer(spell)

    @extend_schema(
        summary="Change some of what a spell says of itself",
        request={"application/json": dict(CHANGE_OF_DESCRIPTION)},
        responses=SpellDetailSerializer,
        examples=[examples.CHANGE, examples.SPELL_DETAIL],
    )
    def partial_update(self, request: Request, slug: str) -> Response:  # noqa: ARG002 - read from the kwargs
        spell = self.own()
        describe(spell=spell, said=checked(request.data, CHANGE_OF_DESCRIPTION), now=timezone.now())
        return self._answer(spell)

    @extend_schema(
        summary="Publish the draft of a spell",
        description="From then on the version never changes, and casts that name no version get it. 409 when there is no draft, 422 with "
        "the path of each place that must be mended first.",
        request={"application/json": dict(NOTHING)},
        responses=SpellVersionDetailSerializer,
        examples=[examples.VERSION],
    )
    def publish(self, request: Request, slug: str) -> Response:  # noqa: ARG002 - read from the kwargs
        spell = self.own()
        checked(request.data, NOTHING)
        version = publish_draft(spell=spell, now=timezone.now())
        return Response(SpellVersionDetailSerializer(version, context=self.get_serializer_context()).data)

    @extend_schema(
        summary="Check a spell document, without keeping it",
        description="Tells everything that keeps the document from being published.",
        request={media_type: {"description": "The document, or what you hope is one."} for media_type in ("application/json", YAML_TYPE)},
        responses=OpenApiResponse(VALIDATION, examples=[examples.VALID, examples.PROBLEMS]),
        examples=[examples.DOCUMENT, examples.YAML_DOCUMENT],
    )
    def validate(self, request: Request) -> Response:
        try:
            problems: list[Problem] = validate(from_data(request.data))
        except DocumentError as error:
            problems = list(error.problems)
        errors = [{"path": problem.path, "message": problem.message} for problem in problems]
        return Response({"valid": not errors, "errors": errors})

    def _answer(self, spell: Spell, *, status: int = 200) -> Response:
        return Response(self.get_serializer(self.get_queryset().get(pk=spell.pk)).data, status=status)


@extend_schema(tags=["spells"])
@extend_schema_view(list=extend_schema(summary="List the versions of a spell, the newest first", examples=[examples.LISTED_VERSION]))
class SpellVersionViewSet(ListModelMixin, OfSpells):
    """The versions of one spell. Drafts are for its owner alone."""

    queryset = SpellVersion.objects.none()
    serializer_class = SpellVersionSerializer
    ordering = "-number"

    def get_queryset(self) -> QuerySet[SpellVersion]:
        spell = self.visible()
        versions = SpellVersion.objects.filter(spell=spell).select_related("spell")
        mine = Spell.objects.owned_by(self.request.user).filter(pk=spell.pk).exists()
        return versions if mine else versions.published()

    @extend_schema(summary="Read one version of a spell", responses=SpellVersionDetailSerializer, examples=[examples.VERSION])
    def retrieve(self, request: Request, slug: str, number: int) -> Response:  # noqa: ARG002 - the framework's signature
        return self._answer(get_object_or_404(self.get_queryset(), number=number))

    @extend_schema(
        summary="Write the draft of a spell, in place of the one that stands",
        description="What the document does not say of the spell itself (name, description, tags, visibility) stays as it is.",
        request={"application/json": dict(VERSION_DOCUMENT), YAML_TYPE: OpenApiTypes.STR},
        responses={201: OpenApiResponse(SpellVersionDetailSerializer, "The draft.", examples=[examples.DRAFT])},
        examples=[examples.DOCUMENT, examples.YAML_DOCUMENT],
    )
    def create(self, request: Request, slug: str) -> Response:  # noqa: ARG002 - read from the kwargs
        return self._revise(request, status=201)

    @extend_schema(
        summary="Write the draft of that number anew",
        description="409 when the version is published.",
        request={"application/json": dict(VERSION_DOCUMENT), YAML_TYPE: OpenApiTypes.STR},
        responses=SpellVersionDetailSerializer,
        examples=[examples.DOCUMENT, examples.YAML_DOCUMENT, examples.DRAFT],
    )
    def update(self, request: Request, slug: str, number: int) -> Response:  # noqa: ARG002 - read from the kwargs
        self.own()
        get_object_or_404(self.get_queryset(), number=number)
        return self._revise(request, number=number)

    def _revise(self, request: Request, *, number: int | None = None, status: int = 200) -> Response:
        spell = self.own()
        said = request.data
        document = from_data({**description_of(spell), **said} if isinstance(said, dict) else said)
        return self._answer(
            revise(spell=spell, document=document, author=user_of(request), now=timezone.now(), number=number), status=status
        )

    def _answer(self, version: SpellVersion, *, status: int = 200) -> Response:
        return Response(SpellVersionDetailSerializer(version, context=self.get_serializer_context()).data, status=status)


@extend_schema(tags=["tools"])
@extend_schema_view(
    list=extend_schema(summary="List the tools", examples=[examples.TOOL]),
    retrieve=extend_schema(summary="Read one tool", examples=[examples.TOOL]),
)
class ToolViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Tool]):
    """What the steps of spells can call."""

    queryset = Tool.objects.all()
    serializer_class = ToolSerializer
    filterset_class = ToolFilter
    lookup_field = "slug"
    ordering = "slug"
