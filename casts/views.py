"""The API of casts."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from casts import api_examples as examples
from casts import engine
from casts.casting import Order, Placed, place
from casts.clock import database_now
from casts.filters import CastFilter
from casts.headers import IDEMPOTENCY_KEY, MAX_WAIT_SECONDS, idempotency_key_of, preferred_wait
from casts.metrics import tallies
from casts.models import Cast
from casts.progress import as_started, with_shown_status
from casts.serializers import CAST_ORDER, SKIP, TOOL_ORDER, CastSerializer, order_of, skip_of
from casts.waiting import wait_for_end
from generations.models import Generation
from generations.serializers import GenerationSerializer
from generations.views import seen_in_full
from spells.models import Tool
from spells.requests import NOTHING, checked, user_of

ORDER_HEADERS = [
    OpenApiParameter(
        IDEMPOTENCY_KEY,
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        OpenApiParameter.HEADER,
        description="A repeat under the same key gets the same cast with 200. Another body under it is refused with 409.",
    ),
    OpenApiParameter(
        "Prefer",
        str,
        OpenApiParameter.HEADER,
        description=f"`wait=N`: wait up to N seconds, at most {MAX_WAIT_SECONDS}, for the cast to end.",
    ),
    OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[200, 201], description="The address of the cast."),
    OpenApiParameter(
        "Preference-Applied", str, OpenApiParameter.HEADER, response=[200, 201], description="`wait=N` as it was granted, if it was."
    ),
]
ORDER_RESPONSES = {
    201: OpenApiResponse(CastSerializer, "The new cast.", examples=[examples.NEW_CAST]),
    200: OpenApiResponse(CastSerializer, "The cast that the same request started before.", examples=[examples.CAST]),
}


class Verb(Protocol):
    """What the engine's verbs have in common."""

    def __call__(self, *, cast_id: UUID, actor_id: int | None, now: datetime) -> Cast:
        """Change a cast. Raises TransitionRefusedError."""


def verb(summary: str, description: str) -> Callable[[Any], Any]:
    return extend_schema(
        summary=summary,
        description=f"{description} 409 when the status of the cast forbids it.",
        request={"application/json": dict(NOTHING)},
        responses={200: OpenApiResponse(CastSerializer, "The cast as it is now.", examples=[examples.CAST])},
    )


class CastsView(GenericViewSet[Cast]):
    """What the views of casts have in common."""

    queryset = Cast.objects.none()
    serializer_class: type[BaseSerializer[Any]] = CastSerializer
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Any]:
        return with_shown_status(Cast.objects.visible_to(self.request.user)).select_related("version__spell", "initiator", "callback")

    def order(self, request: Request, order: Order) -> Response:
        """Place an order, wait as the client prefers, and answer with the cast."""
        key, wait = idempotency_key_of(request), preferred_wait(request)
        try:
            started = place(order=order, user=user_of(request), idempotency_key=key)
        finally:
            tallies.hand_in_when_due()
        url = reverse("api:cast", kwargs={"pk": started.cast.pk}, request=request)
        headers = {"Location": url}
        if wait is not None and wait_for_end(cast_id=started.cast.pk, seconds=wait):
            headers["Preference-Applied"] = f"wait={wait}"
        if started.created and wait is None:
            return Response(self.represent_as_started(started, user_of(request)), status=201, headers=headers)
        return Response(self.represent(started.cast.pk), status=201 if started.created else 200, headers=headers)

    def represent_as_started(self, placed: Placed, user: User) -> Any:
        """Return a new cast as clients see it, as it was written: nothing of what may have become of it since is read."""
        cast = placed.cast
        cast.initiator = user
        callback = Cast._meta.get_field("callback")
        if not callback.is_cached(cast):  # a callback that was ordered is known to its cast
            callback.set_cached_value(cast, None)
        known = {"progress": {cast.pk: as_started(cast, steps=placed.steps)}, "waiting_for": {}}
        return CastSerializer(cast, context={**self.get_serializer_context(), **known}).data

    def represent(self, cast_id: UUID) -> Any:
        """Return a cast as clients see it, read anew."""
        return CastSerializer(self.get_queryset().get(pk=cast_id), context=self.get_serializer_context()).data


