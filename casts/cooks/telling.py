"""What is told of a cook: that it has finished, or that it paused for want of somebody.

Its owner finds that in the inbox, and is told by webhook and e-mail where they subscribed to it. Rows of the outbox, in the
transaction of the change itself.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from uuid_utils.compat import uuid7

from casts.doorbell import knock
from casts.models import Collection, Cook, CookStatus, Notification, NotificationChannel, NotificationKind, PieceStatus, Subscription

KINDS = {CookStatus.FINISHED: NotificationKind.COOK_FINISHED, CookStatus.PAUSED: NotificationKind.COOK_PAUSED}


def tell_owner(cook: Cook, *, now: datetime) -> None:
    """Write that a cook has finished or paused, in the transaction of the change."""
    data = {
        "cook": cook.pk,
        "name": Collection.objects.values_list("name", flat=True).get(pk=cook.collection_id),
        "status": cook.status,
        "reason": cook.reason,
        "finished_at": None if cook.finished_at is None else cook.finished_at.isoformat().replace("+00:00", "Z"),
        "made": cook.pieces.filter(status=PieceStatus.MADE).count(),
        "failed": cook.pieces.filter(status=PieceStatus.FAILED).count(),
        "total": cook.wanted,
    }
    kind = KINDS[CookStatus(cook.status)]
    about: dict[str, Any] = {"recipient_id": cook.initiator_id, "cook": cook, "kind": kind, "data": data, "created_at": now}
    inbox = Notification(**about, channel=NotificationChannel.INBOX, target=str(cook.initiator_id), delivered_at=now)
    sent = [
        Notification(**about, channel=each.channel, subscription=each, target=target, message_id=uuid7(), due_at=now)
        for each, target in _subscribers(cook, kind)
    ]
    Notification.objects.bulk_create([inbox, *sent])
    if sent:
        knock()


def _subscribers(cook: Cook, kind: NotificationKind) -> Iterator[tuple[Subscription, str]]:
    """Yield who wants to be told of such things of the owner's, and what their rows name as the target."""
    mine = Subscription.objects.standing().filter(owner=cook.initiator_id, cast__isnull=True, enabled=True)
    for subscription in mine.order_by("pk"):
        by_mail = subscription.channel == NotificationChannel.EMAIL
        target = cook.initiator.email if by_mail else str(subscription.pk)
        if kind in subscription.kinds and target:
            yield subscription, target
