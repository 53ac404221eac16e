"""Conducting: casts, their wakeups, and what happened to them."""

from .alert import THE_WATCH, Alert, AlertKind, AlertMail, AlertMailOutcome, AlertWatch
from .cast import ENDED, LIVE, Cast, CastQuerySet, CastStatus
from .conductor import ConductorProcess
from .event import CastEvent, EventKind
from .fanout import FanOut
from .gate import BreakerState, Gate, GateEvent, GateEventKind
from .notification import Notification, NotificationChannel, NotificationKind
from .tally import Tally
from .waiter import Waiter
from .wakeup import Priority, Wakeup

__all__ = [
    "ENDED",
    "LIVE",
    "THE_WATCH",
    "Alert",
    "AlertKind",
    "AlertMail",
    "AlertMailOutcome",
    "AlertWatch",
    "BreakerState",
    "Cast",
    "CastEvent",
    "CastQuerySet",
    "CastStatus",
    "ConductorProcess",
    "EventKind",
    "FanOut",
    "Gate",
    "GateEvent",
    "GateEventKind",
    "Notification",
    "NotificationChannel",
    "NotificationKind",
    "Priority",
    "Tally",
    "Waiter",
    "Wakeup",
]
