"""A callback: what a provider told us of a job, stored before anything else happens."""

from django.db import models
from django.db.models import Q

from .generation import Generation


class CallbackOutcome(models.TextChoices):
    """What a stored callback did."""

    RECEIVED = "received", "received: not applied yet"
    APPLIED = "applied"
    IGNORED = "ignored", "ignored: nobody waited for it"
    ORPHANED = "orphaned", "orphaned: it names no call of ours"
    UNREADABLE = "unreadable", "unreadable: it was given up after several tries; the provider is polled"


class Callback(models.Model):
    """A verified webhook, and the errand of applying it.

    `addressed_to` is the id of the generation that stood, signed, in the address; the generation itself may be gone.
    `delivery_id` is the sender's own and tells a repeat from something new. `is_complete` is false when the payload was
    not kept, since it was large or held files: it only says that the provider has news. `due_at` is when to apply it
    next, `attempts` how often that was begun, and `said` why it could not be done.
    """

    adapter = models.CharField(max_length=100)
    delivery_id = models.CharField(max_length=255)
    addressed_to = models.UUIDField()
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="callbacks", null=True, blank=True)
    payload = models.JSONField()
    is_complete = models.BooleanField(default=True)
    outcome = models.CharField(max_length=10, choices=CallbackOutcome, default=CallbackOutcome.RECEIVED)
    received_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    said = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(name="callback_due", fields=["due_at"], condition=Q(due_at__isnull=False))]
        constraints = [
            # two tools of one adapter may have providers that number alike
            models.UniqueConstraint(name="callback_delivery_is_stored_once", fields=["addressed_to", "delivery_id"]),
            models.CheckConstraint(
                name="callback_due_iff_received",
                condition=Q(outcome=CallbackOutcome.RECEIVED, due_at__isnull=False)
                | (~Q(outcome=CallbackOutcome.RECEIVED) & Q(due_at__isnull=True)),
            ),
            models.CheckConstraint(name="callback_outcome_is_known", condition=Q(outcome__in=CallbackOutcome.values)),
            models.CheckConstraint(
                name="callback_applied_iff_it_has_an_outcome",
                condition=Q(outcome=CallbackOutcome.RECEIVED, applied_at__isnull=True)
                | (~Q(outcome=CallbackOutcome.RECEIVED) & Q(applied_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="callback_orphaned_iff_without_generation",
                condition=Q(outcome=CallbackOutcome.ORPHANED, generation__isnull=True)
                | (~Q(outcome=CallbackOutcome.ORPHANED) & Q(generation__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.adapter} {self.delivery_id}"
