"""What of the libraries operators see: API keys, and the queue to look at."""

from .keys import ApiKeyAdmin
from .queue import FailedTaskAdmin, QueuedTaskAdmin, ScheduleAdmin

__all__ = ["ApiKeyAdmin", "FailedTaskAdmin", "QueuedTaskAdmin", "ScheduleAdmin"]
