"""The budget of a cook: whether another cast may start, while those at work have not told what they cost."""

from collections.abc import Iterable
from decimal import ROUND_UP, Decimal

from django.db.models import Avg, Sum

from casts.models import AttemptStatus, Cast, Cook

from . import quotes

# Of money, as the database keeps it.
SMALLEST = Decimal("1e-10")


class Funds:
    """What is left of a cook's budget. Without a budget nothing is asked of the database.

    Each cast at work has a share of the money set aside: what it may cost at most, so that all of them together cannot
    cost more than there is. A share is as large as what is left allows, and no smaller than what the cook's casts have cost
    so far, or else the quote, says; as long as neither is known, casts start one at a time. So the budget is exceeded by no
    more than what the calls that are at work when it is spent cost beyond what was expected of them, one call for each cast.
    """

    def __init__(self, *, cook: Cook, at_work: Iterable[Cast]) -> None:
        """Read what the cook has spent, and what its casts at work may still cost."""
        self._budget = cook.budget_usd
        self._live = 0
        self._spent, self._set_aside, self._each = Decimal(0), Decimal(0), None
        if self._budget is not None:
            self._each = _expected(cook)
            for cast in at_work:
                self._live += 1
                share = cast.max_cost_usd if cast.max_cost_usd is not None else self._each or Decimal(0)
                self._set_aside += max(share - cast.cost_usd, Decimal(0))
            self._spent = spent_by(cook)

    def admit_another(self) -> bool:
        """Tell whether another cast may start now."""
        if self._budget is None:
            return True
        if self._each is None:
            return not self._live and self._spent < self._budget
        left = self._left()
        return left >= self._each and (left > 0 or not self._each)

    def share(self, *, among: int) -> Decimal | None:
        """Return what the next cast may cost when up to `among` are to start, it among them; None without a budget."""
        if self._budget is None:
            return None
        left = max(self._left(), Decimal(0))
        if self._each is None:
            return left
        if self._each:
            among = min(among, int(left / self._each))
        return (left / max(among, 1)).quantize(SMALLEST, rounding=ROUND_UP)

    def set_aside(self, share: Decimal | None) -> None:
        """Count one more cast at work, which may cost so much."""
        self._live += 1
        self._set_aside += share or Decimal(0)

    def told(self) -> str:
        """Return why nothing starts, in words."""
        assert self._budget is not None
        spent = f"The cook has spent {_plain(self._spent)} of its {_plain(self._budget)} US dollars."
        return spent if self._each is None else f"{spent} A piece costs about {_plain(self._each)}."

    def _left(self) -> Decimal:
        assert self._budget is not None
        return self._budget - self._spent - self._set_aside


def spent_by(cook: Cook) -> Decimal:
    """Return what all casts of a cook have cost so far, in US dollars, whatever became of them."""
    total: Decimal = cook.piece_attempts.aggregate(sum=Sum("cast__cost_usd", default=Decimal(0)))["sum"]
    return total


def _expected(cook: Cook) -> Decimal | None:
    made = cook.piece_attempts.filter(status__in=[AttemptStatus.MADE, AttemptStatus.SUPERSEDED])
    mean: Decimal | None = made.aggregate(mean=Avg("cast__cost_usd"))["mean"]
    return quotes.of_version(cook.version).each_usd if mean is None else mean


def _plain(usd: Decimal) -> str:
    return f"{usd.quantize(Decimal('1e-10')).normalize():f}"
