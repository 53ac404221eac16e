"""What of the libraries operators see: people, API keys, and the queue to look at."""

from .keys import ApiKeyAdmin
from .people import PersonAdmin
from .queue import FailedTaskAdmin, QueuedTaskAdmin, ScheduleAdmin

__all__ = ["ApiKeyAdmin", "FailedTaskAdmin", "PersonAdmin", "QueuedTaskAdmin", "ScheduleAdmin"]
