"""The events of a cast over HTTP: a list, or a stream that tells them as they happen."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.generics import get_object_or_404
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from casts import api_examples as examples
from casts.models import Cast, CastEvent
from casts.serializers import CastEventSerializer
from casts.views import OfOneCast
from generations.api_examples import LINK
from generations.links import Links
from generations.signed_addresses import LINK_SCHEMA, link_to, row_of_the_address
from spells.requests import NOTHING, checked

from .audience import Origin, Subject, Words
from .frames import HELLO, MEDIA_TYPE
from .news import begin
from .opening import Opened, opening_of

LINKS = Links("casts.events")
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
STREAM = {
    "type": "string",
    "description": (
        "Server-sent events, each with JSON: `snapshot` (the cast, its generations in short), then as they happen `cast` (an event of the "
        "list), `generation` (one that began, changed its status or ended), `progress` (of a call at work: percent, stage, preview, trouble), "
        "`status` (status, progress and cost of the cast), and `end` (the cast), after which the stream is over."
    ),
}


class EventStreamRenderer(BaseRenderer):
    """Lets a client ask for a stream by `Accept`. What it answers is made elsewhere."""

    media_type = MEDIA_TYPE
    format = "event-stream"


@extend_schema(tags=["casts"])
@extend_schema_view(
    list=extend_schema(
        summary="List what happened to a cast as a whole, the oldest first, or follow it live",
        description=(
            "With `Accept: text/event-stream` a stream that begins with a snapshot, tells what happens as it happens, and ends with the "
            "cast. Whoever sends the id of the last event back in `Last-Event-ID` goes on from there: 204 says that there is nothing more."
        ),
        parameters=[
            OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER, description="The last `id` of the stream that was seen."),
            OpenApiParameter("signature", str, description="What the address of a link ends in."),
        ],
        responses={
            (200, "application/json"): CastEventSerializer,
            (200, MEDIA_TYPE): OpenApiResponse(STREAM, "What happens, as it happens.", examples=[examples.STREAM]),
            204: OpenApiResponse(description="The cast has ended, and you have seen all of it."),
        },
        examples=[examples.EVENT],
    )
)
class CastEventViewSet(OfOneCast):
    """The audit of one cast: who started, paused, retried it, and how it ended."""

    queryset = CastEvent.objects.none()
    serializer_class = CastEventSerializer
    permission_classes: list[type[BasePermission]] = [AllowAny]  # asked below: a signature will do
    parameters = ("signature",)

    def get_renderers(self) -> list[BaseRenderer]:
        return [JSONRenderer(), EventStreamRenderer()] if self.request is None or self.request.method == "GET" else [JSONRenderer()]

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        if isinstance(request.accepted_renderer, EventStreamRenderer):
            return self.stream(request)
        return super().list(request, *args, **kwargs)

    def get_queryset(self) -> Any:
        return CastEvent.objects.filter(cast=self.cast_of_the_address().pk).select_related("actor")

    def cast_of_the_address(self) -> Cast:
        """Return the cast, if this user may see it or the address has its signature."""
        cast: Cast = row_of_the_address(self.request, Cast.objects.all(), links=LINKS, pk=self.kwargs["cast_id"])
        return cast

    def stream(self, request: Request) -> HttpResponseBase:
        cast = self.cast_of_the_address()
        self.filter_queryset(self.queryset)  # refuses parameters that mean nothing
        origin = origin_of(request)
        last = request.headers.get("Last-Event-ID", "")
        return follow(
            request,
            cast.pk,
            owner_id=cast.initiator_id,
            origin=origin,
            begun=lambda: begin(cast_id=cast.pk, origin=origin, last_event_id=last),
        )


def origin_of(request: Request) -> Origin:
    return Origin(request.build_absolute_uri("/").removesuffix("/"))


def follow(request: Request, subject: Subject, *, owner_id: int, origin: Origin, begun: Callable[[], Words]) -> HttpResponseBase:
    """Answer with the first words of a stream, and open it, so that the response goes on after them.

    Where nobody would go on with it, the client asks again after a moment, and gets what is new by then.
    """
    opening = opening_of(request._request)
    if opening is not None:
        opening.take_seat(request.user.pk or owner_id)
    words = begun()
    if words.is_end and not words.data:
        return HttpResponse(status=204, headers=HEADERS)
    if opening is not None and not words.is_end:
        opening.opened = Opened(subject=subject, origin=origin, seen=words.seen)
    return HttpResponse(HELLO + words.data, content_type=f"{MEDIA_TYPE}; charset=utf-8", headers=HEADERS)


class CastEventLinkView(APIView):
    """A link to the events of one cast."""

    @extend_schema(
        tags=["casts"],
        summary="Make a link to the events of a cast that works without a key for an hour",
        description="For browsers, whose `EventSource` cannot send a key. The hour is for the beginning: a stream that is open goes on.",
        request={"application/json": dict(NOTHING)},
        responses={201: OpenApiResponse(LINK_SCHEMA, examples=[LINK])},
    )
    def post(self, request: Request, cast_id: Any) -> Response:
        cast = get_object_or_404(Cast.objects.visible_to(request.user), pk=cast_id)
        checked(request.data, NOTHING)
        return link_to(reverse("api:cast-events", kwargs={"cast_id": cast.pk}, request=request), links=LINKS, pk=cast.pk)
