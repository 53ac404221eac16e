"""A fan-out: the items over which a step of a cast runs."""

from django.db import models
from django.db.models import Q

from spells.constraints import CompositeForeignKey
from spells.models import SpellVersion, Step

from .cast import Cast


class FanOut(models.Model):
    """The evaluated `for_each` of one step of one cast. Stored once, so that later attempts see the same items."""

    cast = models.ForeignKey(Cast, on_delete=models.CASCADE, related_name="fan_outs", db_index=False)
    version = models.ForeignKey(SpellVersion, on_delete=models.PROTECT, related_name="+", db_index=False)
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="+")
    items = models.JSONField()
    count = models.PositiveIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="fanout_is_evaluated_once", fields=["cast", "step"]),
            models.CheckConstraint(name="fanout_count_is_not_negative", condition=Q(count__gte=0)),
            CompositeForeignKey(name="fanout_cast_pins_its_version", fields=["cast", "version"], to_fields=["id", "version"]),
            CompositeForeignKey(name="fanout_step_belongs_to_its_version", fields=["step", "version"], to_fields=["id", "version"]),
        ]

    def __str__(self) -> str:
        return f"{self.count} items of step {self.step_id}"
