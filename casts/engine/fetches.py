"""When the files of a result are tried for again that could not be fetched: soon at first, then ever more rarely, and not for ever."""

import random
from datetime import datetime, timedelta

from .state import Attempt, CastState

FIRST_WAIT_SECONDS = 5.0
WAIT_SHARE_OF_AGE = 1 / 4
LONGEST_WAIT_SECONDS = 300.0
# Most providers have thrown away by then what they made.
FETCH_FOR = timedelta(hours=1)
# How long before the end the last try begins.
LAST_TRY = timedelta(seconds=20)


def next_try(*, state: CastState, attempt: Attempt, asked: float | None, now: datetime) -> datetime | None:
    """Return when to try again; None when there is no more time before the end.

    The wait is what the server `asked` for, in seconds, or else grows with the time since the first try. The end is an
    hour after that, or the deadline of the call or of its cast, if that is sooner.
    """
    since = attempt.unfetched_at or now
    ends = [since + FETCH_FOR, state.cast.deadline_at, *([attempt.deadline_at] if attempt.deadline_at else [])]
    last = min(ends) - LAST_TRY
    if last <= now:
        return None
    grown = max(FIRST_WAIT_SECONDS, (now - since).total_seconds() * WAIT_SHARE_OF_AGE)
    wait = min(LONGEST_WAIT_SECONDS, grown if asked is None else max(asked, FIRST_WAIT_SECONDS))
    spread = random.uniform(1.0, 1.1)  # noqa: S311 - spreads load, guards nothing
    return min(now + timedelta(seconds=wait * spread), last)
