"""The engine: start, claim, advance, settle and release casts, over sets, by anyone at any time.

It knows no tool and no HTTP. Who may write what, and in which order, is the protocol of docs/engine.md.
"""

from .advance import Advanced, advance, settle, settle_in_time
from .breakers import close_breaker, learn_from_asking, open_breaker
from .claims import (
    LEASE_SECONDS,
    MAX_LOST_CLAIMS,
    Claim,
    Due,
    Release,
    bells,
    claim,
    hand_back,
    is_any_due,
    latest_claims,
    look,
    release,
    renew,
    ring,
)
from .giveup import give_up
from .late import Received, receive, receive_all, take_late
from .queues import ring as ring_gates
from .queues import tend as tend_gates
from .reaper import Reaped, reap
from .remembering import Known
from .reported import Reported, keep_reported
from .reports import Aborted, Asked, Hint, News, Report, Unasked, Via
from .resolve import resolve
from .skip import InvalidOutputError, NotSkippableError, skip
from .start import (
    InvalidInputsError,
    NotPublishedError,
    Started,
    ToolDisabledError,
    check_castable,
    complete_inputs,
    disabled_tool,
    disabled_tool_of,
    refuse_uncastable,
    start,
)
from .starts import Slots
from .state import CastState
from .turns import Turn
from .verbs import TransitionRefusedError, cancel, pause, resume, retry
from .verdicts import shown_progress

__all__ = [
    "LEASE_SECONDS",
    "MAX_LOST_CLAIMS",
    "Aborted",
    "Advanced",
    "Asked",
    "CastState",
    "Claim",
    "Due",
    "Hint",
    "InvalidInputsError",
    "InvalidOutputError",
    "Known",
    "News",
    "NotPublishedError",
    "NotSkippableError",
    "Reaped",
    "Received",
    "Release",
    "Report",
    "Reported",
    "Slots",
    "Started",
    "ToolDisabledError",
    "TransitionRefusedError",
    "Turn",
    "Unasked",
    "Via",
    "advance",
    "bells",
    "cancel",
    "check_castable",
    "claim",
    "close_breaker",
    "complete_inputs",
    "disabled_tool",
    "disabled_tool_of",
    "give_up",
    "hand_back",
    "is_any_due",
    "keep_reported",
    "latest_claims",
    "learn_from_asking",
    "look",
    "open_breaker",
    "pause",
    "reap",
    "receive",
    "receive_all",
    "refuse_uncastable",
    "release",
    "renew",
    "resolve",
    "resume",
    "retry",
    "ring",
    "ring_gates",
    "settle",
    "settle_in_time",
    "shown_progress",
    "skip",
    "start",
    "take_late",
    "tend_gates",
]
