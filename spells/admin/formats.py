"""Durations, moments, money and sizes as people read them."""

from datetime import datetime
from decimal import Decimal

from django.utils.html import format_html
from django.utils.safestring import SafeString

NOTHING = "\N{EN DASH}"

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: `0.32 s`, `2 min 5 s`, `4 d 3 h`."""
    if seconds is None:
        return NOTHING
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 10:  # noqa: PLR2004 - two digits are enough to compare by
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    for unit, name, next_unit, next_name in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s")):
        if seconds >= unit:
            whole, rest = divmod(int(seconds), unit)
            return f"{whole} {name} {rest // next_unit} {next_name}" if rest // next_unit else f"{whole} {name}"
    raise AssertionError("Sixty seconds are a minute.")


def rough(seconds: float) -> str:
    """Return a duration in its largest unit, for columns that are read from top to bottom: `3 min`."""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def ago(moment: datetime, *, now: datetime) -> str:
    """Return how long ago a moment is, or how far ahead: `5 min 2 s ago`, `in 12.0 s`."""
    seconds = (now - moment).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def moment(at: datetime | None) -> SafeString | str:
    """Return a moment to the second, in UTC, as a `<time>` that carries it in full."""
    if at is None:
        return NOTHING
    return format_html('<time datetime="{0}" title="{0}">{1}</time>', at.isoformat(), at.strftime("%d %b %Y %H:%M:%S"))


def money(usd: Decimal | None) -> str:
    """Return US dollars with at least two decimals, and no zeros after them."""
    if usd is None:
        return NOTHING
    digits = f"{usd:.10f}".rstrip("0")
    whole, _, cents = digits.partition(".")
    return f"${whole}.{cents:0<2}"


def size(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:  # noqa: PLR2004 - decimal units
            return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
