"""Receivers, as one process knows them: how much it is sending to each, and how soon they answer."""

import threading
from collections import Counter
from collections.abc import Hashable

from casts.models import Notification, NotificationChannel

from .messages import Message
from .schedule import spread

# Messages to one receiver at once: to one that answers in a moment, to others, and to one that fails.
MOST_TO_QUICK, MOST_AT_ONCE, MOST_TO_FAILING = 50, 10, 1
QUICK_SECONDS = 0.5
# How soon a message that found its receiver busy is due again: when one before it should be through, within these bounds.
SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 10.0
# More receivers than these are forgotten, and got to know again.
MOST_KNOWN = 10_000


def receiver_of(message: Message | Notification) -> Hashable:
    """Return who gets a message: a webhook by its id; all mails go to one server."""
    return message.subscription_id if message.channel == NotificationChannel.WEBHOOK else message.channel


class Receivers:
    """Who is sent what just now. One that is slow has only so many places, so that the others have theirs.

    Messages begin on the thread of the database and end on the loop.
    """

    def __init__(self) -> None:
        """Know nobody yet."""
        self._lock = threading.Lock()
        self._at_work: Counter[Hashable] = Counter()
        self._seconds: dict[Hashable, float] = {}

    def has_room(self, receiver: Hashable, *, is_failing: bool) -> bool:
        is_quick = self._seconds.get(receiver, QUICK_SECONDS) < QUICK_SECONDS
        most = MOST_TO_FAILING if is_failing else MOST_TO_QUICK if is_quick else MOST_AT_ONCE
        return self._at_work[receiver] < most

    def wait(self, receiver: Hashable) -> float:
        """Return after how many seconds to look for room again."""
        seconds = self._seconds.get(receiver, SHORTEST_WAIT_SECONDS)
        return spread(min(max(seconds, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS))

    def begin(self, receiver: Hashable) -> None:
        with self._lock:
            self._at_work[receiver] += 1

    def end(self, receiver: Hashable, *, seconds: float | None = None) -> None:
        """Note that a message is through, and how long that took if it was sent."""
        with self._lock:
            self._at_work[receiver] -= 1
            if not self._at_work[receiver]:
                del self._at_work[receiver]
            if seconds is not None:
                if len(self._seconds) >= MOST_KNOWN:
                    self._seconds.clear()
                self._seconds[receiver] = seconds
