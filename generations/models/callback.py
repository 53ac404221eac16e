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


class Callback(models.Model):
    """A verified webhook. `delivery_id` is the sender's own and tells a repeat from something new."""

    adapter = models.CharField(max_length=100)
    delivery_id = models.CharField(max_length=255)
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="callbacks", null=True, blank=True)
    payload = models.JSONField()
    outcome = models.CharField(max_length=10, choices=CallbackOutcome, default=CallbackOutcome.RECEIVED)
    received_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="callback_delivery_is_stored_once", fields=["adapter", "delivery_id"]),
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
