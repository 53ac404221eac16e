"""The API of notifications: the inbox, and what is sent by webhook and e-mail."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from casts import notification_examples as examples
from casts.clock import database_now
from casts.filters import NotificationFilter
from casts.models import Delivery, Notification, Subscription, SubscriptionChannel
from casts.notification_serializers import MAIL, MAIL_SETTINGS, DeliverySerializer, NotificationSerializer
from casts.notifications import outbox
from casts.notifications.subscriptions import subscribe_by_email
from spells.requests import NOTHING, checked, user_of

READ_SCHEMA = {"type": "object", "properties": {"read": {"type": "integer", "minimum": 0}}, "required": ["read"]}


def shown(notifications: QuerySet[Notification]) -> QuerySet[Notification]:
    """Fetch with notifications all that their serializer shows. One query."""
    rows = notifications.select_related("cast__version__spell", "subscription")
    return rows.defer("cast__inputs", "cast__outputs", "cast__version__input_schema", "cast__version__outputs")


@extend_schema(tags=["notifications"])
@extend_schema_view(
    list=extend_schema(
        summary="List what you were told, the newest first",
        description="Over all channels: `channel=inbox` is your inbox, the others are what was, or is to be, sent to you.",
        examples=[examples.IN_INBOX],
    ),
    retrieve=extend_schema(summary="Read one notification", examples=[examples.IN_INBOX]),
)
class NotificationViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Notification]):
    """What you were told of your casts. Yours alone: the staff has the admin."""

    queryset = Notification.objects.none()
    serializer_class = NotificationSerializer
    filterset_class = NotificationFilter
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Notification]:
        return shown(Notification.objects.of(self.request.user))

    @extend_schema(
        summary="Note that you have read a message of your inbox",
        request={"application/json": dict(NOTHING)},
        responses={200: OpenApiResponse(NotificationSerializer, "The message as it is now.", examples=[examples.IN_INBOX])},
    )
    def read(self, request: Request, pk: int) -> Response:
        self._asked(request, pk)
        outbox.mark_read(recipient_id=user_of(request).pk, now=database_now(), notification_id=pk)
        return self._answer(pk)

    @extend_schema(
        operation_id="notifications_read_all",
        summary="Note that you have read all of your inbox",
        request={"application/json": dict(NOTHING)},
        responses={200: OpenApiResponse(READ_SCHEMA, "How many messages were unread.", examples=[examples.READ])},
    )
    def read_all(self, request: Request) -> Response:
        checked(request.data, NOTHING)
        return Response({"read": outbox.mark_read(recipient_id=user_of(request).pk, now=database_now())})

    @extend_schema(
        summary="Send a notification again",
        description="Now, whatever came of it before, and as often as a new one. Its `webhook-id` stays the same.",
        request={"application/json": dict(NOTHING)},
        responses={200: OpenApiResponse(NotificationSerializer, "It is on its way.", examples=[examples.PENDING])},
    )
    def resend(self, request: Request, pk: int) -> Response:
        self._asked(request, pk)
        outbox.send_again(notification_id=pk, now=database_now())
        return self._answer(pk)

    def _asked(self, request: Request, pk: int) -> None:
        """Read a request that says nothing more than its address. Raises Http404 when this user has no such notification."""
        get_object_or_404(Notification.objects.of(request.user), pk=pk)
        checked(request.data, NOTHING)

    def _answer(self, pk: int) -> Response:
        return Response(self.get_serializer(self.get_queryset().get(pk=pk)).data)


@extend_schema(tags=["notifications"])
@extend_schema_view(list=extend_schema(summary="List the tries to send a notification, the newest first", examples=[examples.DELIVERY]))
class DeliveryViewSet(ListModelMixin, GenericViewSet[Delivery]):
    """The log of one notification."""

    queryset = Delivery.objects.none()
    serializer_class = DeliverySerializer
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Delivery]:
        notification = get_object_or_404(Notification.objects.of(self.request.user), pk=self.kwargs["notification_id"])
        return Delivery.objects.filter(notification=notification.pk)


@extend_schema(tags=["notifications"])
class MailSettingsView(APIView):
    """Of what you are told by e-mail."""

    @extend_schema(
        summary="Read of what you are told by e-mail", responses={200: OpenApiResponse(MAIL_SETTINGS, examples=[examples.MAIL_SETTINGS])}
    )
    def get(self, request: Request) -> Response:
        return Response(_mail_settings(request))

    @extend_schema(
        summary="Say of what you want to be told by e-mail",
        request={"application/json": dict(MAIL)},
        responses={200: OpenApiResponse(MAIL_SETTINGS, examples=[examples.MAIL_SETTINGS])},
        examples=[examples.MAIL],
    )
    def put(self, request: Request) -> Response:
        said = checked(request.data, MAIL)
        subscribe_by_email(owner=user_of(request), kinds=said["events"], now=database_now())
        return Response(_mail_settings(request))


def _mail_settings(request: Request) -> dict[str, Any]:
    user = user_of(request)
    kinds = Subscription.objects.filter(owner=user, channel=SubscriptionChannel.EMAIL).values_list("kinds", flat=True).first()
    return {"address": user.email, "events": kinds or []}
