"""An event: something that happened to a cast as a whole, and by whom."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from .cast import Cast


class EventKind(models.TextChoices):
    """What can happen to a cast. What happens to its steps is read off their generations, but for who resolved or skipped one."""

    STARTED = "started"
    CANCEL_REQUESTED = "cancel_requested"
    PAUSED = "paused"
    RESUMED = "resumed"
    RETRIED = "retried"
    REAPED = "reaped"
    RESOLVED = "resolved"
    SKIPPED = "skipped", "skipped: a step was given an output by hand"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class CastEvent(models.Model):
    """A line of the audit. Append-only. `actor` is empty when Grimoire itself acted, `data` when the kind says it all: see `told`."""

    cast = models.ForeignKey(Cast, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=20, choices=EventKind)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True, db_index=False)
    data = models.JSONField(null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            # what the reaper healed lately is counted (`casts.alerts`)
            models.Index(name="castevent_reaped", fields=["at"], condition=Q(kind=EventKind.REAPED)),
            models.Index(name="castevent_of_actor", fields=["actor"], condition=Q(actor__isnull=False)),
        ]
        constraints = [models.CheckConstraint(name="castevent_kind_is_known", condition=Q(kind__in=EventKind.values))]

    def __str__(self) -> str:
        return self.kind

    @property
    def told(self) -> dict[str, Any]:
        """What is told beside the kind."""
        return self.data or {}
