"""The events of a cook over HTTP: a stream that tells how far it is."""

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from casts import cook_examples as examples
from casts.models import Cook
from generations.api_examples import LINK
from generations.links import Links
from generations.signed_addresses import LINK_SCHEMA, link_to, row_of_the_address
from spells.requests import NOTHING, checked

from .cook_news import begin
from .frames import MEDIA_TYPE
from .views import EventStreamRenderer, follow, origin_of

LINKS = Links("cooks.events")
# Without a type: some readers of such descriptions hold each event against it, others the text as a whole.
STREAM = {
    "description": (
        "Server-sent events, each with JSON: `snapshot` (the cook), then as they happen `piece` (one that is made or has failed, in "
        "short), `status` (the cook as it is now), and `end` (the cook), after which the stream is over."
    ),
}


class CookEventsView(APIView):
    """How far one cook is, live."""

    permission_classes: list[type[BasePermission]] = [AllowAny]  # asked below: a signature will do

    def get_renderers(self) -> list[BaseRenderer]:
        return [EventStreamRenderer()] if self.request is None or self.request.method == "GET" else [JSONRenderer()]

    @extend_schema(
        tags=["cooks"],
        operation_id="cooks_events",
        summary="Follow a cook live",
        description=(
            "A stream that begins with a snapshot, tells what happens as it happens, and ends with the cook. Whoever sends the id of the "
            "last event back in `Last-Event-ID` goes on from there: 204 says that there is nothing more."
        ),
        parameters=[
            OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER, description="The last `id` of the stream that was seen."),
            OpenApiParameter("signature", str, description="What the address of a link ends in."),
        ],
        responses={
            (200, MEDIA_TYPE): OpenApiResponse(STREAM, "What happens, as it happens.", examples=[examples.STREAM]),
            204: OpenApiResponse(description="The cook has ended, and you have seen all of it."),
        },
    )
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        cook: Cook = row_of_the_address(request, Cook.objects.all(), links=LINKS, pk=pk)
        last = request.headers.get("Last-Event-ID", "")
        return follow(
            request,
            cook.pk,
            owner_id=cook.initiator_id,
            origin=origin_of(request),
            begun=lambda: begin(cook_id=cook.pk, last_event_id=last),
        )


class CookEventLinkView(APIView):
    """A link to the events of one cook."""

    @extend_schema(
        tags=["cooks"],
        operation_id="cooks_events_link",
        summary="Make a link to the events of a cook that works without a key for an hour",
        description="For browsers, whose `EventSource` cannot send a key. The hour is for the beginning: a stream that is open goes on.",
        request={"application/json": dict(NOTHING)},
        responses={201: OpenApiResponse(LINK_SCHEMA, examples=[LINK])},
    )
    def post(self, request: Request, pk: Any) -> Response:
        cook = get_object_or_404(Cook.objects.visible_to(request.user), pk=pk)
        checked(request.data, NOTHING)
        return link_to(reverse("api:cook-events", kwargs={"pk": cook.pk}, request=request), links=LINKS, pk=cook.pk)
