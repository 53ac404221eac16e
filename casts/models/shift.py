"""A request for a shift: that the cluster was asked to conduct, and has not begun."""

from django.db import models
from django.db.models import Q

THE_REQUEST = 1


class ShiftRequest(models.Model):
    """The one row that says since when a shift has been asked for. Empty while none is waited for."""

    asked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(name="shiftrequest_is_one", condition=Q(id=THE_REQUEST))]

    def __str__(self) -> str:
        return f"asked for at {self.asked_at:%H:%M:%S}" if self.asked_at else "not asked for"
