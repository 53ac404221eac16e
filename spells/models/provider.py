"""A provider: somebody else's service that several tools call, and how Grimoire spares it."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q


class Provider(models.Model):
    """Limits over all tools of one service, and when to leave it alone. Empty limits are none. Durations are seconds.

    After `failures_to_open` failures in a row that are the provider's own fault, no call of it starts for
    `first_wait_seconds`; then one is tried. Each further failure doubles the wait, up to `max_wait_seconds`.
    """

    slug = models.CharField(
        max_length=50,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9]*([._-][a-z0-9]+)*$", "Use lower-case words joined by hyphens, like replicate.")],
        help_text="One word for the service, like replicate.",
    )
    name = models.CharField(max_length=200)
    max_in_flight = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Calls and jobs at once, over all its tools. Empty: no limit."
    )
    max_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Calls started within any minute. Empty: no limit."
    )
    failures_to_open = models.PositiveSmallIntegerField(
        default=5, validators=[MinValueValidator(1)], help_text="Outages in a row after which it is left alone."
    )
    first_wait_seconds = models.PositiveIntegerField(
        default=30,
        validators=[MinValueValidator(1)],
        help_text="How long it is left alone at first; the wait doubles with each failed try.",
    )
    max_wait_seconds = models.PositiveIntegerField(default=600, help_text="The longest wait before the next try.")
    enabled = models.BooleanField(default=True, help_text="Its tools can be called.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="provider_lets_at_least_one_call_run", condition=Q(max_in_flight__isnull=True) | Q(max_in_flight__gte=1)
            ),
            models.CheckConstraint(
                name="provider_lets_at_least_one_call_start", condition=Q(max_per_minute__isnull=True) | Q(max_per_minute__gte=1)
            ),
            models.CheckConstraint(name="provider_opens_after_at_least_one_failure", condition=Q(failures_to_open__gte=1)),
            models.CheckConstraint(
                name="provider_wait_grows_to_its_maximum",
                condition=Q(first_wait_seconds__gte=1) & Q(max_wait_seconds__gte=F("first_wait_seconds")),
            ),
        ]

    def __str__(self) -> str:
        return self.slug
