"""The API of webhooks: where an account is told what becomes of all its casts."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from casts import notification_examples as examples
from casts.clock import database_now
from casts.models import CAST_KINDS, COOK_KINDS, Notification, Subscription
from casts.notification_serializers import (
    SECRET_SCHEMA,
    WEBHOOK,
    WEBHOOK_CHANGES,
    NewWebhookSerializer,
    NotificationSerializer,
    WebhookSerializer,
    with_secret,
)
from casts.notification_views import shown
from casts.notifications import subscriptions
from spells.requests import NOTHING, checked, user_of

DISABLED = "Its owner disabled it."


def verb(summary: str, description: str = "") -> Callable[[Any], Any]:
    return extend_schema(
        summary=summary,
        description=description,
        request={"application/json": dict(NOTHING)},
        responses={200: OpenApiResponse(WebhookSerializer, "The webhook as it is now.", examples=[examples.WEBHOOK])},
    )


@extend_schema(tags=["webhooks"])
@extend_schema_view(
    list=extend_schema(summary="List your webhooks, the newest first", examples=[examples.WEBHOOK]),
    retrieve=extend_schema(summary="Read one webhook", examples=[examples.WEBHOOK]),
)
class WebhookViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Subscription]):
    """Webhooks of your account. Those of single casts are given with the cast, and shown with it."""

    queryset = Subscription.objects.none()
    serializer_class = WebhookSerializer
    ordering = "-id"

    def get_queryset(self) -> QuerySet[Subscription]:
        return Subscription.objects.webhooks_of(self.request.user)

    @extend_schema(
        summary="Add a webhook",
        description="The answer has its secret, which is never shown again.",
        request={"application/json": dict(WEBHOOK)},
        responses={201: OpenApiResponse(NewWebhookSerializer, "The new webhook.", examples=[examples.NEW_WEBHOOK])},
        examples=[examples.WEBHOOK_ORDER],
    )
    def create(self, request: Request) -> Response:
        said = checked(request.data, WEBHOOK)
        made, secret = subscriptions.add_webhook(
            owner_id=user_of(request).pk,
            url=said["url"],
            kinds=said.get("events", (*CAST_KINDS, *COOK_KINDS)),
            description=said.get("description", ""),
            now=database_now(),
        )
        headers = {"Location": reverse("api:webhook", kwargs={"pk": made.pk}, request=request)}
        return Response(NewWebhookSerializer(with_secret(made, secret)).data, status=201, headers=headers)

    @extend_schema(
        summary="Change a webhook",
        request={"application/json": dict(WEBHOOK_CHANGES)},
        responses={200: OpenApiResponse(WebhookSerializer, "The webhook as it is now.", examples=[examples.WEBHOOK])},
        examples=[examples.WEBHOOK_CHANGES],
    )
    def partial_update(self, request: Request, pk: int) -> Response:
        webhook = self._webhook(pk)
        said = checked(request.data, WEBHOOK_CHANGES)
        changes = {{"events": "kinds"}.get(name, name): value for name, value in said.items()}
        subscriptions.change_webhook(webhook_id=webhook.pk, changes=changes)
        return self._answer(webhook)

    @extend_schema(
        summary="Delete a webhook", description="What still waits to be sent there is given up.", responses={204: None}, request=None
    )
    def destroy(self, request: Request, pk: int) -> Response:  # noqa: ARG002 - the framework's signature
        subscriptions.remove(webhook_id=self._webhook(pk).pk, now=database_now())
        return Response(status=204)

    @verb("Enable a webhook that was disabled", "It begins with a clean record. What was given up meanwhile can be sent again.")
    def enable(self, request: Request, pk: int) -> Response:
        webhook = self._asked(request, pk)
        subscriptions.enable(webhook_ids=[webhook.pk])
        return self._answer(webhook)

    @verb("Disable a webhook", "Nothing is sent there until it is enabled again.")
    def disable(self, request: Request, pk: int) -> Response:
        webhook = self._asked(request, pk)
        subscriptions.disable(webhook_ids=[webhook.pk], reason=DISABLED, now=database_now())
        return self._answer(webhook)

    @extend_schema(
        summary="Get a new secret for a webhook",
        description="It is shown this once. The present one signs as well for 24 hours: each message bears both signatures.",
        request={"application/json": dict(NOTHING)},
        responses={200: OpenApiResponse(SECRET_SCHEMA, examples=[examples.SECRET])},
    )
    def rotate(self, request: Request, pk: int) -> Response:
        webhook = self._asked(request, pk)
        return Response({"secret": subscriptions.rotate_secret(webhook_id=webhook.pk, now=database_now())})

    @extend_schema(
        summary="Have a test sent",
        description="A `webhook.test`. What comes of it stands in the notification's `deliveries/`.",
        request={"application/json": dict(NOTHING)},
        responses={201: OpenApiResponse(NotificationSerializer, "It is on its way.", examples=[examples.PENDING])},
    )
    def test(self, request: Request, pk: int) -> Response:
        webhook = self._asked(request, pk)
        sent = subscriptions.send_test(webhook=webhook, now=database_now())
        headers = {"Location": reverse("api:notification", kwargs={"pk": sent.pk}, request=request)}
        told = NotificationSerializer(shown(Notification.objects.filter(pk=sent.pk)).get()).data
        return Response(told, status=201, headers=headers)

    def _webhook(self, pk: int) -> Subscription:
        """Return the webhook of the address. Raises Http404 when this user has none such."""
        return get_object_or_404(self.get_queryset(), pk=pk)

    def _asked(self, request: Request, pk: int) -> Subscription:
        """Return the webhook of a request that says nothing more."""
        webhook = self._webhook(pk)
        checked(request.data, NOTHING)
        return webhook

    def _answer(self, webhook: Subscription) -> Response:
        webhook.refresh_from_db()
        return Response(self.get_serializer(webhook).data)
