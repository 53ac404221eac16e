"""Prices of tools: what they may look like."""

import re
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError

MAX_UNITS = 100

_UNIT = re.compile(r"[a-z][a-z0-9_]{0,49}(:[A-Za-z0-9_.-]{1,30}){0,3}")
# Up to a billion dollars, in more places than any provider asks. The database holds to it too: see `price_triggers`.
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?")


def price_problems(prices: Any) -> Iterator[str]:
    """Yield what is wrong with prices, which are an object of decimal strings in US dollars by unit, like `{"per_image": "0.04"}`."""
    if not isinstance(prices, dict):
        yield 'Prices are an object by unit, like {"per_call": "0.002"}.'
        return
    if len(prices) > MAX_UNITS:
        yield f"There are {len(prices)} prices; at most {MAX_UNITS} fit."
        return
    for unit, amount in prices.items():
        if not _UNIT.fullmatch(unit):
            yield f"{str(unit)[:50]!r} is no unit. Units are words like per_second, or per_image:1024x1024 for one kind of them."
        elif not isinstance(amount, str):
            yield f'pricing.{unit}: write the amount as text, like "0.002", so that it stays exact.'
        elif not _AMOUNT.fullmatch(amount):
            yield f'pricing.{unit}: {amount[:50]!r} is no amount in US dollars. Write plain digits, like "0.002", not less than 0.'


def validate_prices(prices: Any) -> None:
    """Refuse what are no prices. Raises ValidationError."""
    problems = list(price_problems(prices))
    if problems:
        raise ValidationError(problems)
