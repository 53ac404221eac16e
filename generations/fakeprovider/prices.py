"""What the fake provider bills: a small table of prices in US dollars. Give a tool the same, and the sums agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# By dialect, in the units of a tool's pricing.
PRICES: Mapping[str, Mapping[str, str]] = {
    "replicate": {"per_second": "0.00115"},
    "fal": {"per_second": "0.0005"},
    "comfydeploy": {"per_second": "0.0012"},
    "runpod": {"per_second": "0.00031"},
    "lumen": {"per_second": "0.0008"},
    "openai": {"input_per_million": "0.15", "cached_input_per_million": "0.075", "output_per_million": "0.6"},
    "openai.images": {"per_image": "0.04"},
}
MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """So much of a unit."""

    unit: str
    quantity: Decimal
    price: Decimal

    @property
    def usd(self) -> Decimal:
        return self.quantity * self.price / (MILLION if self.unit.endswith("_per_million") else 1)

    def told(self) -> dict[str, Any]:
        return {"unit": self.unit, "quantity": format(self.quantity, "f"), "price": format(self.price, "f")}


def lines(table: str, quantities: Mapping[str, Decimal | int]) -> list[Line]:
    """Return what is billed for quantities by unit; nothing for what was not used."""
    return [
        Line(unit=unit, quantity=Decimal(quantity), price=Decimal(PRICES[table][unit])) for unit, quantity in quantities.items() if quantity
    ]
