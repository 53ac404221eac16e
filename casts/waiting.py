"""Waiting for the end of a cast, for clients that want the result in the same answer."""

import threading
import time
from uuid import UUID

from django.db import connection

from casts.models import LIVE, Cast

# Who waits holds a thread. Beyond so many in one process the next is answered at once: the wish is one, not a right.
MAX_WAITING = 64
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0
PAUSE_GROWTH = 1.5

_seats = threading.BoundedSemaphore(MAX_WAITING)


def wait_for_end(*, cast_id: UUID, seconds: float) -> bool:
    """Return when a cast has ended, or after so many seconds. Returns False, at once, when too many wait already.

    Asks with growing pauses, outside of any transaction. A pooled connection is lent only while it asks.
    """
    if not _seats.acquire(blocking=False):
        return False
    try:
        end, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
        while Cast.objects.filter(pk=cast_id, status__in=LIVE).exists():
            left = end - time.monotonic()
            if left <= 0:
                break
            lend_connection()
            time.sleep(min(pause, left))
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)
    finally:
        _seats.release()
    return True


def lend_connection() -> None:
    """Give the connection back to its pool, if there is one. Without a pool it stays: connecting costs more than it holds."""
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()
