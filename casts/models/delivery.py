"""A delivery: one try to bring a notification to its target, and what came of it. A log."""

from django.db import models
from django.db.models import Q

from .notification import Notification


class Delivery(models.Model):
    """One try. `attempt` is the claim under which it was made.

    `status_code` is what an HTTP or SMTP server answered, if one did; `answer` the beginning of its words; `error` what
    was wrong, and empty if nothing was.
    """

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    attempt = models.PositiveIntegerField()
    address = models.CharField(max_length=2000)
    at = models.DateTimeField()
    seconds = models.FloatField()
    succeeded = models.BooleanField()
    status_code = models.PositiveIntegerField(null=True, blank=True)
    answer = models.TextField(blank=True)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(name="delivery_is_noted_once", fields=["notification", "attempt"]),
            models.CheckConstraint(
                name="delivery_has_an_error_iff_it_failed", condition=Q(succeeded=True, error="") | (Q(succeeded=False) & ~Q(error=""))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.address}: {self.error or self.status_code}"
