"""Conducting: casts, their wakeups, and what happened to them."""

from .cast import ENDED, LIVE, Cast, CastQuerySet, CastStatus
from .conductor import ConductorProcess
from .event import CastEvent, EventKind
from .fanout import FanOut
from .notification import Notification, NotificationChannel, NotificationKind
from .tally import Tally
from .wakeup import Priority, Wakeup

__all__ = [
    "ENDED",
    "LIVE",
    "Cast",
    "CastEvent",
    "CastQuerySet",
    "CastStatus",
    "ConductorProcess",
    "EventKind",
    "FanOut",
    "Notification",
    "NotificationChannel",
    "NotificationKind",
    "Priority",
    "Tally",
    "Wakeup",
]
