"""Casts for operators: lists, the timeline of one cast, and the verbs."""

from .cast import CastAdmin
from .gate import GateAdmin, ProviderAdmin
from .records import CastEventAdmin, ConductorProcessAdmin, NotificationAdmin, WakeupAdmin

__all__ = ["CastAdmin", "CastEventAdmin", "ConductorProcessAdmin", "GateAdmin", "NotificationAdmin", "ProviderAdmin", "WakeupAdmin"]
