"""A cook: the making of so many pieces of a collection, a few of them at a time."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

from spells.constraints import CompositeForeignKey
from spells.models import SpellVersion

from .collection import Collection, CollectionReviewer

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

MAX_PARALLEL = 100
MAX_ATTEMPTS = 10


class CookStatus(models.TextChoices):
    """Where a cook stands."""

    RUNNING = "running", "running: casts are kept going"
    PAUSED = "paused", "paused: nothing starts, what runs may end"
    STOPPING = "stopping", "stopping: what runs is being cancelled"
    STOPPED = "stopped", "stopped: for good"
    FINISHED = "finished", "finished: each piece is made, or has failed"


class OnPieceFailure(models.TextChoices):
    """What a cast that ended otherwise than well does to its piece and its cook."""

    REPLACE = "replace", "replace: it is cast again, up to so many times"
    SKIP = "skip", "skip: the piece has failed, others go on"
    STOP = "stop", "stop: the piece has failed, and the cook pauses when so many fail in a row"


ENDED_COOKS = (CookStatus.STOPPED, CookStatus.FINISHED)
# In these, somebody must look at a cook again, whatever happens.
TENDED_COOKS = (CookStatus.RUNNING, CookStatus.STOPPING)


class CookQuerySet(models.QuerySet["Cook"]):
    def visible_to(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the cooks that `user` began; the staff sees all."""
        return self if getattr(user, "is_staff", False) else self.filter(initiator=user.pk)

    def reviewable_by(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the cooks on whose pieces `user` may decide: their own, and those of collections that name them a reviewer."""
        if getattr(user, "is_staff", False):
            return self
        named = CollectionReviewer.objects.filter(collection=OuterRef("collection"), user=user.pk)
        return self.filter(Q(initiator=user.pk) | Exists(named))


class Cook(models.Model):
    """So many pieces of a collection, `max_parallel` of them at a time. An errand: `due_at`, `attempts`.

    What is to be done follows from its rows alone (`casts.cooks.scheduling`); `due_at` only says when somebody must look.
    `reason` says why it is paused or stopped. `failures_in_a_row` counts casts that ended otherwise than well since the
    last one that succeeded. `max_attempts` is how often one piece is cast under `replace`, `failures_to_stop` after how
    many failures in a row `stop` pauses. `quote_usd` is what the whole was expected to cost when it began, if that was known.
    """

    collection = models.ForeignKey(Collection, on_delete=models.PROTECT, related_name="cooks", db_index=False)
    version = models.ForeignKey(SpellVersion, on_delete=models.PROTECT, related_name="+", db_index=False)
    initiator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="cooks", db_index=False)
    status = models.CharField(max_length=10, choices=CookStatus, default=CookStatus.RUNNING)
    reason = models.TextField(blank=True)
    wanted = models.PositiveIntegerField()
    max_parallel = models.PositiveIntegerField(default=4)
    budget_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    quote_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    on_failure = models.CharField(max_length=10, choices=OnPieceFailure, default=OnPieceFailure.REPLACE)
    max_attempts = models.PositiveIntegerField(default=3)
    failures_to_stop = models.PositiveIntegerField(default=3)
    failures_in_a_row = models.PositiveIntegerField(default=0)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001 - NULL: none was given, many may be without
    request_digest = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    objects = CookQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(name="cook_list_of_initiator", fields=["initiator", "-id"]),
            models.Index(name="cook_list_of_collection", fields=["collection", "-id"]),
            models.Index(name="cook_due", fields=["due_at"], condition=Q(due_at__isnull=False)),
        ]
        constraints = [
            # what composite foreign keys point at
            models.UniqueConstraint(name="cook_is_unique_with_its_version", fields=["id", "version"]),
            CompositeForeignKey(name="cook_is_of_its_collections_version", fields=["collection", "version"], to_fields=["id", "version"]),
            CompositeForeignKey(name="cook_is_of_its_collections_owner", fields=["collection", "initiator"], to_fields=["id", "owner"]),
            models.UniqueConstraint(
                name="cook_idempotency_key_is_unique_per_initiator",
                fields=["initiator", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(name="cook_idempotency_key_is_not_empty", condition=~Q(idempotency_key="")),
            models.CheckConstraint(name="cook_status_is_known", condition=Q(status__in=CookStatus.values)),
            models.CheckConstraint(name="cook_on_failure_is_known", condition=Q(on_failure__in=OnPieceFailure.values)),
            # nobody would ever look at it again
            models.CheckConstraint(name="cook_is_due_while_it_goes_on", condition=~Q(status__in=TENDED_COOKS) | Q(due_at__isnull=False)),
            models.CheckConstraint(
                name="cook_finished_iff_ended",
                condition=Q(status__in=ENDED_COOKS, finished_at__isnull=False) | (~Q(status__in=ENDED_COOKS) & Q(finished_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="cook_that_does_not_go_on_has_a_reason",
                condition=Q(status__in=[CookStatus.RUNNING, CookStatus.FINISHED]) | ~Q(reason=""),
            ),
            models.CheckConstraint(name="cook_wants_at_least_one", condition=Q(wanted__gte=1)),
            models.CheckConstraint(name="cook_parallel_is_bounded", condition=Q(max_parallel__gte=1, max_parallel__lte=MAX_PARALLEL)),
            models.CheckConstraint(name="cook_attempts_are_bounded", condition=Q(max_attempts__gte=1, max_attempts__lte=MAX_ATTEMPTS)),
            models.CheckConstraint(name="cook_stops_after_at_least_one_failure", condition=Q(failures_to_stop__gte=1)),
            models.CheckConstraint(name="cook_budget_is_not_negative", condition=Q(budget_usd__isnull=True) | Q(budget_usd__gte=0)),
            models.CheckConstraint(name="cook_quote_is_not_negative", condition=Q(quote_usd__isnull=True) | Q(quote_usd__gte=0)),
        ]

    def __str__(self) -> str:
        return f"cook {self.pk}"
