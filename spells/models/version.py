"""A version of a spell: its steps, and the edges between them."""

from typing import Self

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from spells.constraints import CompositeForeignKey

from .spell import Spell
from .tool import Tool


class OnFailure(models.TextChoices):
    """What a step that failed for good does to its cast."""

    FAIL = "fail", "fail: the cast fails"
    CONTINUE = "continue", "continue: the step's output is null"


class SpellVersionQuerySet(models.QuerySet["SpellVersion"]):
    def published(self) -> Self:
        return self.filter(published_at__isnull=False)

    def drafts(self) -> Self:
        return self.filter(published_at__isnull=True)


class SpellVersion(models.Model):
    """What a spell did at one time. Immutable once published: triggers of the database refuse any change.

    `input_schema` is the JSON Schema of a cast's inputs, always an object. `outputs` maps names to expressions.
    In the spell of a tool, `outputs` is one expression that gives the whole object, as are the params of its step.
    """

    spell = models.ForeignKey(Spell, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    input_schema = models.JSONField(default=dict)
    outputs = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True, blank=True)

    objects = SpellVersionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="spellversion_number_is_unique_per_spell", fields=["spell", "number"]),
            models.UniqueConstraint(name="spellversion_one_draft_per_spell", fields=["spell"], condition=Q(published_at__isnull=True)),
            models.CheckConstraint(name="spellversion_numbers_start_at_one", condition=Q(number__gte=1)),
        ]

    def __str__(self) -> str:
        return f"version {self.number} of spell {self.spell_id}"

    @property
    def is_published(self) -> bool:
        return self.published_at is not None


class Step(models.Model):
    """One place of a version where a tool is called, once or for each item of a list.

    `params` is JSON whose strings may be expressions; `for_each` and `when` are expressions. Empty overrides leave
    the tool's own policy in force. Durations are whole seconds.
    """

    version = models.ForeignKey(SpellVersion, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    key = models.CharField(
        max_length=64,
        validators=[RegexValidator(r"^[a-z][a-z0-9_]*$", "Use a lower-case identifier, like cover_art.")],
        help_text="How expressions name the step: steps.KEY.",
    )
    tool = models.ForeignKey(Tool, on_delete=models.PROTECT, related_name="steps")
    params = models.JSONField(default=dict, blank=True)
    for_each = models.TextField(blank=True)
    when = models.TextField(blank=True)
    on_failure = models.CharField(max_length=10, choices=OnFailure, default=OnFailure.FAIL)
    max_attempts = models.PositiveSmallIntegerField(null=True, blank=True)
    run_timeout_seconds = models.PositiveIntegerField(null=True, blank=True)
    deadline_seconds = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="step_position_is_unique_per_version", fields=["version", "position"]),
            models.UniqueConstraint(name="step_key_is_unique_per_version", fields=["version", "key"]),
            # what composite foreign keys point at
            models.UniqueConstraint(name="step_is_unique_with_its_version", fields=["id", "version"]),
            models.UniqueConstraint(name="step_is_unique_with_its_tool", fields=["id", "tool"]),
            models.CheckConstraint(name="step_on_failure_is_known", condition=Q(on_failure__in=OnFailure.values)),
            models.CheckConstraint(name="step_has_at_least_one_attempt", condition=Q(max_attempts__isnull=True) | Q(max_attempts__gte=1)),
            models.CheckConstraint(
                name="step_run_timeout_is_positive", condition=Q(run_timeout_seconds__isnull=True) | Q(run_timeout_seconds__gte=1)
            ),
            models.CheckConstraint(
                name="step_deadline_is_positive", condition=Q(deadline_seconds__isnull=True) | Q(deadline_seconds__gte=1)
            ),
        ]

    def __str__(self) -> str:
        return self.key


class StepDependency(models.Model):
    """An edge: `step` reads an output of `depends_on`. Computed from the expressions when a version is published."""

    version = models.ForeignKey(SpellVersion, on_delete=models.CASCADE, related_name="dependencies")
    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="dependencies")
    depends_on = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="dependents")

    class Meta:
        verbose_name_plural = "step dependencies"
        constraints = [
            models.UniqueConstraint(name="stepdependency_is_stated_once", fields=["step", "depends_on"]),
            models.CheckConstraint(name="stepdependency_is_not_on_itself", condition=~Q(step=F("depends_on"))),
            CompositeForeignKey(
                name="stepdependency_step_belongs_to_its_version",
                fields=["step", "version"],
                to_fields=["id", "version"],
            ),
            CompositeForeignKey(
                name="stepdependency_depends_on_a_step_of_its_version",
                fields=["depends_on", "version"],
                to_fields=["id", "version"],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.step_id} depends on {self.depends_on_id}"
