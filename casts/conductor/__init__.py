"""The loop around the engine: it claims casts, makes their calls, settles what comes back, and lets go."""

from .loop import Conductor

__all__ = ["Conductor"]
