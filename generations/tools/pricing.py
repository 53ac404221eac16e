"""What calls cost, by the prices of their tool. Each change of these makes the next numbered table (`spells.price_triggers`)."""

from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from .contract import MAX_USD, Cost, Request, ToolError


def price(pricing: Mapping[str, Any], unit: str, *, default: Decimal | None = None) -> Decimal:
    """Return the price of a unit in US dollars.

    Raises:
        ToolError: permanent, `bad_pricing`: it is no price. KeyError: there is none, and no default.
    """
    if unit not in pricing:
        if default is None:
            raise KeyError(unit)
        return default
    try:
        usd = Decimal(str(pricing[unit]))
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or not 0 <= usd <= MAX_USD:
        raise ToolError(
            f"The tool's price of {unit} is {pricing[unit]!r}, which is no amount in US dollars.", code="bad_pricing", permanent=True
        )
    return usd


MILLION = Decimal(1_000_000)
MAX_QUANTITY = Decimal(10) ** 12
MAX_DIGITS = 40


def counted(told: Any) -> Decimal | None:
    """Return a quantity as a provider told it; None when that is no number that can be charged."""
    is_number = isinstance(told, float) or (isinstance(told, int) and not isinstance(told, bool) and told <= MAX_QUANTITY)
    if not is_number and not (isinstance(told, str) and len(told) <= MAX_DIGITS):
        return None
    try:
        quantity = Decimal(str(told))
    except InvalidOperation:
        return None
    return quantity if quantity.is_finite() and 0 <= quantity <= MAX_QUANTITY else None


def charge(request: Request, quantities: Mapping[str, Decimal | int | float | None]) -> Cost | None:
    """Return what a call cost, by the quantities that the provider counted and the tool's prices of them.

    `quantities` are keyed as prices are: `per_second`, `per_image`, `input_per_million` ...; one that nobody counted is
    None. The cost is None, which means unknown, when the tool has none of these prices, or has one of what was not
    counted: what else was counted would be told as the whole. The basis is `{"unit", "quantity", "price", "table"}`; of several units,
    `{"lines": [{"unit", "quantity", "price"}], "table"}`.

    Raises:
        ToolError: permanent, `bad_pricing`.
    """
    lines, usd = [], Decimal(0)
    for unit, counted in quantities.items():
        if unit in request.pricing:
            if counted is None:
                return None
            each, quantity = price(request.pricing, unit), Decimal(str(counted))
            usd += quantity * each / (MILLION if unit.endswith("_per_million") else 1)
            lines.append({"unit": unit.removeprefix("per_"), "quantity": plain(quantity), "price": plain(each)})
    if not lines:
        return None
    told = lines[0] if len(lines) == 1 else {"lines": lines}
    return Cost(usd=usd, basis={**told, "table": request.price_table})


def token_cost(request: Request, *, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Cost | None:
    """Return what the tokens of a language model cost. Those that were cached cost as much as others unless they have a price.

    `cached_tokens` are among the `prompt_tokens`. None without a price of input.

    Raises:
        ToolError: permanent, `bad_pricing`.
    """
    if "input_per_million" not in request.pricing:
        return None
    cached = cached_tokens if "cached_input_per_million" in request.pricing else 0
    quantities = {"input_per_million": prompt_tokens - cached, "output_per_million": completion_tokens}
    return charge(request, {**quantities, "cached_input_per_million": cached} if cached else quantities)


def plain(number: Decimal) -> str:
    """Return a number in plain digits, without an exponent and without trailing zeros."""
    return format(number.normalize(Context(prec=40)), "f")
