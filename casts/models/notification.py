"""A notification: what the initiator of a cast must be told. An outbox."""

from django.db import models
from django.db.models import Q

from .cast import Cast


class NotificationKind(models.TextChoices):
    SUCCEEDED = "cast.succeeded"
    FAILED = "cast.failed"
    CANCELLED = "cast.cancelled"


class NotificationChannel(models.TextChoices):
    INBOX = "inbox", "inbox: shown to the initiator in the API and the admin"


class Notification(models.Model):
    """One message over one channel, written in the transaction of the change that it tells of.

    The inbox needs no delivery: its rows are delivered when they are written.
    """

    cast = models.ForeignKey(Cast, on_delete=models.CASCADE, related_name="notifications", db_index=False)
    round = models.PositiveIntegerField()
    kind = models.CharField(max_length=30, choices=NotificationKind)
    channel = models.CharField(max_length=20, choices=NotificationChannel)
    target = models.CharField(max_length=255, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="notification_is_sent_once_per_round", fields=["cast", "round", "kind", "channel", "target"]),
            models.CheckConstraint(name="notification_kind_is_known", condition=Q(kind__in=NotificationKind.values)),
            models.CheckConstraint(name="notification_channel_is_known", condition=Q(channel__in=NotificationChannel.values)),
            models.CheckConstraint(
                name="notification_due_iff_undelivered",
                condition=Q(due_at__isnull=False, delivered_at__isnull=True) | Q(due_at__isnull=True, delivered_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.kind
