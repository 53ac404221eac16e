"""Alerts: what an operator must know, for as long as it is so, and the mails that tell of it."""

from typing import Self

from django.db import models
from django.db.models import F, Q


class AlertKind(models.TextChoices):
    """What can be wrong. Each is found in rows alone (`casts.alerts.conditions`)."""

    CASTS_HEALED = "casts_healed", "stalled casts had to be healed"
    WAKEUP_LAG = "wakeup_lag", "casts wait for a conductor"
    UNKNOWN_CALLS = "unknown_calls", "calls may have been billed, and nobody knows"
    BREAKER_OPEN = "breaker_open", "a provider is left alone"
    NOTIFICATION_BACKLOG = "notification_backlog", "initiators are not told of their casts"
    NO_CONDUCTOR = "no_conductor", "nobody conducts"
    CLUSTER_SILENT = "cluster_silent", "the cluster does no task"


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> Self:
        return self.filter(closed_at__isnull=True)


class Alert(models.Model):
    """One thing that is or was wrong: a kind, and of which tool or provider where that says something.

    While it is open, `told` and `details` are as the last look found them. `calm_since` is since when nothing of it was
    found any more; it closes when that has been so for a while. `told_at` is when operators were last written to.
    """

    kind = models.CharField(max_length=30, choices=AlertKind)
    subject = models.CharField(max_length=255, blank=True)
    told = models.TextField()
    details = models.JSONField(default=dict)
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    told_at = models.DateTimeField()
    calm_since = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="alert_kind_is_known", condition=Q(kind__in=AlertKind.values)),
            models.UniqueConstraint(
                name="alert_one_open_per_kind_and_subject", fields=["kind", "subject"], condition=Q(closed_at__isnull=True)
            ),
            models.CheckConstraint(
                name="alert_closes_after_calm",
                condition=Q(closed_at__isnull=True) | Q(calm_since__isnull=False, closed_at__gte=F("calm_since")),
            ),
            models.CheckConstraint(
                name="alert_calms_after_it_opened", condition=Q(calm_since__isnull=True) | Q(calm_since__gte=F("opened_at"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}" if self.subject else str(self.get_kind_display())


class AlertMailOutcome(models.TextChoices):
    """What became of a mail."""

    PENDING = "pending", "pending: it is yet to be taken by the server"
    SENT = "sent", "sent: the server took it"
    FAILED = "failed", "failed: it was given up"


class AlertMail(models.Model):
    """A mail to one operator, written in the transaction of the change that it tells of. An errand: `due_at`, `attempts`.

    `said` is what the server answered last. It may be sent twice when its sender vanishes; both bear the same id.
    """

    target = models.EmailField()
    subject = models.CharField(max_length=255)
    body = models.TextField()
    outcome = models.CharField(max_length=10, choices=AlertMailOutcome, default=AlertMailOutcome.PENDING)
    said = models.TextField(blank=True)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(name="alertmail_due", fields=["due_at"], condition=Q(due_at__isnull=False))]
        constraints = [
            models.CheckConstraint(name="alertmail_outcome_is_known", condition=Q(outcome__in=AlertMailOutcome.values)),
            models.CheckConstraint(
                name="alertmail_due_iff_pending",
                condition=Q(outcome=AlertMailOutcome.PENDING, due_at__isnull=False)
                | (~Q(outcome=AlertMailOutcome.PENDING) & Q(due_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="alertmail_done_unless_pending",
                condition=Q(outcome=AlertMailOutcome.PENDING, done_at__isnull=True)
                | (~Q(outcome=AlertMailOutcome.PENDING) & Q(done_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return self.subject


THE_WATCH = 1


class AlertWatch(models.Model):
    """The one row that all who look for alerts lock first. An errand, so that conductors look when the cluster does not.

    `pending` says since when what is no alert yet has been found, by kind and subject.
    """

    pending = models.JSONField(default=dict)
    evaluated_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(name="alertwatch_is_one", condition=Q(id=THE_WATCH))]

    def __str__(self) -> str:
        return "the watch"
