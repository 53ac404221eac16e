"""The API of collections, cooks and pieces."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from casts import cook_examples as examples
from casts.clock import database_now
from casts.cook_serializers import (
    COLLECTION,
    COOK,
    DRAFT_PREVIEW,
    EXTEND,
    PREVIEW,
    PREVIEWED,
    REASON,
    REGENERATE,
    RESUME,
    CollectionInFullSerializer,
    CollectionSerializer,
    CookSerializer,
    PieceSerializer,
    shown_preview,
    wish_of,
)
from casts.cooks import beginning, collecting, verbs
from casts.cooks.documents import plan_of
from casts.cooks.previewing import SHOWN, preview
from casts.filters import CookFilter, PieceFilter
from casts.headers import REPEAT_HEADERS, idempotency_key_of
from casts.models import Collection, Cook, Piece, PieceAttempt
from spells.problems import Problem, ProblemsError
from spells.requests import checked, user_of

PREVIEW_RESPONSE = {200: OpenApiResponse(PREVIEWED, "What it would make.", examples=[examples.PREVIEW])}


@extend_schema(tags=["collections"])
@extend_schema_view(
    list=extend_schema(summary="List your collections, the newest first", examples=[examples.COLLECTION]),
    retrieve=extend_schema(summary="Read one collection", examples=[examples.COLLECTION_IN_FULL]),
)
class CollectionViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Collection]):
    """What pieces are made of: a spell or a tool, inputs with expressions, a trait tree or a list. None changes once it is there."""

    queryset = Collection.objects.none()
    serializer_class = CollectionSerializer
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Collection]:
        rows = Collection.objects.visible_to(self.request.user).select_related("version__spell", "owner")
        return rows if self.detail else rows.defer("items", "trait_tree", "inputs")

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return CollectionInFullSerializer if self.detail else CollectionSerializer

    @extend_schema(
        summary="Keep a collection",
        description="Nothing is cast by it. The version of the spell is pinned.",
        parameters=REPEAT_HEADERS,
        request={"application/json": dict(COLLECTION)},
        responses={
            201: OpenApiResponse(CollectionInFullSerializer, "The new collection.", examples=[examples.COLLECTION_IN_FULL]),
            200: OpenApiResponse(CollectionInFullSerializer, "The one of the same request before.", examples=[examples.COLLECTION_IN_FULL]),
        },
        examples=[examples.COLLECTION_ORDER, examples.LIST_ORDER, examples.CSV_ORDER],
    )
    def create(self, request: Request) -> Response:
        key = idempotency_key_of(request)
        kept = collecting.keep(plan=plan_of(request.data), owner=user_of(request), now=database_now(), idempotency_key=key)
        headers = {"Location": reverse("api:collection", kwargs={"pk": kept.collection.pk}, request=request)}
        shown = CollectionInFullSerializer(kept.collection, context=self.get_serializer_context()).data
        return Response(shown, status=201 if kept.created else 200, headers=headers)

    @extend_schema(
        operation_id="collections_preview_draft",
        summary="Preview a collection that is not kept",
        description="Draws all pieces, tries their inputs, and tells what they are expected to cost. Nothing is written, nothing is spent.",
        request={"application/json": dict(DRAFT_PREVIEW)},
        responses=PREVIEW_RESPONSE,
        examples=[examples.DRAFT_PREVIEW_ORDER],
    )
    def preview_draft(self, request: Request) -> Response:
        said = checked(request.data, DRAFT_PREVIEW)
        collection = collecting.collection_of(plan=plan_of(said["collection"]), owner=user_of(request), now=database_now())
        return _previewed(collection, said)

    @extend_schema(
        summary="Preview a cook of a collection",
        description="Draws all pieces, tries their inputs, and tells what they are expected to cost. Nothing is written, nothing is spent.",
        request={"application/json": dict(PREVIEW)},
        responses=PREVIEW_RESPONSE,
        examples=[examples.PREVIEW_ORDER],
    )
    def preview(self, request: Request, pk: int) -> Response:
        collection = get_object_or_404(self.get_queryset(), pk=pk)
        return _previewed(collection, checked(request.data, PREVIEW))


def _previewed(collection: Collection, said: Mapping[str, Any]) -> Response:
    pieces = int(said["pieces"]) if "pieces" in said else None
    looked = preview(collection=collection, now=database_now(), pieces=pieces, shown=int(said.get("shown", SHOWN)))
    return Response(shown_preview(looked))


def verb(summary: str, description: str, *, body: Mapping[str, Any], example: OpenApiExample) -> Callable[[Any], Any]:
    return extend_schema(
        summary=summary,
        description=f"{description} 409 when the status of the cook forbids it.",
        request={"application/json": dict(body)},
        responses={200: OpenApiResponse(CookSerializer, "The cook as it is now.", examples=[examples.COOK])},
        examples=[example],
    )


@extend_schema(tags=["cooks"])
@extend_schema_view(
    list=extend_schema(summary="List your cooks, the newest first", examples=[examples.COOK]),
    retrieve=extend_schema(summary="Read one cook", examples=[examples.COOK]),
)
class CookViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Cook]):
    """Cooks: begun by a POST, steered by verbs, ended by conductors."""

    queryset = Cook.objects.none()
    serializer_class = CookSerializer
    filterset_class = CookFilter
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Cook]:
        rows = Cook.objects.visible_to(self.request.user).select_related("collection", "initiator")
        return rows.defer("collection__items", "collection__trait_tree", "collection__inputs")

    @extend_schema(
        summary="Begin a cook of a collection",
        description="All its pieces are drawn, and their inputs tried, before anything is written; then conductors cast them.",
        parameters=REPEAT_HEADERS,
        request={"application/json": dict(COOK)},
        responses={
            201: OpenApiResponse(CookSerializer, "The new cook.", examples=[examples.COOK]),
            200: OpenApiResponse(CookSerializer, "The cook that the same request began before.", examples=[examples.COOK]),
        },
        examples=[examples.COOK_ORDER],
    )
    def create(self, request: Request) -> Response:
        collection_id, wish = wish_of(request.data)
        collection = Collection.objects.filter(owner=user_of(request).pk, pk=collection_id).first()
        if collection is None:
            raise ProblemsError([Problem("collection", f"you have no collection {collection_id}")])
        key = idempotency_key_of(request)
        begun = beginning.begin(collection=collection, wish=wish, now=database_now(), idempotency_key=key)
        headers = {"Location": reverse("api:cook", kwargs={"pk": begun.cook.pk}, request=request)}
        return Response(self._represented(begun.cook.pk), status=201 if begun.created else 200, headers=headers)

    @verb("Pause a cook", "Nothing more is cast; what runs may end.", body=REASON, example=examples.REASON)
    def pause(self, request: Request, pk: int) -> Response:
        said = self._asked(request, pk, REASON)
        verbs.pause(cook_id=pk, now=database_now(), reason=said.get("reason", ""))
        return Response(self._represented(pk))

    @verb("Resume a paused cook", "With another budget, if one is given.", body=RESUME, example=examples.RESUME)
    def resume(self, request: Request, pk: int) -> Response:
        budget = self._asked(request, pk, RESUME).get("budget_usd")
        verbs.resume(cook_id=pk, now=database_now(), budget_usd=None if budget is None else Decimal(budget))
        return Response(self._represented(pk))

    @verb("Stop a cook for good", "Its casts are cancelled, and nothing more is cast.", body=REASON, example=examples.REASON)
    def stop(self, request: Request, pk: int) -> Response:
        said = self._asked(request, pk, REASON)
        verbs.stop(cook_id=pk, now=database_now(), reason=said.get("reason", ""))
        return Response(self._represented(pk))

    @verb("Have a cook make more", "One that had finished goes on.", body=EXTEND, example=examples.EXTEND)
    def extend(self, request: Request, pk: int) -> Response:
        said = self._asked(request, pk, EXTEND)
        beginning.extend(cook_id=pk, pieces=int(said["pieces"]), now=database_now())
        return Response(self._represented(pk))

    def _asked(self, request: Request, pk: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Read a request about the cook of the address. Raises Http404 when there is none for this user."""
        get_object_or_404(Cook.objects.visible_to(request.user), pk=pk)
        return checked(request.data, body)

    def _represented(self, pk: int) -> Any:
        return CookSerializer(self.get_queryset().get(pk=pk), context=self.get_serializer_context()).data


