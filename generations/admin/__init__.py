"""Calls for operators: tools and their policy, generations, what they made, and what providers told us."""

from .artifact import ArtifactAdmin
from .callback import CallbackAdmin
from .cancellation import CancellationAdmin
from .generation import GenerationAdmin
from .tool import ToolAdmin

__all__ = ["ArtifactAdmin", "CallbackAdmin", "CancellationAdmin", "GenerationAdmin", "ToolAdmin"]
