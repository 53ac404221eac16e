"""A notification: what somebody must be told, over one channel. An outbox, and the inbox of each user."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Cast as As
from django.db.models.functions import Coalesce

from generations.models import Generation

from .cast import Cast
from .cook import Cook
from .subscription import Subscription

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class NotificationKind(models.TextChoices):
    """What is told of: the `type` of a webhook."""

    SUCCEEDED = "cast.succeeded"
    FAILED = "cast.failed"
    CANCELLED = "cast.cancelled"
    HEALED = "cast.healed", "cast.healed: it had stalled, and goes on"
    WAITING = "cast.waiting", "cast.waiting: it waits for somebody"
    GENERATION_SUCCEEDED = "generation.succeeded"
    GENERATION_FAILED = "generation.failed"
    GENERATION_CANCELLED = "generation.cancelled"
    GENERATION_SKIPPED = "generation.skipped"
    GENERATION_UNKNOWN = "generation.unknown", "generation.unknown: it may have been billed"
    COOK_FINISHED = "cook.finished"
    COOK_PAUSED = "cook.paused", "cook.paused: it waits for somebody"
    WEBHOOK_DISABLED = "webhook.disabled", "webhook.disabled: nothing more is sent there"
    WEBHOOK_TEST = "webhook.test"


# The ends of a cast: each is told once a round, over each channel, to each target.
TERMINAL_KINDS = (NotificationKind.SUCCEEDED, NotificationKind.FAILED, NotificationKind.CANCELLED)
CAST_KINDS = (*TERMINAL_KINDS, NotificationKind.HEALED, NotificationKind.WAITING)
# Each has the name of the status that it tells of. They are told to whoever asks for them, and stand in no inbox.
GENERATION_KINDS = (
    NotificationKind.GENERATION_SUCCEEDED,
    NotificationKind.GENERATION_FAILED,
    NotificationKind.GENERATION_CANCELLED,
    NotificationKind.GENERATION_SKIPPED,
    NotificationKind.GENERATION_UNKNOWN,
)
COOK_KINDS = (NotificationKind.COOK_FINISHED, NotificationKind.COOK_PAUSED)
WEBHOOK_KINDS = (NotificationKind.WEBHOOK_DISABLED, NotificationKind.WEBHOOK_TEST)
# What one may ask to be told of a single cast, and of all that an account does.
CAST_EVENT_KINDS = (*CAST_KINDS, *GENERATION_KINDS)
EVENT_KINDS = (*CAST_EVENT_KINDS, *COOK_KINDS)
_OF_A_GENERATION = (NotificationKind.WAITING, *GENERATION_KINDS)
# What each end tells, unless its row says otherwise. What failed has no output, also when a retry has made one since.
_SAID_BY_KIND: Mapping[str, Mapping[str, Any]] = {
    NotificationKind.SUCCEEDED: {"status": "succeeded", "error": None, "reason": ""},
    NotificationKind.FAILED: {"status": "failed", "error": None, "reason": "", "outputs": None},
    NotificationKind.CANCELLED: {"status": "cancelled", "error": None, "reason": "", "outputs": None},
    NotificationKind.GENERATION_SUCCEEDED: {"status": "succeeded", "error": None},
    NotificationKind.GENERATION_FAILED: {"status": "failed", "error": None, "output": None},
    NotificationKind.GENERATION_CANCELLED: {"status": "cancelled", "error": None, "output": None},
    NotificationKind.GENERATION_SKIPPED: {"status": "skipped", "error": None, "output": None},
    NotificationKind.GENERATION_UNKNOWN: {"status": "unknown", "error": None, "output": None},
}


class NotificationChannel(models.TextChoices):
    INBOX = "inbox", "inbox: shown to the user in the API and the admin"
    WEBHOOK = "webhook", "webhook: a signed request to an address of the user's"
    EMAIL = "email", "e-mail"


class NotificationStatus(models.TextChoices):
    """How far the delivery is. Read off the times: one of `due_at`, `delivered_at` and `given_up_at` is set."""

    PENDING = "pending", "pending: it is sent, or sent again, when it is due"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up", "given up: it is not sent again, unless somebody asks for it"


_STATUS_CONDITIONS = {
    NotificationStatus.PENDING: Q(due_at__isnull=False),
    NotificationStatus.DELIVERED: Q(delivered_at__isnull=False),
    NotificationStatus.GIVEN_UP: Q(given_up_at__isnull=False),
}


class NotificationQuerySet(models.QuerySet["Notification"]):
    def of(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep what `user` is told. An inbox is its owner's alone, also before the staff."""
        return self.filter(recipient=user.pk)

    def in_status(self, status: NotificationStatus) -> Self:
        return self.filter(_STATUS_CONDITIONS[status])

    def unread(self) -> Self:
        return self.filter(channel=NotificationChannel.INBOX, read_at__isnull=True)


