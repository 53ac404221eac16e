"""Who is told where: callbacks of single casts, webhooks of accounts, e-mail."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from uuid_utils.compat import uuid7

from casts.doorbell import knock
from casts.models import CAST_KINDS, Cast, Notification, NotificationChannel, NotificationKind, Subscription, SubscriptionChannel

from . import signing
from .destinations import check_address

MAX_WEBHOOKS = 20
# For how long both secrets sign after a rotation.
OVERLAP = timedelta(hours=24)


class TooManyWebhooksError(Exception):
    """An account has at most 20 webhooks. Delete one that is not needed any more."""


class EmailUnavailableError(Exception):
    """No e-mail can be sent to this user."""


class WebhookDisabledError(Exception):
    """Nothing is sent to a webhook that is disabled or removed. Enable it first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """What a client asks to be told of one cast: of which kinds of events, and where."""

    url: str
    secret: str = field(repr=False)
    kinds: Sequence[str] = CAST_KINDS

    def check(self) -> None:
        """Return when it can be done. Raises InvalidAddressError or InvalidSecretError, with the place in the request."""
        check_address(self.url, path="callback.url")
        signing.check_secret(self.secret, path="callback.secret")

    def document(self) -> dict[str, Any]:
        """Return all of it, to tell one request from another. It holds the secret: for digests alone."""
        return {"url": self.url, "secret": self.secret, "events": sorted(self.kinds)}


def call_back(*, cast: Cast, callback: Callback, now: datetime) -> None:
    """Have somebody told of one cast. Part of the transaction that starts it."""
    Subscription.objects.create(
        owner_id=cast.initiator_id,
        cast=cast,
        channel=SubscriptionChannel.WEBHOOK,
        url=callback.url,
        secret=signing.seal(callback.secret),
        kinds=list(callback.kinds),
        created_at=now,
    )


def add_webhook(*, owner_id: int, url: str, kinds: Iterable[str], description: str, now: datetime) -> tuple[Subscription, str]:
    """Have an account told of all its casts. Returns the webhook, and its secret, which is shown this once.

    Raises:
        InvalidAddressError: no webhook may go there.
        TooManyWebhooksError: the account has enough of them.
    """
    check_address(url)
    secret = signing.new_secret()
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=owner_id)  # so that two requests do not pass the limit together
        if Subscription.objects.standing().filter(owner=owner_id, cast=None, channel=SubscriptionChannel.WEBHOOK).count() >= MAX_WEBHOOKS:
            raise TooManyWebhooksError(TooManyWebhooksError.__doc__)
        made = Subscription.objects.create(
            owner_id=owner_id,
            channel=SubscriptionChannel.WEBHOOK,
            url=url,
            description=description,
            secret=signing.seal(secret),
            kinds=list(kinds),
            created_at=now,
        )
    return made, secret


def change_webhook(*, webhook_id: int, changes: Mapping[str, Any]) -> None:
    """Change the `url`, `kinds` or `description` of a webhook. A new address begins with a clean record."""
    changed = dict(changes)
    if "url" in changed:
        check_address(changed["url"])
        changed |= {"failing_since": None, "rest_until": None}
    Subscription.objects.standing().filter(pk=webhook_id).update(**changed)


@transaction.atomic
def rotate_secret(*, webhook_id: int, now: datetime) -> str:
    """Return a new secret. The present one signs as well for a day, so that receivers can be changed in their own time."""
    webhook = Subscription.objects.select_for_update(no_key=True).standing().get(pk=webhook_id)
    secret = signing.new_secret()
    Subscription.objects.filter(pk=webhook_id).update(former_secret=webhook.secret, former_until=now + OVERLAP, secret=signing.seal(secret))
    return secret


def enable(*, webhook_ids: Iterable[int]) -> int:
    """Send to webhooks again that were disabled, with a clean record. Returns how many were."""
    rows = Subscription.objects.standing().filter(pk__in=list(webhook_ids), enabled=False)
    return rows.update(enabled=True, disabled_at=None, disabled_reason="", failing_since=None, rest_until=None)


def disable(*, webhook_ids: Iterable[int], reason: str, now: datetime) -> list[int]:
    """Send nothing more to webhooks, and tell their owners why. Returns those that were enabled. One transaction."""
    disabled = []
    with transaction.atomic():
        for webhook in Subscription.objects.standing().filter(pk__in=list(webhook_ids), enabled=True).order_by("pk"):
            row = Subscription.objects.filter(pk=webhook.pk, enabled=True)
            if row.update(enabled=False, disabled_at=now, disabled_reason=reason):
                _tell_owner(webhook, reason=reason, now=now)
                disabled.append(webhook.pk)
    return disabled


def _tell_owner(webhook: Subscription, *, reason: str, now: datetime) -> None:
    row = Notification(
        recipient_id=webhook.owner_id,
        cast=webhook.cast,
        round=webhook.cast.round if webhook.cast else 0,
        kind=NotificationKind.WEBHOOK_DISABLED,
        channel=NotificationChannel.INBOX,
        target=str(webhook.owner_id),
        data={"webhook": webhook.pk, "url": webhook.url, "reason": reason},
        created_at=now,
        delivered_at=now,
    )
    Notification.objects.bulk_create([row], ignore_conflicts=True)


def remove(*, webhook_id: int, now: datetime) -> None:
    """Forget a webhook and its secrets. What still waits to be sent there is given up when it comes due."""
    gone = {"enabled": False, "disabled_at": now, "disabled_reason": "Its owner removed it.", "removed_at": now}
    Subscription.objects.standing().filter(pk=webhook_id).update(secret="", former_secret="", former_until=None, **gone)


@transaction.atomic
def send_test(*, webhook: Subscription, now: datetime) -> Notification:
    """Have a `webhook.test` sent, like any other message. Raises WebhookDisabledError."""
    if not webhook.enabled:
        raise WebhookDisabledError(WebhookDisabledError.__doc__)
    sent = Notification.objects.create(
        recipient_id=webhook.owner_id,
        kind=NotificationKind.WEBHOOK_TEST,
        channel=NotificationChannel.WEBHOOK,
        target=str(webhook.pk),
        subscription=webhook,
        message_id=uuid7(),
        data={"webhook": webhook.pk, "url": webhook.url},
        due_at=now,
        created_at=now,
    )
    knock()
    return sent


def subscribe_by_email(*, owner: User, kinds: Sequence[str], now: datetime) -> None:
    """Have a user told by e-mail of events of these kinds; of none, if there are none. Raises EmailUnavailableError."""
    if kinds and not settings.EMAIL_IS_CONFIGURED:
        raise EmailUnavailableError("This Grimoire sends no e-mail: its operator has named no server (EMAIL_URL).")
    if kinds and not owner.email:
        raise EmailUnavailableError("Your account has no e-mail address. An operator can add it.")
    Subscription.objects.update_or_create(
        owner=owner,
        channel=SubscriptionChannel.EMAIL,
        defaults={"kinds": list(kinds)},
        create_defaults={"kinds": list(kinds), "created_at": now},
    )
