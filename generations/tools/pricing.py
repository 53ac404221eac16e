"""Prices of a tool, as its row has them."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from .contract import MAX_USD, ToolError


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
