"""Casts for operators: lists, the timeline of one cast, and the verbs."""

from .alert import AlertAdmin, AlertMailAdmin
from .cast import CastAdmin
from .cook import CollectionAdmin, CookAdmin
from .export import ExportAdmin, ReviewEventAdmin
from .gate import GateAdmin, ProviderAdmin
from .notification import NotificationAdmin, SubscriptionAdmin
from .piece import PieceAdmin
from .records import CastEventAdmin, ConductorProcessAdmin, WakeupAdmin

__all__ = [
    "AlertAdmin",
    "AlertMailAdmin",
    "CastAdmin",
    "CastEventAdmin",
    "CollectionAdmin",
    "ConductorProcessAdmin",
    "CookAdmin",
    "ExportAdmin",
    "GateAdmin",
    "NotificationAdmin",
    "PieceAdmin",
    "ProviderAdmin",
    "ReviewEventAdmin",
    "SubscriptionAdmin",
    "WakeupAdmin",
]
