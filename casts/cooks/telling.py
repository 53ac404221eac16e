"""What owners find in their inbox of a cook: that it has finished, or that it paused for want of somebody."""

from datetime import datetime

from casts.models import Cook, CookStatus, Notification, NotificationChannel, NotificationKind, PieceStatus

KINDS = {CookStatus.FINISHED: NotificationKind.COOK_FINISHED, CookStatus.PAUSED: NotificationKind.COOK_PAUSED}


def tell_owner(cook: Cook, *, now: datetime) -> None:
    """Write that a cook has finished or paused, in the transaction of the change."""
    data = {
        "cook": cook.pk,
        "name": cook.collection.name,
        "reason": cook.reason,
        "made": cook.pieces.filter(status=PieceStatus.MADE).count(),
        "total": cook.wanted,
    }
    Notification.objects.create(
        recipient_id=cook.initiator_id,
        cook=cook,
        kind=KINDS[CookStatus(cook.status)],
        channel=NotificationChannel.INBOX,
        target=str(cook.initiator_id),
        data=data,
        created_at=now,
        delivered_at=now,
    )
