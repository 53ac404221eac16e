"""The API of reviews: pieces that were made, handed out and decided on."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from casts import review_examples as examples
from casts.cooks import reviewing
from casts.cooks.culling import cull
from casts.filters import ReviewFilter
from casts.models import Cook, Decision, Piece, PieceReview, ReviewEvent
from casts.named_cooks import named_cook
from casts.review_serializers import (
    BULK,
    CULL,
    CULLED,
    DECIDED,
    NEXT,
    REJECT,
    PieceReviewSerializer,
    ReviewEventSerializer,
    selection_of,
)
from spells.problems import Problem
from spells.requests import NOTHING, InvalidBodyError, checked, user_of

_ANSWER = {200: OpenApiResponse(PieceReviewSerializer, "The review as it is now.", examples=[examples.DECIDED])}


@extend_schema(tags=["pieces"])
@extend_schema_view(
    list=extend_schema(
        summary="List reviews, the newest first",
        description="Of pieces as they stand. A piece that was made and never handed out has none yet.",
        examples=[examples.DECIDED],
    )
)
class PieceReviewViewSet(ListModelMixin, GenericViewSet[PieceReview]):
    """Decisions on pieces: each is decided once, by whoever holds it or comes first."""

    queryset = PieceReview.objects.none()
    serializer_class = PieceReviewSerializer
    filterset_class = ReviewFilter
    ordering = "-id"

    def get_queryset(self) -> QuerySet[PieceReview]:
        return reviewing.in_full().filter(attempt__status="made", attempt__piece__in=Piece.objects.reviewable_by(self.request.user))

    @extend_schema(
        summary="Be handed out pieces to review",
        description="Nobody else is given them until the lease ends, and no one but you can decide on them. None are left when the list is empty.",
        request={"application/json": dict(NEXT)},
        responses={200: OpenApiResponse(PieceReviewSerializer(many=True), "The pieces, now in your hands.", examples=[examples.OPEN])},
        examples=[examples.NEXT],
        filters=False,
    )
    def hand_out(self, request: Request) -> Response:
        said = checked(request.data, NEXT)
        rows = reviewing.hand_out(
            cook_id=self._cook(said).pk,
            reviewer_id=user_of(request).pk,
            limit=int(said.get("limit", 1)),
            lease_seconds=int(said.get("lease_seconds", reviewing.LEASE_SECONDS)),
        )
        return Response(self.get_serializer(rows, many=True).data)

    @extend_schema(summary="Accept a piece", request={"application/json": dict(NOTHING)}, responses=_ANSWER)
    def accept(self, request: Request, pk: int) -> Response:
        checked(request.data, NOTHING)
        row = reviewing.decide(piece_id=self._piece(pk).pk, decision=Decision.ACCEPTED, actor_id=user_of(request).pk)
        return Response(self.get_serializer(row).data)

    @extend_schema(
        summary="Reject a piece",
        description="With `again` it is cast again in the same moment, and open again once it is made.",
        request={"application/json": dict(REJECT)},
        responses=_ANSWER,
        examples=[examples.REJECT],
    )
    def reject(self, request: Request, pk: int) -> Response:
        piece = self._piece(pk)
        said = checked(request.data, REJECT)
        if "again" in said:
            self._check_may_spend(piece.cook_id)
        row = reviewing.decide(
            piece_id=piece.pk,
            decision=Decision.REJECTED,
            actor_id=user_of(request).pk,
            reason=said["reason"].strip(),
            again=said.get("again"),
        )
        return Response(self.get_serializer(row).data)

    @extend_schema(
        summary="Take back what was decided on a piece",
        description="It is open again. One that was culled is accepted again.",
        request={"application/json": dict(NOTHING)},
        responses=_ANSWER,
    )
    def undo(self, request: Request, pk: int) -> Response:
        checked(request.data, NOTHING)
        row = reviewing.undo(piece_id=self._piece(pk).pk, actor_id=user_of(request).pk)
        return Response(self.get_serializer(row).data)

    @extend_schema(
        summary="Give back a piece that was handed out to you",
        request={"application/json": dict(NOTHING)},
        responses={204: OpenApiResponse(description="Others may have it now.")},
    )
    def give_back(self, request: Request, pk: int) -> Response:
        checked(request.data, NOTHING)
        reviewing.give_back(piece_id=self._piece(pk).pk, reviewer_id=user_of(request).pk)
        return Response(status=204)

    @extend_schema(
        summary="Accept or reject many pieces",
        description=(
            "Those that are open and in nobody else's hands; the others are left as they are. With `again`, those that are rejected "
            f"are cast again in the same moment: all of them, at most {reviewing.MAX_REMADE}, or none."
        ),
        request={"application/json": dict(BULK)},
        responses={200: OpenApiResponse(DECIDED, examples=[examples.MANY])},
        examples=[examples.BULK, examples.REMAKE],
    )
    def decide(self, request: Request) -> Response:
        said = checked(request.data, BULK)
        decision = Decision(said["decision"])
        if decision == Decision.REJECTED and "reason" not in said:
            raise InvalidBodyError([Problem("reason", "is missing: say why they are rejected")])
        if decision == Decision.ACCEPTED and "again" in said:
            raise InvalidBodyError([Problem("again", "only what is rejected is made anew")])
        meant: Any = {
            "cook_id": self._cook(said).pk,
            "chosen": selection_of(said.get("where", {})),
            "actor_id": user_of(request).pk,
            "reason": said.get("reason", "").strip(),
        }
        if "again" in said:
            self._check_may_spend(meant["cook_id"])
            done = reviewing.reject_and_remake(**meant, again=said["again"])
        else:
            done = reviewing.decide_many(**meant, decision=decision)
        return Response({"decided": done.decided, "left": done.left})

    @extend_schema(
        summary="Leave out accepted pieces until so many remain",
        description="Those go whose traits are the most above the rarities that were asked for. `undo` takes one back.",
        request={"application/json": dict(CULL)},
        responses={200: OpenApiResponse(CULLED, examples=[examples.CULLED])},
        examples=[examples.CULL],
    )
    def cull(self, request: Request) -> Response:
        said = checked(request.data, CULL)
        cook_id = self._cook(said).pk
        self._check_may_spend(cook_id)
        return Response({"culled": cull(cook_id=cook_id, target=int(said["target"]), actor_id=user_of(request).pk)})

    def _piece(self, piece_id: int) -> Piece:
        piece: Piece = get_object_or_404(Piece.objects.reviewable_by(self.request.user), pk=piece_id)
        return piece

    def _cook(self, said: Mapping[str, Any]) -> Cook:
        return named_cook(said, rows=Cook.objects.reviewable_by(self.request.user))

    def _check_may_spend(self, cook_id: int) -> None:
        """Return when the user may say more of a cook than what they think of its pieces. Raises PermissionDenied."""
        if not Cook.objects.visible_to(self.request.user).filter(pk=cook_id).exists():
            raise PermissionDenied("Reviewers decide on pieces. Only the owner of the cook can have them made anew, or cull them.")


@extend_schema(tags=["pieces"])
@extend_schema_view(list=extend_schema(summary="List who decided what on a piece, the oldest first", examples=[examples.EVENT]))
class ReviewEventViewSet(ListModelMixin, GenericViewSet[ReviewEvent]):
    """The audit of one piece, over all attempts at it."""

    queryset = ReviewEvent.objects.none()
    serializer_class = ReviewEventSerializer
    ordering = "id"

    def get_queryset(self) -> QuerySet[ReviewEvent]:
        piece = get_object_or_404(Piece.objects.reviewable_by(self.request.user), pk=self.kwargs["piece_id"])
        return ReviewEvent.objects.filter(piece=piece.pk).select_related("attempt", "actor")
