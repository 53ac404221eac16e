"""Budgets: which call of a cast may start, when others of it are at work and what they cost is not known yet."""

from collections.abc import Mapping
from decimal import Decimal

from django.db.models import Avg

from generations.models import BLOCKING, Generation, GenerationStatus
from generations.tools.contract import ToolError
from spells.models import Effects, Tool

from .turns import Turn

# Of how many of a tool's last calls the mean is taken.
SAMPLE = 20


class Budgets:
    """What calls of tools are expected to cost, read at most once for each tool and set."""

    def __init__(self) -> None:
        """Know nothing yet: most casts have no budget."""
        self._expected: dict[int, Decimal | None] = {}

    def admits(self, *, turn: Turn, tool: Tool) -> bool:
        """Tell whether a call may start now. False: it must wait until those at work have told what they cost.

        Each billed call at work is reckoned with what calls of its tool have cost of late. As long as that is not known,
        such calls are made one at a time. So the budget is exceeded by no more than what one call costs beyond its mean.

        Raises:
            ToolError: permanent, `budget_spent`: the rest of the budget is less than what the call is expected to cost.
        """
        budget = turn.state.cast.max_cost_usd
        if budget is None or tool.effects != Effects.BILLED:
            return True
        expected, spent = self._expected_of(tool), turn.cost_usd
        if spent >= budget or spent + (expected or 0) > budget:
            raise _spent(turn, tool, expected)
        at_work = _at_work(turn)
        if not at_work:
            return True
        reserved = [self._expected_of(each) for each in at_work]
        if expected is None or None in reserved:
            return False
        return spent + expected + sum(each for each in reserved if each is not None) <= budget

    def _expected_of(self, tool: Tool) -> Decimal | None:
        if tool.pk not in self._expected:
            self._expected[tool.pk] = expected_cost(tool)
        return self._expected[tool.pk]


def _at_work(turn: Turn) -> list[Tool]:
    """Return the tool of each billed call of the cast that may still cost money, those of unknown fate among them."""
    open_attempts = (attempt for attempt in turn.state.standing() if attempt.status in BLOCKING and attempt.booked_at is None)
    tools = (turn.state.tool_of(attempt) for attempt in open_attempts)
    return [tool for tool in tools if tool.effects == Effects.BILLED]


def expected_cost(tool: Tool) -> Decimal | None:
    """Return what a call of a tool is expected to cost, in US dollars, by its last ones; None when none has told its cost yet."""
    return Decimal(0) if _is_free(tool.pricing) else _mean_cost(tool)


def _is_free(pricing: Mapping[str, str]) -> bool:
    return bool(pricing) and all(Decimal(price) == 0 for price in pricing.values())


def _mean_cost(tool: Tool) -> Decimal | None:
    """Return the mean cost of a tool's last calls; None when none has told its cost yet."""
    priced = Generation.objects.filter(tool=tool, status=GenerationStatus.SUCCEEDED, cost_usd__gt=0)
    mean: Decimal | None = Generation.objects.filter(pk__in=priced.order_by("-pk").values("pk")[:SAMPLE]).aggregate(mean=Avg("cost_usd"))[
        "mean"
    ]
    return mean


def _spent(turn: Turn, tool: Tool, expected: Decimal | None) -> ToolError:
    budget = turn.state.cast.max_cost_usd
    assert budget is not None
    told = f"The cast has spent {_plain(turn.cost_usd)} of its {_plain(budget)} US dollars."
    if turn.cost_usd < budget and expected is not None:
        told += f" A call of {tool.slug} costs about {_plain(expected)}."
    return ToolError(told, code="budget_spent", permanent=True)


def _plain(usd: Decimal) -> str:
    return f"{usd.quantize(Decimal('1e-10')).normalize():f}"
