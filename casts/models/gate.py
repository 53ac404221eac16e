"""A gate: what the calls of one tool, or of one provider, pass through before they start."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from generations.models import Generation
from spells.models import Provider, Tool

from .conductor import DatabaseNow


class BreakerState(models.TextChoices):
    """Whether calls go out. An operator opens without an end; whoever finds a breaker half-open waits for its one try."""

    CLOSED = "closed", "closed: calls go out"
    OPEN = "open", "open: no call starts"
    HALF_OPEN = "half_open", "half-open: one call tries"


class GateQuerySet(models.QuerySet["Gate"]):
    def to_ring(self) -> Self:
        """Keep those that let calls through again since a moment that has come, by the database's clock."""
        return self.filter(ring_at__lte=DatabaseNow())


class Gate(models.Model):
    """What is known of one tool's or provider's room over all processes, on one row that whoever starts a call locks.

    Its limits stand with the tool or the provider. Calls in flight are not counted here: live generations are. `started`
    counts the calls of the last minute by the second in which they started, `{"1767268800": 3}`. Nothing starts before
    `quiet_until`: the provider asked for it. `ring_at` is when to tell those that wait of room; while somebody waits, it
    is set. `last_served` is the initiator who had the last turn.

    The breaker has been in its `state` since `since`. `failures` counts outages in a row. Open, `retry_at` is when one
    call may try, empty when an operator opened it; `wait_seconds` is the present wait; `probe` is the call that tries.
    `errors` are the last outages, the newest first: `{"at", "tool", "code", "message"}`.
    """

    tool = models.OneToOneField(Tool, on_delete=models.CASCADE, related_name="gate", null=True, blank=True)
    provider = models.OneToOneField(Provider, on_delete=models.CASCADE, related_name="gate", null=True, blank=True)
    started = models.JSONField(default=dict, blank=True)
    quiet_until = models.DateTimeField(null=True, blank=True)
    ring_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=BreakerState, default=BreakerState.CLOSED)
    since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    wait_seconds = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    probe = models.ForeignKey(Generation, on_delete=models.SET_NULL, related_name="+", null=True, blank=True, db_index=False)
    errors = models.JSONField(default=list, blank=True)
    last_served = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True, blank=True, db_index=False
    )

    objects = GateQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(name="gate_to_ring", fields=["ring_at"], condition=Q(ring_at__isnull=False))]
        constraints = [
            models.CheckConstraint(
                name="gate_is_of_a_tool_or_a_provider",
                condition=Q(tool__isnull=False, provider__isnull=True) | Q(tool__isnull=True, provider__isnull=False),
            ),
            models.CheckConstraint(name="gate_state_is_known", condition=Q(state__in=BreakerState.values)),
            models.CheckConstraint(name="gate_tells_since_when", condition=Q(state=BreakerState.CLOSED) | Q(since__isnull=False)),
            models.CheckConstraint(name="gate_retries_only_while_open", condition=Q(retry_at__isnull=True) | Q(state=BreakerState.OPEN)),
            models.CheckConstraint(name="gate_probes_only_half_open", condition=Q(probe__isnull=True) | Q(state=BreakerState.HALF_OPEN)),
        ]

    def __str__(self) -> str:
        return str(self.provider or self.tool)

    @property
    def owner(self) -> Tool | Provider:
        """Whose gate it is, and who has its limits."""
        owner = self.provider or self.tool
        assert owner is not None, "a constraint says so"
        return owner

    @property
    def is_free(self) -> bool:
        """Tell whether it holds nobody back but by its limits."""
        return self.state == BreakerState.CLOSED and self.quiet_until is None


class GateEventKind(models.TextChoices):
    """What can happen to a breaker."""

    OPENED = "opened"
    TRIED = "tried"
    CLOSED = "closed"


class GateEvent(models.Model):
    """A line of the history of a breaker. Append-only. `by` names who did it; Grimoire itself has no name.

    `actor` is the user, where it was one; a command is told by its user's name on that machine.
    """

    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=10, choices=GateEventKind)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    by = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(name="gateevent_kind_is_known", condition=Q(kind__in=GateEventKind.values)),
            models.CheckConstraint(name="gateevent_of_an_actor_bears_a_name", condition=Q(actor__isnull=True) | ~Q(by="")),
        ]

    def __str__(self) -> str:
        return self.kind
