"""A cast: one run of one version of a spell."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import Exact
from uuid_utils.compat import uuid7

from spells.models import SpellVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class CastStatus(models.TextChoices):
    """Where a cast stands, as stored. Clients also see `waiting`: running, but only providers, people or time hold it."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Priority(models.IntegerChoices):
    """In which order conductors take casts that are due. A lower one comes first."""

    INTERACTIVE = 0, "interactive: somebody waits for it"
    BATCH = 10, "batch: it can wait"


LIVE = (CastStatus.QUEUED, CastStatus.RUNNING, CastStatus.PAUSED)
# Version, trace, span and flags, as W3C Trace Context writes them.
TRACEPARENT_CHARACTERS = 55

ENDED = (CastStatus.SUCCEEDED, CastStatus.FAILED, CastStatus.CANCELLED)


class CastQuerySet(models.QuerySet["Cast"]):
    def live(self) -> Self:
        return self.filter(status__in=LIVE)

    def ended(self) -> Self:
        return self.filter(status__in=ENDED)

    def stranded(self) -> Self:
        """Keep the unfinished casts that no wakeup will ever look at again. The reaper gives them one."""
        return self.live().filter(wakeup__isnull=True)

    def visible_to(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the casts that `user` started; the staff sees all."""
        return self if getattr(user, "is_staff", False) else self.filter(initiator=user.pk)


class Cast(models.Model):
    """One run. Its version never changes; its status changes only by the engine's guarded updates.

    `cost_usd` is the sum of the booked costs of its generations. `priority` is what its wakeups have, in each of its rounds. `request_digest` tells a repeated request from
    another one under the same `idempotency_key`, and is empty where there is no key. `round` counts retries after an end. `last_epoch` is where
    the epochs of its present or last wakeup began. `traceparent` is where in which trace it was started, if it is traced.
    `error` is `{"code", "message", "step", "item", "attempt", "provider"}`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(SpellVersion, on_delete=models.PROTECT, related_name="casts")
    initiator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="casts", db_index=False)
    status = models.CharField(max_length=10, choices=CastStatus, default=CastStatus.QUEUED)
    inputs = models.JSONField(default=dict)
    outputs = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    reason = models.TextField(blank=True)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, default=0)
    max_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001 - NULL: none was given, many may be without
    request_digest = models.CharField(max_length=64, blank=True)
    priority = models.SmallIntegerField(choices=Priority, default=Priority.INTERACTIVE)
    round = models.PositiveIntegerField(default=0)
    last_epoch = models.BigIntegerField(default=0)
    traceparent = models.CharField(max_length=55, blank=True, default="")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField()
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = CastQuerySet.as_manager()

    class Meta:
        indexes = [
            # read backwards for a list: new entries come last, in pages that are filled and left
            models.Index(name="cast_of_initiator", fields=["initiator", "id"]),
            models.Index(name="cast_live", fields=["status"], condition=Q(status__in=LIVE)),
            # what may be pruned; casts that ended together take one entry
            models.Index(name="cast_by_end", fields=["finished_at"], condition=Q(finished_at__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(name="cast_status_is_known", condition=Q(status__in=CastStatus.values)),
            models.CheckConstraint(name="cast_priority_is_known", condition=Q(priority__in=Priority.values)),
            # what composite foreign keys point at
            models.UniqueConstraint(name="cast_is_unique_with_its_version", fields=["id", "version"]),
            models.UniqueConstraint(
                name="cast_idempotency_key_is_unique_per_initiator",
                fields=["initiator", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(name="cast_idempotency_key_is_not_empty", condition=~Q(idempotency_key="")),
            models.CheckConstraint(
                name="cast_finished_iff_ended",
                condition=Q(status__in=ENDED, finished_at__isnull=False) | Q(status__in=LIVE, finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="cast_started_unless_queued",
                condition=Q(status=CastStatus.QUEUED, started_at__isnull=True)
                | Q(status__in=[CastStatus.RUNNING, CastStatus.SUCCEEDED], started_at__isnull=False)
                | Q(status__in=[CastStatus.PAUSED, CastStatus.FAILED, CastStatus.CANCELLED]),
            ),
            models.CheckConstraint(
                name="cast_outputs_iff_succeeded",
                condition=Q(status=CastStatus.SUCCEEDED, outputs__isnull=False)
                | (~Q(status=CastStatus.SUCCEEDED) & Q(outputs__isnull=True)),
            ),
            models.CheckConstraint(
                name="cast_error_iff_failed",
                condition=Q(status=CastStatus.FAILED, error__isnull=False) | (~Q(status=CastStatus.FAILED) & Q(error__isnull=True)),
            ),
            models.CheckConstraint(name="cast_cancelled_has_a_reason", condition=~Q(status=CastStatus.CANCELLED) | ~Q(reason="")),
            models.CheckConstraint(
                name="cast_traceparent_is_whole", condition=Q(traceparent="") | Q(Exact(Length("traceparent"), TRACEPARENT_CHARACTERS))
            ),
            models.CheckConstraint(name="cast_cost_is_not_negative", condition=Q(cost_usd__gte=0)),
            models.CheckConstraint(name="cast_budget_is_not_negative", condition=Q(max_cost_usd__isnull=True) | Q(max_cost_usd__gte=0)),
        ]

    def __str__(self) -> str:
        return str(self.pk)
