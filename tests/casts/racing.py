"""A race track: casts brought to the same place in sets, then two acts at once on each, on connections of their own."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from threading import Barrier
from typing import Any
from uuid import UUID

from django.db import connection

from casts import engine
from casts.clock import database_now
from casts.engine import Claim, NotSkippableError, Report, TransitionRefusedError, Via
from casts.models import LIVE, Cast
from generations.models import Generation
from spells.models import SpellVersion

from . import histories
from .factories import ConductorProcessFactory
from .histories import Story
from .scenes import Unlimited, billed, tool, user, version
from .telling import webhook

# Casts that are prepared, raced one by one, and looked at together.
CROWD = 50
LONG_LEASE_SECONDS = 3600.0
PATIENCE_SECONDS = 60.0
# By how many steps of an empty loop one of two may start later, so that neither is always the first.
MOST_STEPS_LATER = 20_000
REFUSED = "refused"
CHANNELS = ("inbox", "webhook")


@dataclass
class Crowd:
    """Casts whose first step may cost money, with the claims and calls of whoever conducts them."""

    casts: list[UUID]
    claims: dict[UUID, Claim] = field(default_factory=dict)
    calls: dict[UUID, UUID] = field(default_factory=dict)

    def hold(self) -> None:
        while taken := engine.claim(limit=len(self.casts), lease_seconds=LONG_LEASE_SECONDS):
            self.claims |= {claim.cast_id: claim for claim in taken}

    def look(self) -> None:
        """Have all casts looked at by one conductor, with no calls at work but those that begin now."""
        self.hold()
        engine.advance(claimed=list(self.claims.values()), slots=Unlimited())
        rows = Generation.objects.filter(cast__in=self.casts, step__position=0).order_by("attempt")
        self.calls = dict(rows.values_list("cast_id", "pk"))

    def tell(self, news: Any) -> None:
        engine.settle(reports=[self.report(cast_id, news) for cast_id in self.casts], slots=Unlimited())

    def report(self, cast_id: UUID, news: Any, *, via: Via = Via.RUN) -> Report:
        claim = Claim(cast_id=cast_id, epoch=0, bell=0) if via is Via.CALLBACK else self.claims[cast_id]
        return Report(generation_id=self.calls[cast_id], claim=claim, via=via, news=news)

    def wind_up(self) -> None:
        """Let all go whatever they have at work, and be cancelled: each must end, by one look."""
        engine.hand_back(claims=list(self.claims.values()))
        for cast_id in Cast.objects.filter(pk__in=self.casts, status__in=LIVE).values_list("pk", flat=True):
            engine.cancel(cast_id=cast_id, actor_id=None, now=database_now())
        self.claims.clear()
        self.look()


Runner = Callable[[Crowd, UUID], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """A cast after its race, and what the two acts answered."""

    story: Story
    first: Any
    second: Any

    @property
    def refused(self) -> int:
        return [self.first, self.second].count(REFUSED)


class Track:
    """Two threads that meet at a barrier before each race."""

    def __init__(self, *, rounds: int, seed: int) -> None:
        """Take how many casts to race in all, and what the lead of one over the other is drawn from."""
        self._rounds = rounds
        self._random = Random(seed)
        self._barrier = Barrier(2, timeout=PATIENCE_SECONDS)
        self._pool = ThreadPoolExecutor(2)
        self.ways: Counter[str] = Counter()

    def run(
        self,
        first: Runner,
        second: Runner,
        *,
        prepare: Callable[[Crowd], Any],
        steps: int = 2,
        before_each: Callable[[UUID], Any] | None = None,
    ) -> Iterator[Raced]:
        """Race two acts on each of so many casts, see that its history may be and that it ends once, and yield what came of it."""
        pinned = self._published(steps)
        left = self._rounds
        while left > 0:
            crowd = _started(pinned, min(CROWD, left))
            left -= len(crowd.casts)
            prepare(crowd)
            answers = {}
            for cast_id in crowd.casts:
                if before_each is not None:
                    before_each(cast_id)
                answers[cast_id] = self._race(first, second, crowd, cast_id)
            for cast_id, story in histories.read(crowd.casts).items():
                story.check(channels=CHANNELS)
                yield self._noted(Raced(story=story, first=answers[cast_id][0], second=answers[cast_id][1]))
            crowd.wind_up()
            for story in histories.read(crowd.casts).values():
                story.check(channels=CHANNELS)
                assert story.cast.status not in LIVE, "it does not end"

    def close(self) -> None:
        for closed in [self._pool.submit(self._leave) for _ in range(2)]:
            closed.result()
        self._pool.shutdown()

    def _published(self, steps: int) -> SpellVersion:
        """Publish a spell of one step or two, in a world where somebody is told of all ends and a conductor is there."""
        webhook()
        ConductorProcessFactory.create(alive_until=database_now() + timedelta(days=1))
        one = {"key": "one", "tool": billed()}
        two = {"key": "two", "tool": tool(), "params": {"n": "{{ steps.one }}"}}
        return version(*[one, two][:steps])

    def _race(self, first: Runner, second: Runner, crowd: Crowd, cast_id: UUID) -> list[Any]:
        later = self._random.randrange(-MOST_STEPS_LATER, MOST_STEPS_LATER)
        starts = [(first, max(0, later)), (second, max(0, -later))]
        running = [self._pool.submit(self._start, runner, crowd, cast_id, steps) for runner, steps in starts]
        return [each.result() for each in running]

    def _start(self, runner: Runner, crowd: Crowd, cast_id: UUID, steps: int) -> Any:
        self._barrier.wait()
        for _ in range(steps):
            pass
        try:
            return runner(crowd, cast_id)
        except (TransitionRefusedError, NotSkippableError):
            return REFUSED

    def _leave(self) -> None:
        self._barrier.wait()
        connection.close()

    def told(self) -> str:
        """Return how often the races went which way."""
        return "; ".join(f"{number} {way}" for way, number in self.ways.most_common())

    def _noted(self, raced: Raced) -> Raced:
        """Count the way a race went: how the cast stands, and whose answer said that it was first or second."""
        answers = [each if isinstance(each, bool | str) else "done" for each in (raced.first, raced.second)]
        self.ways[f"{raced.story.cast.status} ({answers[0]}, {answers[1]})"] += 1
        return raced


def _started(pinned: SpellVersion, number: int) -> Crowd:
    now = database_now()
    return Crowd(casts=[engine.start(version=pinned, initiator_id=user().pk, inputs={}, now=now).cast.pk for _ in range(number)])
