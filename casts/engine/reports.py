"""What comes back to the engine from a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from generations.artifacts import StoredArtifact
from generations.tools.contract import Lost, Progress, Result, Submitted, ToolError
from generations.unfetched import Unfetched

from .claims import Claim


class Via(Enum):
    """By which way news of a generation came. It decides from which status the news may settle it."""

    RUN = "run"
    POLL = "poll"
    CALLBACK = "callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """News of a call that its conductor stopped, since its cast is to end."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """News that there is news: a callback that tells no more. The provider is asked at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unasked:
    """News of a job whose provider could not be asked, for this reason, and the seconds after which to ask again."""

    error: ToolError
    poll_after: float


News = Result | Unfetched | Submitted | Progress | Lost | ToolError | Aborted | Hint | Unasked


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a poll asked for: the job by its id, empty for a look-up, and when that was due. Both may be others by now."""

    job_id: str
    poll_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """News of one generation, what it stored on the way, and the claim under which it was asked for; of a poll, what it asked."""

    generation_id: UUID
    claim: Claim
    via: Via
    news: News
    made: Sequence[StoredArtifact] = ()
    asked: Asked | None = None
