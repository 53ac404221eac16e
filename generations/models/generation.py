"""A generation: one attempt at one step of one cast."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from uuid_utils.compat import uuid7

from spells.constraints import CompositeForeignKey
from spells.models import SpellVersion, Step, Tool

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class GenerationStatus(models.TextChoices):
    """Where a call stands. `LIVE` and `ENDED` below part this set in two."""

    PENDING = "pending"
    RUNNING = "running", "running: a worker holds it"
    SUBMITTED = "submitted", "submitted: a provider holds it"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    UNKNOWN = "unknown", "unknown: may have been billed"


LIVE = (GenerationStatus.PENDING, GenerationStatus.RUNNING, GenerationStatus.SUBMITTED)
ENDED = (
    GenerationStatus.SUCCEEDED,
    GenerationStatus.FAILED,
    GenerationStatus.CANCELLED,
    GenerationStatus.SKIPPED,
    GenerationStatus.UNKNOWN,
)
# Those that a worker or a provider has in hand: they take the room that a tool's limits leave.
IN_FLIGHT = (GenerationStatus.RUNNING, GenerationStatus.SUBMITTED)
# While one of these stands, no other attempt at the same item may start: an `unknown` call may still be at work.
BLOCKING = (*LIVE, GenerationStatus.UNKNOWN)

# Each pair has a number of its own: an item is a whole number below 2**31, and not negative. A step above 2**32 would be refused.
STEP_AND_ITEM = models.ExpressionWrapper(F("step") * 2**31 + F("item"), output_field=models.BigIntegerField())


class GenerationQuerySet(models.QuerySet["Generation"]):
    def live(self) -> Self:
        return self.filter(status__in=LIVE)

    def in_flight(self) -> Self:
        """Keep the calls that take room: not those that are done at their provider, and whose files alone are waited for."""
        return self.filter(status__in=IN_FLIGHT, unfetched_at__isnull=True)

    def succeeded(self) -> Self:
        return self.filter(status=GenerationStatus.SUCCEEDED)

    def under_keys(self, keys: Collection[UUID]) -> Self:
        """Keep the calls that bear one of these idempotency keys."""
        return self.filter(Q(owed_key__in=keys) | Q(owed_key__isnull=True, pk__in=keys))

    def visible_to(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the generations of casts that `user` started; the staff sees all."""
        return self if getattr(user, "is_staff", False) else self.filter(cast__initiator=user.pk)


