"""A conductor's heartbeat: that a process which conducts casts is alive."""

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7


class ConductorKind(models.TextChoices):
    PROCESS = "process", "process: manage.py conduct"
    TASK = "task", "task: a shift inside the cluster"


class ConductorProcess(models.Model):
    """One running conductor. The row goes when it stops; one that stopped beating is dead."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=10, choices=ConductorKind)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    in_flight = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "conductor processes"
        constraints = [models.CheckConstraint(name="conductorprocess_kind_is_known", condition=Q(kind__in=ConductorKind.values))]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
