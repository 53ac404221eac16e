"""What pieces are expected to cost, before anything is spent."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Avg, QuerySet

from casts.engine.budgets import expected_cost
from casts.models import Cast, CastStatus
from spells.models import Effects, SpellVersion, Step

# Of how many of the last casts of a version the mean is taken.
SAMPLE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one piece is expected to cost, in US dollars, and by what that is known.

    `each_usd` is None when it is not: calls of the `unknown` tools have told no cost yet. A step that is made once for
    each of several items counts once, unless casts of the version have told better.
    """

    each_usd: Decimal | None
    basis: str
    unknown: tuple[str, ...] = ()

    def total(self, *, pieces: int) -> Decimal | None:
        """Return the same for so many pieces."""
        return None if self.each_usd is None else self.each_usd * pieces


def of_version(version: SpellVersion) -> Quote:
    """Return the quote of one cast: by what the last casts of the version cost, else by what calls of its tools do."""
    last = Cast.objects.filter(version=version, status=CastStatus.SUCCEEDED).order_by("-pk")
    mean = Cast.objects.filter(pk__in=last.values("pk")[:SAMPLE]).aggregate(mean=Avg("cost_usd"))["mean"]
    if mean is not None:
        return Quote(each_usd=_rounded(mean), basis="casts")
    costs = [(step.tool.slug, Decimal(0) if step.tool.effects != Effects.BILLED else expected_cost(step.tool)) for step in _steps(version)]
    unknown = tuple(sorted({slug for slug, cost in costs if cost is None}))
    if unknown:
        return Quote(each_usd=None, basis="unknown", unknown=unknown)
    return Quote(each_usd=_rounded(sum((cost for _, cost in costs if cost is not None), Decimal(0))), basis="tools")


def _steps(version: SpellVersion) -> QuerySet[Step]:
    return version.steps.select_related("tool").order_by("position")


def _rounded(usd: Decimal) -> Decimal:
    return Decimal(usd).quantize(Decimal("1e-10"))
