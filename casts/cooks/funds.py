"""The budget of a cook: whether another cast may start, while those at work have not told what they cost."""

from decimal import Decimal

from django.db.models import Avg, Sum

from casts.models import AttemptStatus, Cook

from . import quotes


class Funds:
    """What is left of a cook's budget. Without a budget nothing is asked of the database.

    Each cast at work is reckoned with what the cook's casts have cost so far, or else with the quote. As long as neither
    is known, casts start one at a time. No cast may cost more than what is left when it starts, so that the budget is
    exceeded by no more than what those at work cost beyond what was expected of them.
    """

    def __init__(self, *, cook: Cook, live: int) -> None:
        """Read what the cook has spent. `live` casts are at work."""
        self._budget = cook.budget_usd
        self._live = live
        self._spent, self._each = Decimal(0), None
        if self._budget is not None:
            self._spent = spent_by(cook)
            self._each = _expected(cook)

    def admit_another(self) -> bool:
        """Tell whether another cast may start now."""
        if self._budget is None:
            return True
        if self._each is None:
            return not self._live and self._spent < self._budget
        left = self._left()
        return left >= self._each and (left > 0 or not self._each)

    def reserve_one(self) -> None:
        """Count one more cast at work."""
        self._live += 1

    def left(self) -> Decimal | None:
        """Return what the next cast may cost; None without a budget."""
        return None if self._budget is None else max(self._left(), Decimal(0))

    def told(self) -> str:
        """Return why nothing starts, in words."""
        assert self._budget is not None
        spent = f"The cook has spent {_plain(self._spent)} of its {_plain(self._budget)} US dollars."
        return spent if self._each is None else f"{spent} A piece costs about {_plain(self._each)}."

    def _left(self) -> Decimal:
        assert self._budget is not None
        return self._budget - self._spent - self._live * (self._each or Decimal(0))


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
