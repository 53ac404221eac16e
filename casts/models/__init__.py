"""Conducting: casts, their wakeups, and what happened to them."""

from .alert import THE_WATCH, Alert, AlertKind, AlertMail, AlertMailOutcome, AlertWatch
from .cast import ENDED, LIVE, Cast, CastQuerySet, CastStatus, Priority
from .conductor import ConductorProcess
from .delivery import Delivery
from .event import CastEvent, EventKind
from .fanout import FanOut
from .gate import BreakerState, Gate, GateEvent, GateEventKind
from .notification import (
    CAST_KINDS,
    EVENT_KINDS,
    GENERATION_KINDS,
    TERMINAL_KINDS,
    Notification,
    NotificationChannel,
    NotificationKind,
    NotificationStatus,
)
from .shift import THE_REQUEST, ShiftRequest
from .subscription import Subscription, SubscriptionChannel
from .tally import Tally
from .waiter import Waiter
from .wakeup import Wakeup

__all__ = [
    "CAST_KINDS",
    "ENDED",
    "EVENT_KINDS",
    "GENERATION_KINDS",
    "LIVE",
    "TERMINAL_KINDS",
    "THE_REQUEST",
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
    "Delivery",
    "EventKind",
    "FanOut",
    "Gate",
    "GateEvent",
    "GateEventKind",
    "Notification",
    "NotificationChannel",
    "NotificationKind",
    "NotificationStatus",
    "Priority",
    "ShiftRequest",
    "Subscription",
    "SubscriptionChannel",
    "Tally",
    "Waiter",
    "Wakeup",
]