@extend_schema(tags=["casts"])
@extend_schema_view(
    list=extend_schema(summary="List your casts, the newest first", examples=[examples.CAST]),
    retrieve=extend_schema(summary="Read one cast", examples=[examples.CAST]),
)
class CastViewSet(ListModelMixin, RetrieveModelMixin, CastsView):
    """Runs of spells: started by a POST, changed by verbs, ended by the engine."""

    filterset_class = CastFilter

    @extend_schema(
        summary="Cast a spell",
        parameters=ORDER_HEADERS,
        request={"application/json": dict(CAST_ORDER)},
        responses=ORDER_RESPONSES,
        examples=[examples.ORDER, examples.PINNED_ORDER, examples.ORDER_WITH_CALLBACK],
    )
    def create(self, request: Request) -> Response:
        return self.order(request, order_of(request.data))

    @verb("Cancel a cast", "Nothing new starts; what runs is stopped or waited for, so that its cost is known.")
    def cancel(self, request: Request, pk: UUID) -> Response:
        return self._change(request, pk, engine.cancel)

    @verb("Pause a cast", "No new call starts; what runs may end. The deadline runs on.")
    def pause(self, request: Request, pk: UUID) -> Response:
        return self._change(request, pk, engine.pause)

    @verb("Resume a paused cast", "It goes on from where it stood.")
    def resume(self, request: Request, pk: UUID) -> Response:
        return self._change(request, pk, engine.resume)

    @verb("Retry a failed or cancelled cast", "It goes on from where it failed, keeping what succeeded.")
    def retry(self, request: Request, pk: UUID) -> Response:
        return self._change(request, pk, engine.retry)

    @extend_schema(
        summary="Skip a failed step of a cast that has ended",
        description=(
            "For operators. The step gets the output that is given, marked as skipped, with who did it, when and why; "
            "the cast goes on from there, and what failed beside it is tried again. 409 unless the cast and the step have failed."
        ),
        request={"application/json": dict(SKIP)},
        responses={200: OpenApiResponse(CastSerializer, "The cast as it is now.", examples=[examples.CAST])},
        examples=[examples.SKIP],
    )
    def skip(self, request: Request, pk: UUID) -> Response:
        if not user_of(request).has_perm("casts.change_cast"):
            raise PermissionDenied("Only operators, who may change casts, can skip a step.")
        get_object_or_404(Cast.objects.visible_to(request.user), pk=pk)
        engine.skip(cast_id=pk, actor_id=user_of(request).pk, now=database_now(), **skip_of(request.data))
        return Response(self.represent(pk))

    def _change(self, request: Request, cast_id: UUID, change: Verb) -> Response:
        get_object_or_404(Cast.objects.visible_to(request.user), pk=cast_id)
        checked(request.data, NOTHING)
        change(cast_id=cast_id, actor_id=user_of(request).pk, now=database_now())
        return Response(self.represent(cast_id))


@extend_schema(tags=["tools"])
class ToolRunViewSet(CastsView):
    """Tools on their own."""

    @extend_schema(
        summary="Run one tool: a cast of one step",
        description="The inputs are the tool's params, the outputs are its output.",
        parameters=ORDER_HEADERS,
        request={"application/json": dict(TOOL_ORDER)},
        responses=ORDER_RESPONSES,
        examples=[examples.TOOL_ORDER],
    )
    def run(self, request: Request, slug: str) -> Response:
        get_object_or_404(Tool, slug=slug)
        return self.order(request, order_of(request.data, tool=slug))


class OfOneCast(ListModelMixin, GenericViewSet[Any]):
    """A list of what belongs to one cast, the oldest first."""

    ordering = "id"

    def cast_pk(self) -> UUID:
        """Return the id of the cast of the address. Raises Http404 when there is none for this user."""
        cast: Cast = get_object_or_404(Cast.objects.visible_to(self.request.user), pk=self.kwargs["cast_id"])
        return cast.pk


@extend_schema(tags=["casts"])
@extend_schema_view(list=extend_schema(summary="List the generations of a cast, the oldest first", examples=[examples.GENERATION]))
class CastGenerationViewSet(OfOneCast):
    """The attempts at the steps of one cast."""

    queryset = Generation.objects.none()
    serializer_class = GenerationSerializer

    def get_queryset(self) -> QuerySet[Generation]:
        return seen_in_full(Generation.objects.filter(cast=self.cast_pk()))
