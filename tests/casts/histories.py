"""What became of casts, held against what may: in words of the tests' own, from rows alone."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from casts.models import Cast, CastEvent, Notification, Wakeup
from generations.models import Generation

ENDS = ("succeeded", "failed", "cancelled")
AT_WORK = ("pending", "running", "submitted")
# What may happen to a cast that stands so, and where it stands then. Live, it is queued or running.
MAY_HAPPEN = {
    "nothing": {"started": "live"},
    "live": {
        "paused": "paused",
        "succeeded": "succeeded",
        "failed": "failed",
        "cancelled": "cancelled",
        "reaped": "live",
        "resolved": "live",
    },
    "paused": {"resumed": "live", "failed": "failed", "cancelled": "cancelled", "reaped": "paused", "resolved": "paused"},
    "succeeded": {},
    "failed": {"retried": "live", "skipped": "failed", "resolved": "failed"},
    "cancelled": {"retried": "live", "skipped": "cancelled", "resolved": "cancelled"},
}


@dataclass(slots=True)
class Story:
    """A cast, its events in their order, its attempts as step and status, and the ends that were told: round, kind and channel."""

    cast: Cast
    events: list[str] = field(default_factory=list)
    attempts: list[Generation] = field(default_factory=list)
    told: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    is_awake: bool = False

    @property
    def steps(self) -> list[tuple[str, str]]:
        return [(attempt.step.key, attempt.status) for attempt in self.attempts]

    def check(self, *, channels: Collection[str]) -> None:
        """Assert that this is a history that may be."""
        ends = self._walk()
        assert self.told == Counter((number, f"cast.{end}", channel) for number, end in ends for channel in channels), "told otherwise"
        assert self.is_awake == (self.cast.status not in ENDS), "a live cast has a wakeup, and no other has"
        assert self.cast.cost_usd == sum((attempt.cost_usd or Decimal(0) for attempt in self.attempts), Decimal(0)), "booked otherwise"
        places: dict[Any, list[Generation]] = defaultdict(list)
        for attempt in self.attempts:
            places[attempt.step_id, attempt.item].append(attempt)
        for attempts in places.values():
            self._check_place(attempts)

    def _walk(self) -> list[tuple[int, str]]:
        """Follow the events, and return the ends by round."""
        stands, number, is_cancelled, ends = "nothing", 0, False, []
        for event in self.events:
            if event == "cancel_requested":
                assert stands in ("live", "paused"), self.events
                assert not is_cancelled, "cancelled twice"
                is_cancelled = True
                continue
            assert event in MAY_HAPPEN[stands], f"{event} to one that is {stands}: {self.events}"
            assert not (event == "succeeded" and is_cancelled), self.events
            stands = MAY_HAPPEN[stands][event]
            if event in ENDS:
                ends.append((number, event))
            elif event == "retried":
                number, is_cancelled = number + 1, False
        assert stands == {"queued": "live", "running": "live"}.get(self.cast.status, self.cast.status), (
            f"{self.cast.status} after {self.events}"
        )
        assert (number, is_cancelled) == (self.cast.round, self.cast.cancel_requested_at is not None), self.events
        return ends

    def _check_place(self, attempts: list[Generation]) -> None:
        found = [attempt.status for attempt in attempts]
        assert [attempt.attempt for attempt in attempts] == list(range(1, len(attempts) + 1)), "attempts are numbered"
        assert not set(found[:-1]) & {"succeeded", "skipped", "unknown", *AT_WORK}, f"made again: {found}"
        assert found[-1] not in AT_WORK or self.cast.status not in ENDS, f"at work in a cast that has {self.cast.status}"


def read(cast_ids: Iterable[UUID]) -> dict[UUID, Story]:
    """Read what became of casts. Five queries."""
    stories = {cast.pk: Story(cast=cast) for cast in Cast.objects.filter(pk__in=list(cast_ids))}
    for cast_id, kind in CastEvent.objects.filter(cast__in=stories).order_by("pk").values_list("cast_id", "kind"):
        stories[cast_id].events.append(kind)
    for attempt in Generation.objects.filter(cast__in=stories).select_related("step").order_by("step__position", "item", "attempt"):
        stories[attempt.cast_id].attempts.append(attempt)
    ends = Notification.objects.filter(cast__in=stories, kind__in=[f"cast.{end}" for end in ENDS])
    for cast_id, number, kind, channel in ends.values_list("cast_id", "round", "kind", "channel"):
        stories[cast_id].told[number, kind, channel] += 1
    for pk in Wakeup.objects.filter(pk__in=stories).values_list("pk", flat=True):
        stories[pk].is_awake = True
    return stories