@extend_schema(tags=["pieces"])
@extend_schema_view(
    list=extend_schema(summary="List pieces of your cooks, the oldest first", examples=[examples.PIECE]),
    retrieve=extend_schema(summary="Read one piece", examples=[examples.PIECE]),
)
class PieceViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Piece]):
    """Pieces: what a cook makes, each by a cast."""

    queryset = Piece.objects.none()
    serializer_class = PieceSerializer
    filterset_class = PieceFilter
    ordering = "id"

    def get_queryset(self) -> QuerySet[Piece]:
        attempts = PieceAttempt.objects.select_related("cast").only(
            "number", "status", "traits", "created_at", "ended_at", "piece_id", "cast__cost_usd", "cast__outputs"
        )
        return Piece.objects.visible_to(self.request.user).prefetch_related(Prefetch("attempts", attempts.order_by("number")))

    @extend_schema(
        summary="Have a piece made anew",
        description=(
            "A piece that was made, or has failed, is cast again, with the same traits or with others; what was made before is kept "
            "among its attempts. 409 while it is at work, or when its cook was stopped."
        ),
        request={"application/json": dict(REGENERATE)},
        responses={200: OpenApiResponse(PieceSerializer, "The piece as it is now.", examples=[examples.PIECE])},
        examples=[examples.REGENERATE],
    )
    def regenerate(self, request: Request, pk: int) -> Response:
        get_object_or_404(Piece.objects.visible_to(request.user), pk=pk)
        said = checked(request.data, REGENERATE)
        verbs.regenerate(piece_id=pk, actor_id=user_of(request).pk, now=database_now(), redraw=said.get("redraw", False))
        return Response(self.get_serializer(self.get_queryset().get(pk=pk)).data)
