"""A cancellation: that a provider is to be asked to stop a job, and what came of it."""

from django.db import models
from django.db.models import Q

from .generation import Generation


class CancellationOutcome(models.TextChoices):
    """What became of the wish."""

    PENDING = "pending", "pending: the provider is yet to be asked"
    REQUESTED = "requested", "requested: the provider took it"
    REFUSED = "refused", "refused: the provider would not"
    UNSUPPORTED = "unsupported", "unsupported: its adapter cannot cancel"
    FAILED = "failed", "failed: the provider could not be asked"
    NEEDLESS = "needless", "needless: the job had ended"


class Cancellation(models.Model):
    """An errand of its own, which outlives its cast. `due_at` is when to ask next, `said` what the provider answered last."""

    generation = models.OneToOneField(Generation, on_delete=models.CASCADE, related_name="cancellation")
    outcome = models.CharField(max_length=11, choices=CancellationOutcome, default=CancellationOutcome.PENDING)
    said = models.TextField(blank=True)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(name="cancellation_due", fields=["due_at"], condition=Q(due_at__isnull=False))]
        constraints = [
            models.CheckConstraint(name="cancellation_outcome_is_known", condition=Q(outcome__in=CancellationOutcome.values)),
            models.CheckConstraint(
                name="cancellation_due_iff_pending",
                condition=Q(outcome=CancellationOutcome.PENDING, due_at__isnull=False)
                | (~Q(outcome=CancellationOutcome.PENDING) & Q(due_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="cancellation_done_unless_pending",
                condition=Q(outcome=CancellationOutcome.PENDING, done_at__isnull=True)
                | (~Q(outcome=CancellationOutcome.PENDING) & Q(done_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return self.outcome
