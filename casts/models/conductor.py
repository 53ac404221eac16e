"""A conductor's heartbeat: that a process which conducts casts is alive."""

from typing import Self

from django.db import models
from django.db.models import F, Func, Q
from uuid_utils.compat import uuid7

# A conductor that has not beaten for so many seconds is taken for dead.
SILENCE_SECONDS = 15


class ConductorKind(models.TextChoices):
    """As what a conductor runs."""

    PROCESS = "process", "process: manage.py conduct"
    TASK = "task", "task: a shift inside the cluster"


class DatabaseNow(Func):
    """The clock of the engine, as an expression of the ORM."""

    function = "grimoire_now"
    output_field = models.DateTimeField()

    # As a scalar query it is read once and can serve an index; the bare function is volatile and cannot.
    template = "(SELECT %(function)s())"


class ConductorProcessQuerySet(models.QuerySet["ConductorProcess"]):
    def alive(self) -> Self:
        """Keep those whose heart still beats, by the database's clock."""
        return self.filter(alive_until__gt=DatabaseNow())

    def claiming(self) -> Self:
        """Keep those that take casts. One that drains only waits for what it has at work."""
        return self.filter(draining=False)

    def dead(self) -> Self:
        return self.filter(alive_until__lte=DatabaseNow())


class ConductorProcess(models.Model):
    """One running conductor. The row goes when it stops; one whose `alive_until` has passed is dead."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=10, choices=ConductorKind)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    in_flight = models.PositiveIntegerField(default=0)
    draining = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    alive_until = models.DateTimeField()

    objects = ConductorProcessQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "conductor processes"
        constraints = [
            models.CheckConstraint(name="conductorprocess_kind_is_known", condition=Q(kind__in=ConductorKind.values)),
            models.CheckConstraint(name="conductorprocess_lives_after_its_start", condition=Q(alive_until__gte=F("started_at"))),
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
