"""What an operator may do to a cast: the engine's verbs, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from casts import engine
from casts.models import LIVE, Cast, CastStatus

REASON = "Cancelled by an operator."


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A verb: its words, the statuses from which it makes sense, and the engine's call. `danger` asks to be sure."""

    name: str
    done: str
    call: Callable[..., Cast]
    allowed: tuple[str, ...]
    hint: str
    danger: bool = False

    def applies_to(self, cast: Cast) -> bool:
        return cast.status in self.allowed and not (self.name == "cancel" and cast.cancel_requested_at)

    def act(self, *, cast_id: UUID, actor_id: int | None, now: datetime, reason: str = "") -> Cast:
        """Do it. Raises TransitionRefusedError, or Cast.DoesNotExist."""
        more: dict[str, Any] = {"reason": reason or REASON} if self.name == "cancel" else {}
        return self.call(cast_id=cast_id, actor_id=actor_id, now=now, **more)


VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            name="pause",
            done="paused",
            call=engine.pause,
            allowed=(CastStatus.QUEUED, CastStatus.RUNNING),
            hint="Starts no new calls. What runs may end; deadlines run on.",
        ),
        Verb(name="resume", done="resumed", call=engine.resume, allowed=(CastStatus.PAUSED,), hint="Goes on with a paused cast."),
        Verb(
            name="retry",
            done="retried",
            call=engine.retry,
            allowed=(CastStatus.FAILED, CastStatus.CANCELLED),
            hint="Goes on from where it failed, and keeps what succeeded.",
        ),
        Verb(
            name="cancel",
            done="asked to end",
            call=engine.cancel,
            allowed=LIVE,
            hint="Nothing new starts. What runs is stopped, or waited for so that its cost is known.",
            danger=True,
        ),
    )
}
