"""A tool: one thing that a step can call, and the policy of its calls."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from spells.prices import validate_prices

from .provider import Provider


class Effects(models.TextChoices):
    """What a call leaves behind outside of Grimoire."""

    PURE = "pure", "pure: free, safe to run again"
    BILLED = "billed", "billed: a call may cost money"


class Recovery(models.TextChoices):
    """How a billed call whose answer was lost is accounted for."""

    NONE = "none", "none: an operator decides"
    RESEND = "resend", "resend: the provider honours our idempotency key"
    LOOKUP = "lookup", "lookup: the provider can be asked for the job"


class Tool(models.Model):
    """A row of configuration for one adapter, named by what people type in a spell.

    `adapter` is a key of the registry in `generations.tools`. `config` carries what that adapter needs (base URL,
    model, ...); secrets appear in it only as names of environment variables. Durations are whole seconds.
    """

    slug = models.CharField(
        max_length=100,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$", "Use lower-case words joined by dots, like image.paint.")],
        help_text="What a spell calls the tool, like image.paint.",
    )
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    category = models.CharField(max_length=50, blank=True, help_text="Groups tools in lists: text, image, web ...")
    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="tools", null=True, blank=True, help_text="Whose limits and outages it shares."
    )
    adapter = models.CharField(max_length=100, help_text="The code that makes the call: a key of the adapter registry.")
    config = models.JSONField(default=dict, blank=True, help_text="Settings of the adapter. Name secrets by environment variable.")
    input_schema = models.JSONField(default=dict, help_text="JSON Schema of the params.")
    output_schema = models.JSONField(default=dict, help_text="JSON Schema of the output.")
    effects = models.CharField(max_length=10, choices=Effects, default=Effects.PURE)
    recovery = models.CharField(max_length=10, choices=Recovery, default=Recovery.NONE)
    pricing = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_prices],
        help_text='Prices by unit, as decimal strings in US dollars: {"per_second": "0.0012"}.',
    )
    # The database's: it counts the changes of `pricing`, whoever makes them.
    price_table = models.PositiveIntegerField(default=1, editable=False, help_text="The number of the price table that holds now.")
    max_attempts = models.PositiveSmallIntegerField(default=3, validators=[MinValueValidator(1)])
    backoff_seconds = models.FloatField(default=1.0, help_text="First wait between attempts; it doubles with each.")
    max_backoff_seconds = models.FloatField(default=300.0, help_text="The longest wait between attempts.")
    retry_lost_jobs = models.BooleanField(
        default=False,
        help_text="Whether a job that its provider has lost is submitted again. Those of pure tools always are.",
    )
    run_timeout_seconds = models.PositiveIntegerField(default=60, help_text="How long one call may take.")
    deadline_seconds = models.PositiveIntegerField(default=3600, help_text="How long a submitted job may take in all.")
    max_in_flight = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Calls and jobs at once, over all workers. Empty: no limit."
    )
    max_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Calls started within any minute. Empty: no limit."
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="tool_lets_at_least_one_call_run", condition=Q(max_in_flight__isnull=True) | Q(max_in_flight__gte=1)
            ),
            models.CheckConstraint(
                name="tool_lets_at_least_one_call_start", condition=Q(max_per_minute__isnull=True) | Q(max_per_minute__gte=1)
            ),
            models.CheckConstraint(name="tool_effects_are_known", condition=Q(effects__in=Effects.values)),
            models.CheckConstraint(name="tool_recovery_is_known", condition=Q(recovery__in=Recovery.values)),
            models.CheckConstraint(name="tool_has_at_least_one_attempt", condition=Q(max_attempts__gte=1)),
            models.CheckConstraint(name="tool_run_timeout_is_positive", condition=Q(run_timeout_seconds__gte=1)),
            models.CheckConstraint(name="tool_deadline_is_positive", condition=Q(deadline_seconds__gte=1)),
            models.CheckConstraint(
                name="tool_backoff_grows_to_its_maximum",
                condition=Q(backoff_seconds__gte=0) & Q(max_backoff_seconds__gte=models.F("backoff_seconds")),
            ),
        ]

    def __str__(self) -> str:
        return self.slug
