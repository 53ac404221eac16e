"""The engine: start, claim, advance, settle and release casts, over sets, by anyone at any time.

It knows no tool and no HTTP. Who may write what, and in which order, is the protocol of docs/engine.md.
"""

from .advance import Advanced, advance, settle
from .claims import LEASE_SECONDS, Claim, Release, bells, claim, hand_back, is_any_due, release, renew, ring
from .giveup import give_up
from .late import receive, take_late
from .reaper import Reaped, reap
from .reports import Aborted, News, Report, Via
from .resolve import resolve
from .start import (
    IdempotencyKeyReusedError,
    InvalidInputsError,
    NotPublishedError,
    Started,
    ToolDisabledError,
    same_request,
    start,
)
from .starts import Slots
from .turns import Turn
from .verbs import TransitionRefusedError, cancel, pause, resume, retry

__all__ = [
    "LEASE_SECONDS",
    "Aborted",
    "Advanced",
    "Claim",
    "IdempotencyKeyReusedError",
    "InvalidInputsError",
    "News",
    "NotPublishedError",
    "Reaped",
    "Release",
    "Report",
    "Slots",
    "Started",
    "ToolDisabledError",
    "TransitionRefusedError",
    "Turn",
    "Via",
    "advance",
    "bells",
    "cancel",
    "claim",
    "give_up",
    "hand_back",
    "is_any_due",
    "pause",
    "reap",
    "receive",
    "release",
    "renew",
    "resolve",
    "resume",
    "retry",
    "ring",
    "same_request",
    "settle",
    "start",
    "take_late",
]
