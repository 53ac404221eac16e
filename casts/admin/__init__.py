"""Casts for operators: lists, the timeline of one cast, and the verbs."""

from .cast import CastAdmin
from .records import CastEventAdmin, ConductorProcessAdmin, NotificationAdmin, WakeupAdmin

__all__ = ["CastAdmin", "CastEventAdmin", "ConductorProcessAdmin", "NotificationAdmin", "WakeupAdmin"]
