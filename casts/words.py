"""Figures in words, alike in terminals and on pages."""

from decimal import Decimal

from casts.cooks.progress import CookProgress

HOUR = 3600
MINUTE = 60


def dollars(cost: Decimal) -> str:
    """Return a sum in US dollars, with as many places as it needs and at least the cents."""
    rounded = cost.quantize(Decimal("0.0001"))
    return f"${rounded:.4f}" if rounded % Decimal("0.01") else f"${rounded:.2f}"


def told_of(progress: CookProgress) -> str:
    """Return how far a cook is, how fast it goes, and what it has cost."""
    parts = [f"{progress.settled}/{progress.total} pieces ({progress.percent} %)"]
    parts += [f"{count} {word}" for count, word in ((progress.failed, "failed"), (progress.cooking, "cooking")) if count]
    if progress.per_minute is not None:
        parts.append(f"{progress.per_minute:.0f} a minute")
    if progress.seconds_left:
        parts.append(f"{duration(progress.seconds_left)} left")
    quote = "" if progress.quote_usd is None else f" of about {dollars(progress.quote_usd)}"
    return ", ".join([*parts, dollars(progress.cost_usd) + quote])


def duration(seconds: int) -> str:
    """Return so many seconds as `1:02:03`, or `2:03`."""
    hours, rest = divmod(seconds, HOUR)
    minutes, left = divmod(rest, MINUTE)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