class Notification(models.Model):
    """One message to one target, written in the transaction of the change that it tells of, and the errand of sending it.

    The inbox needs no delivery: its rows are delivered when they are written. `told` is what the change made of the
    cast or the generation, as either may change again before the message arrives; `data` is what of it the row does
    not say otherwise, empty if that is all. `message_id` is the same however often it is sent. `attempts` counts claims and fences as an epoch does, `tries` how often it was sent since
    somebody last asked for that, and `said` is what came of the last try, or why it was given up.
    """

    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications", db_index=False)
    # `notification_is_sent_once_per_round_and_generation` begins with the cast, and serves as its index
    cast = models.ForeignKey(Cast, on_delete=models.CASCADE, related_name="notifications", null=True, blank=True, db_index=False)
    cook = models.ForeignKey(Cook, on_delete=models.CASCADE, related_name="notifications", null=True, blank=True, db_index=False)
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="+", null=True, blank=True, db_index=False)
    round = models.PositiveIntegerField(default=0)
    kind = models.CharField(max_length=30, choices=NotificationKind)
    channel = models.CharField(max_length=20, choices=NotificationChannel)
    target = models.CharField(max_length=255, blank=True)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.RESTRICT, related_name="notifications", null=True, blank=True, db_index=False
    )
    message_id = models.UUIDField(null=True, blank=True)
    data = models.JSONField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True)
    said = models.TextField(blank=True)
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(name="notification_due", fields=["due_at"], condition=Q(due_at__isnull=False)),
            models.Index(name="notification_to_recipient", fields=["recipient", "id"]),  # read backwards, as that of casts
            models.Index(name="notification_of_subscription", fields=["subscription"], condition=Q(subscription__isnull=False)),
            models.Index(
                name="notification_unread", fields=["recipient"], condition=Q(channel=NotificationChannel.INBOX, read_at__isnull=True)
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                "cast",
                "round",
                "kind",
                "channel",
                "target",
                # empty where it is of none; those of one generation are told apart by the next constraint, and by this one no further
                Coalesce(As("generation", models.CharField()), Value("")),
                name="notification_is_sent_once_per_round_and_generation",
            ),
            models.UniqueConstraint(
                name="notification_of_a_generation_is_sent_once",
                fields=["generation", "kind", "channel", "target"],
                condition=Q(generation__isnull=False),
            ),
            models.UniqueConstraint(name="notification_message_id_is_unique", fields=["message_id"], condition=Q(message_id__isnull=False)),
            models.CheckConstraint(name="notification_kind_is_known", condition=Q(kind__in=NotificationKind.values)),
            models.CheckConstraint(name="notification_channel_is_known", condition=Q(channel__in=NotificationChannel.values)),
            models.CheckConstraint(
                name="notification_is_of_a_cast_a_cook_or_a_webhook",
                condition=Q(cast__isnull=False) | Q(kind__in=[*WEBHOOK_KINDS, *COOK_KINDS]),
            ),
            models.CheckConstraint(
                name="notification_names_a_cook_iff_about_one",
                condition=Q(kind__in=COOK_KINDS, cook__isnull=False, cast__isnull=True) | (~Q(kind__in=COOK_KINDS) & Q(cook__isnull=True)),
            ),
            models.CheckConstraint(
                name="notification_names_a_generation_iff_about_one",
                condition=Q(kind__in=_OF_A_GENERATION, generation__isnull=False)
                | (~Q(kind__in=_OF_A_GENERATION) & Q(generation__isnull=True)),
            ),
            models.CheckConstraint(
                name="notification_is_due_or_delivered_or_given_up",
                condition=Q(due_at__isnull=False, delivered_at__isnull=True, given_up_at__isnull=True)
                | Q(due_at__isnull=True, delivered_at__isnull=False, given_up_at__isnull=True)
                | Q(due_at__isnull=True, delivered_at__isnull=True, given_up_at__isnull=False),
            ),
            models.CheckConstraint(name="notification_given_up_has_a_reason", condition=Q(given_up_at__isnull=True) | ~Q(said="")),
            models.CheckConstraint(
                name="notification_in_the_inbox_is_delivered",
                condition=~Q(channel=NotificationChannel.INBOX) | Q(delivered_at__isnull=False),
            ),
            models.CheckConstraint(
                name="notification_is_sent_by_a_subscription",
                condition=Q(channel=NotificationChannel.INBOX, subscription__isnull=True, message_id__isnull=True)
                | (~Q(channel=NotificationChannel.INBOX) & Q(subscription__isnull=False, message_id__isnull=False)),
            ),
            models.CheckConstraint(
                name="notification_is_read_in_the_inbox_alone", condition=Q(read_at__isnull=True) | Q(channel=NotificationChannel.INBOX)
            ),
        ]

    def __str__(self) -> str:
        return self.kind

    @property
    def told(self) -> dict[str, Any]:
        """What the change made of the cast or the generation. What the kind and the time of the row say is not in its `data`."""
        data: dict[str, Any] = self.data or {}
        if self.kind not in _SAID_BY_KIND:
            return data
        return {**_SAID_BY_KIND[self.kind], "finished_at": self.created_at.isoformat().replace("+00:00", "Z"), **data}

    @property
    def status(self) -> NotificationStatus:
        if self.due_at is not None:
            return NotificationStatus.PENDING
        return NotificationStatus.GIVEN_UP if self.delivered_at is None else NotificationStatus.DELIVERED
