"""A tally: how often something happened, added up over all processes."""

from django.db import models


class Tally(models.Model):
    """One sample of one counter, as Prometheus names it. Processes add to it what they counted since they last did."""

    name = models.CharField(max_length=200)
    labels = models.TextField(help_text="A JSON object, its names sorted.")
    value = models.FloatField(default=0)

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [
            models.UniqueConstraint(name="tally_is_unique_per_name_and_labels", fields=["name", "labels"]),
            models.CheckConstraint(name="tally_is_not_negative", condition=models.Q(value__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.name}{self.labels}"
