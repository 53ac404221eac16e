"""What came of a cook: rarities as asked and as made, what reviews said, what an accepted piece cost, and how long one took."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from statistics import mean, median

from django.db.models import Count, QuerySet

from casts.models import AttemptStatus, Cook, Decision, PieceAttempt

from .funds import spent_by
from .rarity import Rarity, rarity_table
from .traits import TraitTree, read_tree

# Decided in favour of a piece: that there were too many like it is nothing against it.
_FOR = (Decision.ACCEPTED, Decision.CULLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitFigures:
    """One value of a category. `made` is among the pieces as they stand, `accepted` among those that are accepted.

    `decided` and `in_favour` count decisions on all attempts, also on those that another one has taken the place of.
    """

    made: Rarity
    accepted: Rarity
    decided: int
    in_favour: int

    @property
    def acceptance(self) -> Fraction | None:
        """Return the share of decisions in favour; None while there is none."""
        return Fraction(self.in_favour, self.decided) if self.decided else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of a cook. Costs are in US dollars and of all its casts, seconds of those that made a piece as it stands.

    `reviews` counts the pieces that are made by what was decided on them, under an empty word those that are open.
    """

    pieces: Mapping[str, int]
    reviews: Mapping[str, int]
    attempts: int
    cost_usd: Decimal
    seconds: Sequence[float]
    traits: Sequence[TraitFigures]

    @property
    def made(self) -> int:
        return sum(self.reviews.values())

    @property
    def accepted(self) -> int:
        return self.reviews.get(Decision.ACCEPTED, 0)

    def cost_per(self, pieces: int) -> Decimal | None:
        """Return what each of so many pieces has cost: all that was spent is shared between them. None for no pieces."""
        return (self.cost_usd / pieces).quantize(Decimal("1e-10")) if pieces else None

    @property
    def mean_seconds(self) -> float | None:
        return mean(self.seconds) if self.seconds else None

    @property
    def median_seconds(self) -> float | None:
        return median(self.seconds) if self.seconds else None


@dataclass(slots=True)
class _Counts:
    """What is counted over the attempts of a cook."""

    made: list[Mapping[str, str]] = field(default_factory=list)
    accepted: list[Mapping[str, str]] = field(default_factory=list)
    decided: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_favour: Counter[tuple[str, str]] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    attempts: int = 0


def figures_of(cook: Cook) -> Figures:
    """Count what came of a cook so far. Needs its collection. Three queries."""
    document = cook.collection.trait_tree
    counts = _counted(cook.piece_attempts.all())
    return Figures(
        pieces=dict(cook.pieces.order_by().values_list("status").annotate(Count("pk"))),
        reviews=dict(counts.reviews),
        attempts=counts.attempts,
        cost_usd=spent_by(cook),
        seconds=counts.seconds,
        traits=[] if document is None else _traits(read_tree(document), counts),
    )


def _counted(attempts: QuerySet[PieceAttempt]) -> _Counts:
    counts = _Counts()
    columns = ("status", "traits", "review__decision", "cast__started_at", "cast__finished_at")
    for status, traits, decision, started_at, finished_at in attempts.values_list(*columns).iterator():
        counts.attempts += 1
        if decision:
            counts.decided.update(traits.items())
            counts.in_favour.update(traits.items() if decision in _FOR else ())
        if status == AttemptStatus.MADE:
            counts.made.append(traits)
            counts.reviews[decision or ""] += 1
            if decision == Decision.ACCEPTED:
                counts.accepted.append(traits)
            if started_at is not None and finished_at is not None:
                counts.seconds.append((finished_at - started_at).total_seconds())
    return counts


def _traits(tree: TraitTree, counts: _Counts) -> list[TraitFigures]:
    accepted = {(row.category, row.value): row for row in rarity_table(tree, counts.accepted)}
    among: dict[str, int] = defaultdict(int)
    for traits in counts.accepted:
        for name in traits:
            among[name] += 1
    rows = []
    for made in rarity_table(tree, counts.made):
        pair = made.category, made.value
        nothing = Rarity(category=made.category, value=made.value, asked=made.asked, drawn=0, among=among[made.category])
        rows.append(
            TraitFigures(
                made=made,
                accepted=accepted.get(pair, nothing),
                decided=counts.decided[pair],
                in_favour=counts.in_favour[pair],
            )
        )
    return rows
