"""When a notification is sent again: ten times over three days, as Standard Webhooks recommends for senders."""

import random
from datetime import timedelta

MINUTE, HOUR = 60.0, 3600.0
# In seconds, before each try after the first.
WAITS = (5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
MAX_TRIES = len(WAITS) + 1
JITTER = 0.2
# What a receiver may ask us to wait.
MAX_RETRY_AFTER_SECONDS = 24 * HOUR

# A webhook that failed for so long without one success is disabled.
DISABLE_AFTER = timedelta(days=5)
# How long a receiver that does not answer is left alone: a quarter of the time that it has been away.
REST_SHARE = 1 / 4
SHORTEST_REST_SECONDS, LONGEST_REST_SECONDS = 30.0, HOUR


def wait_before_try(*, tries: int, retry_after: float | None) -> float:
    """Return the seconds before the next try, up to a fifth longer: after `tries` of them, or what the receiver asked for."""
    wait = max(WAITS[min(tries, len(WAITS)) - 1], min(retry_after or 0.0, MAX_RETRY_AFTER_SECONDS))
    return spread(wait)


def rest(*, failing_seconds: float) -> float:
    """Return for how many seconds nothing is sent to a receiver that has not answered for so long."""
    return min(max(failing_seconds * REST_SHARE, SHORTEST_REST_SECONDS), LONGEST_REST_SECONDS)


def spread(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.0 + JITTER)  # noqa: S311 - spreads load, guards nothing
