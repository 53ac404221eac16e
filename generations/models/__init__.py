"""One call of one tool: its record, what it made, and what its provider told us."""

from .artifact import Artifact, ArtifactQuerySet
from .callback import Callback
from .cancellation import Cancellation
from .generation import BLOCKING, ENDED, IN_FLIGHT, LIVE, Generation, GenerationQuerySet, GenerationStatus

__all__ = [
    "BLOCKING",
    "ENDED",
    "IN_FLIGHT",
    "LIVE",
    "Artifact",
    "ArtifactQuerySet",
    "Callback",
    "Cancellation",
    "Generation",
    "GenerationQuerySet",
    "GenerationStatus",
]
