"""A subscription: the wish to be told of casts beyond the inbox, by webhook or e-mail."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from .cast import Cast

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class SubscriptionChannel(models.TextChoices):
    """Over what is told. The inbox needs no subscription."""

    WEBHOOK = "webhook"
    EMAIL = "email", "e-mail"


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def standing(self) -> Self:
        """Keep those that nobody has removed."""
        return self.filter(removed_at__isnull=True)

    def webhooks_of(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the webhooks of an account: those of single casts belong to these casts."""
        return self.standing().filter(channel=SubscriptionChannel.WEBHOOK, cast__isnull=True, owner=user.pk)


class Subscription(models.Model):
    """Where to tell the owner of which kinds of events: of all casts that they start and cooks that they begin, or of one cast (`cast`).

    `secret` signs webhooks; it and the `former_secret`, which signs as well until `former_until`, are kept encrypted.
    `failing_since` is when the first of an unbroken row of failures was met, `rest_until` when to try again at the
    earliest. One that was removed is kept, without its secrets, since notifications name it.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="subscriptions")
    cast = models.OneToOneField(Cast, on_delete=models.CASCADE, related_name="callback", null=True, blank=True)
    channel = models.CharField(max_length=10, choices=SubscriptionChannel)
    kinds = models.JSONField(default=list)
    url = models.CharField(max_length=2000, blank=True)
    description = models.CharField(max_length=200, blank=True)
    secret = models.TextField(blank=True)
    former_secret = models.TextField(blank=True)
    former_until = models.DateTimeField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.TextField(blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    rest_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="subscription_channel_is_known", condition=Q(channel__in=SubscriptionChannel.values)),
            models.UniqueConstraint(
                name="subscription_to_email_is_one_per_owner", fields=["owner"], condition=Q(channel=SubscriptionChannel.EMAIL)
            ),
            models.CheckConstraint(
                name="subscription_has_an_address_iff_webhook",
                condition=(Q(channel=SubscriptionChannel.WEBHOOK) & ~Q(url=""))
                | Q(channel=SubscriptionChannel.EMAIL, url="", cast__isnull=True),
            ),
            models.CheckConstraint(
                name="subscription_has_a_secret_iff_webhook_in_use",
                condition=(Q(channel=SubscriptionChannel.WEBHOOK, removed_at__isnull=True) & ~Q(secret=""))
                | Q(channel=SubscriptionChannel.WEBHOOK, removed_at__isnull=False, secret="", former_secret="")
                | Q(channel=SubscriptionChannel.EMAIL, secret="", former_secret=""),
            ),
            models.CheckConstraint(
                name="subscription_former_secret_has_an_end",
                condition=Q(former_secret="", former_until__isnull=True) | (~Q(former_secret="") & Q(former_until__isnull=False)),
            ),
            models.CheckConstraint(
                name="subscription_disabled_iff_it_has_a_reason",
                condition=Q(enabled=True, disabled_at__isnull=True, disabled_reason="")
                | (Q(enabled=False, disabled_at__isnull=False) & ~Q(disabled_reason="")),
            ),
            models.CheckConstraint(
                name="subscription_that_was_removed_is_disabled", condition=Q(removed_at__isnull=True) | Q(enabled=False)
            ),
        ]

    def __str__(self) -> str:
        return self.url or self.get_channel_display()
