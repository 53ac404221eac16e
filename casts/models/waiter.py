"""A waiter: a cast that a gate held back."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from .cast import Cast
from .gate import Gate


class Waiter(models.Model):
    """A cast that waits at the first gate that held it back. Written by each look at the cast, gone when it passes.

    `since` is when it came to this gate. `rung_at` is when it was told of room, until it looked. `initiator` is the
    cast's, which never changes: those who wait are told in turns over them.
    """

    cast = models.OneToOneField(Cast, on_delete=models.CASCADE, primary_key=True, related_name="waiter")
    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="waiters", db_index=False)
    initiator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    since = models.DateTimeField()
    rung_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(name="waiter_in_turn", fields=["gate", "initiator", "since"]),
            models.Index(name="waiter_before_another", fields=["gate", "since"]),
            models.Index(name="waiter_rung", fields=["gate", "rung_at"], condition=Q(rung_at__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(
                name="waiter_is_rung_after_it_came", condition=Q(rung_at__isnull=True) | Q(rung_at__gte=models.F("since"))
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)
