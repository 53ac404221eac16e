"""A wakeup: when somebody must look at an unfinished cast, and who does so now."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from .cast import Cast, Priority


class Wakeup(models.Model):
    """Queue, lease, retry timer, poll timer and deadline of one unfinished cast in one row. It goes when the cast ends.

    `claimed_until` is set while a conductor holds the cast; `due_at` is parked there meanwhile. `epoch` counts claims
    and fences out whoever lost one. `bell` counts rings. `lost` counts the claims in a row whose holder vanished.
    `initiator` and `priority` are the cast's own, which never change: here, an index tells whose turn it is.
    """

    cast = models.OneToOneField(Cast, on_delete=models.CASCADE, primary_key=True, related_name="wakeup")
    due_at = models.DateTimeField(db_index=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    epoch = models.BigIntegerField(default=0)
    bell = models.BigIntegerField(default=0)
    initiator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    priority = models.SmallIntegerField(choices=Priority, default=Priority.INTERACTIVE)
    lost = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(name="wakeup_turns_of_initiators", fields=["priority", "initiator", "due_at"]),
            models.Index(name="wakeup_suspects", fields=["due_at"], condition=Q(claimed_until__isnull=False, lost__gte=1)),
        ]
        constraints = [
            models.CheckConstraint(name="wakeup_priority_is_known", condition=Q(priority__in=Priority.values)),
            models.CheckConstraint(name="wakeup_epoch_is_not_negative", condition=Q(epoch__gte=0)),
            models.CheckConstraint(
                name="wakeup_claimed_is_parked_at_its_lease",
                condition=Q(claimed_until__isnull=True) | Q(due_at=F("claimed_until")),
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
