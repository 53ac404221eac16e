"""Conducting: casts, their wakeups, and what happened to them."""

from .alert import THE_WATCH, Alert, AlertKind, AlertMail, AlertMailOutcome, AlertWatch
from .cast import ENDED, LIVE, Cast, CastQuerySet, CastStatus, Priority
from .collection import Collection, CollectionArtifact, CollectionReviewer
from .conductor import ConductorProcess
from .cook import ENDED_COOKS, TENDED_COOKS, Cook, CookStatus, OnPieceFailure
from .delivery import Delivery
from .event import CastEvent, EventKind
from .export import Export, ExportItem, ExportStatus
from .fanout import FanOut
from .gate import BreakerState, Gate, GateEvent, GateEventKind
from .notification import (
    CAST_EVENT_KINDS,
    CAST_KINDS,
    COOK_KINDS,
    EVENT_KINDS,
    GENERATION_KINDS,
    TERMINAL_KINDS,
    Notification,
    NotificationChannel,
    NotificationKind,
    NotificationStatus,
)
from .piece import SETTLED_PIECES, STANDING_ATTEMPTS, AttemptStatus, Piece, PieceAttempt, PieceStatus
from .review import Decision, PieceReview, ReviewAct, ReviewEvent
from .shift import THE_REQUEST, ShiftRequest
from .subscription import Subscription, SubscriptionChannel
from .tally import Tally
from .waiter import Waiter
from .wakeup import Wakeup

__all__ = [
    "CAST_EVENT_KINDS",
    "CAST_KINDS",
    "COOK_KINDS",
    "ENDED",
    "ENDED_COOKS",
    "EVENT_KINDS",
    "GENERATION_KINDS",
    "LIVE",
    "SETTLED_PIECES",
    "STANDING_ATTEMPTS",
    "TENDED_COOKS",
    "TERMINAL_KINDS",
    "THE_REQUEST",
    "THE_WATCH",
    "Alert",
    "AlertKind",
    "AlertMail",
    "AlertMailOutcome",
    "AlertWatch",
    "AttemptStatus",
    "BreakerState",
    "Cast",
    "CastEvent",
    "CastQuerySet",
    "CastStatus",
    "Collection",
    "CollectionArtifact",
    "CollectionReviewer",
    "ConductorProcess",
    "Cook",
    "CookStatus",
    "Decision",
    "Delivery",
    "EventKind",
    "Export",
    "ExportItem",
    "ExportStatus",
    "FanOut",
    "Gate",
    "GateEvent",
    "GateEventKind",
    "Notification",
    "NotificationChannel",
    "NotificationKind",
    "NotificationStatus",
    "OnPieceFailure",
    "Piece",
    "PieceAttempt",
    "PieceReview",
    "PieceStatus",
    "Priority",
    "ReviewAct",
    "ReviewEvent",
    "ShiftRequest",
    "Subscription",
    "SubscriptionChannel",
    "Tally",
    "Waiter",
    "Wakeup",
]