class Generation(models.Model):
    """One attempt: what went in, what came out, what it cost.

    `tool` is its step's, kept here so that what is in flight can be counted by tool. `item` is the index under `for_each`, else 0. `attempt` counts from 1 per item over the whole life of the cast,
    `round` says in which retry of the cast it was made. `epoch` is the claim under which its call runs.
    `retry_at` on a failed attempt is when the next is due; empty, there is none. `lost` on a failed attempt: nobody knows
    how far it came, so it counts apart and the next attempt bears the same idempotency key: that is its `owed_key`. `excused` on a failed attempt: its provider was away, or
    asked us to slow down, so that nothing is known of the call itself; it is kept, for it was made and may have cost
    money, and does not count against the attempts that the step has. `cost_usd` is empty while unknown;
    `cost_booked_at` says that it is in its cast's sum. `unfetched` is what is left of a result whose files could not all be fetched, `unfetched_at` since when:
    while it is submitted, they are tried for again, and it takes no room of its provider's. `late_output` is a result that came when nobody waited any more.
    `job_id` names the job at its provider, `job_handle` is what else its adapter needs to ask for it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # `generation_attempt_is_unique_per_step_item` begins with the cast: an index of its own would be written twice a step for nothing
    cast = models.ForeignKey("casts.Cast", on_delete=models.CASCADE, related_name="generations", db_index=False)
    version = models.ForeignKey(SpellVersion, on_delete=models.PROTECT, related_name="+", db_index=False)
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="generations")
    tool = models.ForeignKey(Tool, on_delete=models.PROTECT, related_name="generations", db_index=False)
    item = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=1)
    round = models.PositiveIntegerField(default=0)
    status = models.CharField(max_length=10, choices=GenerationStatus)
    epoch = models.BigIntegerField(null=True, blank=True)
    inputs = models.JSONField(default=dict)
    output = models.JSONField(null=True, blank=True)
    late_output = models.JSONField(null=True, blank=True)
    unfetched = models.JSONField(null=True, blank=True)
    unfetched_at = models.DateTimeField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    reason = models.TextField(blank=True)
    progress = models.JSONField(null=True, blank=True)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    cost_basis = models.JSONField(null=True, blank=True)
    cost_booked_at = models.DateTimeField(null=True, blank=True)
    owed_key = models.UUIDField(null=True, blank=True)
    job_id = models.CharField(max_length=255, blank=True)
    job_handle = models.JSONField(default=dict, blank=True)
    poll_at = models.DateTimeField(null=True, blank=True)
    lost = models.BooleanField(default=False)
    excused = models.BooleanField(default=False)
    retry_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = GenerationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(name="generation_by_job", fields=["job_id"], condition=~Q(job_id="")),
            models.Index(name="generation_in_flight", fields=["tool"], condition=Q(status__in=IN_FLIGHT)),
            models.Index(
                name="generation_costs_of_tool", fields=["tool", "id"], condition=Q(status=GenerationStatus.SUCCEEDED, cost_usd__gt=0)
            ),
        ]
        constraints = [
            models.CheckConstraint(name="generation_status_is_known", condition=Q(status__in=GenerationStatus.values)),
            models.UniqueConstraint(name="generation_attempt_is_unique_per_step_item", fields=["cast", "step", "item", "attempt"]),
            models.UniqueConstraint(
                name="generation_one_live_per_step_item", fields=["cast", "step", "item"], condition=Q(status__in=BLOCKING)
            ),
            # one for each step that was ever done: step and item in one number take a fifth less room (ADR 25)
            models.UniqueConstraint(
                "cast",
                STEP_AND_ITEM,
                name="generation_one_success_per_step_item",
                condition=Q(status=GenerationStatus.SUCCEEDED),
            ),
            CompositeForeignKey(name="generation_cast_pins_its_version", fields=["cast", "version"], to_fields=["id", "version"]),
            CompositeForeignKey(
                name="generation_step_belongs_to_its_version",
                fields=["step", "version"],
                to_fields=["id", "version"],
            ),
            CompositeForeignKey(name="generation_tool_is_its_steps", fields=["step", "tool"], to_fields=["id", "tool"]),
            models.CheckConstraint(name="generation_attempts_start_at_one", condition=Q(attempt__gte=1)),
            models.CheckConstraint(
                name="generation_finished_iff_ended",
                condition=Q(status__in=ENDED, finished_at__isnull=False) | Q(status__in=LIVE, finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="generation_started_iff_called",
                condition=Q(status=GenerationStatus.PENDING, started_at__isnull=True)
                | Q(
                    status__in=[
                        GenerationStatus.RUNNING,
                        GenerationStatus.SUBMITTED,
                        GenerationStatus.SUCCEEDED,
                        GenerationStatus.UNKNOWN,
                    ],
                    started_at__isnull=False,
                )
                | Q(status__in=[GenerationStatus.FAILED, GenerationStatus.CANCELLED, GenerationStatus.SKIPPED]),
            ),
            models.CheckConstraint(
                name="generation_output_iff_succeeded_or_skipped_with_one",
                condition=Q(status=GenerationStatus.SUCCEEDED, output__isnull=False)
                | Q(status=GenerationStatus.SKIPPED)
                | (~Q(status__in=[GenerationStatus.SUCCEEDED, GenerationStatus.SKIPPED]) & Q(output__isnull=True)),
            ),
            models.CheckConstraint(
                name="generation_error_iff_failed_or_unknown",
                condition=Q(status__in=[GenerationStatus.FAILED, GenerationStatus.UNKNOWN], error__isnull=False)
                | (~Q(status__in=[GenerationStatus.FAILED, GenerationStatus.UNKNOWN]) & Q(error__isnull=True)),
            ),
            models.CheckConstraint(
                name="generation_reason_iff_cancelled_or_skipped",
                condition=(Q(status__in=[GenerationStatus.CANCELLED, GenerationStatus.SKIPPED]) & ~Q(reason=""))
                | (~Q(status__in=[GenerationStatus.CANCELLED, GenerationStatus.SKIPPED]) & Q(reason="")),
            ),
            models.CheckConstraint(
                name="generation_running_has_an_epoch",
                condition=~Q(status=GenerationStatus.RUNNING) | Q(epoch__isnull=False),
            ),
            models.CheckConstraint(
                name="generation_retry_only_after_failure",
                condition=Q(retry_at__isnull=True) | Q(status=GenerationStatus.FAILED),
            ),
            models.CheckConstraint(
                name="generation_excused_only_after_failure",
                condition=Q(excused=False) | Q(status=GenerationStatus.FAILED),
            ),
            models.CheckConstraint(
                name="generation_poll_only_while_submitted",
                condition=Q(poll_at__isnull=True) | Q(status=GenerationStatus.SUBMITTED),
            ),
            models.CheckConstraint(
                name="generation_booked_cost_is_known", condition=Q(cost_booked_at__isnull=True) | Q(cost_usd__isnull=False)
            ),
            models.CheckConstraint(
                name="generation_unfetched_iff_since_when",
                condition=Q(unfetched__isnull=True, unfetched_at__isnull=True) | Q(unfetched__isnull=False, unfetched_at__isnull=False),
            ),
            models.CheckConstraint(name="generation_cost_is_not_negative", condition=Q(cost_usd__isnull=True) | Q(cost_usd__gte=0)),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def idempotency_key(self) -> UUID:
        """What a provider knows the call by: the id of the attempt that was first made under it."""
        return self.owed_key or self.pk
