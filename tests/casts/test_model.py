"""The engine against a model: random interleavings of all that can happen to casts, checked from the outside after each step.

`pytest tests/casts/test_model.py --model-examples=500` looks longer, at other interleavings each time. Which faults of
an engine it finds is told by `test_model_mutations.py`.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from casts import engine
from casts.clock import database_now
from casts.conductor import holdings
from casts.engine import Reported
from casts.models import LIVE, Cast, ConductorProcess
from casts.models.conductor import ConductorKind
from generations.models import Generation, GenerationStatus
from spells.models import Provider

from .scenes import Limited, user
from .world import Conductor, Job, ProviderCall, StandingClock, World, spells
from .world.answers import ANSWERS, WEBHOOKS, Providers
from .world.laws import Laws
from .world.people import MOST_CASTS, People, Pick, T

CALM_ROUNDS = 80
# What is drawn for a step is alike for all of them, so that it does not depend on how the engine stands. Sixty is divided by
# most numbers of options.
WHAT = st.integers(min_value=0, max_value=119)
PICKS = st.tuples(*[st.integers(min_value=0, max_value=59)] * 4)


class Picks:
    """Picks options by the numbers that were drawn, and notes them in the story of the example."""

    def __init__(self, numbers: Sequence[int], *, name: str) -> None:
        self.numbers = list(numbers)
        self.name = name

    def __call__(self, options: Sequence[T], /) -> T:
        picked = options[self.numbers.pop(0) % len(options)]
        note(f"    {self.name}: {picked}")
        return picked


class CastsMachine(Laws, People):
    """Two conductors, providers, and whoever else acts on casts."""

    clock: StandingClock

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.clock)
        self.providers = Providers()
        self.conductors = [Conductor(self.world) for _ in range(2)]
        self.is_well = True
        self.unit = ExitStack()
        self.unit.enter_context(transaction.atomic())

    def teardown(self) -> None:
        try:
            if self.is_well:
                self.calm_down()
        finally:
            self.clock.reset()
            connection.run_on_commit.clear()
            transaction.set_rollback(True)
            self.unit.close()

    @initialize(picks=st.tuples(PICKS, PICKS, PICKS))
    def begin(self, picks: Sequence[Sequence[int]]) -> None:
        for numbers in picks:
            self.start(Picks(numbers, name="start"))
        self.conductors[0].claim(limit=3)
        self.conductors[0].settle()

    @rule(what=WHAT, picks=PICKS)
    def something_happens(self, what: int, picks: Sequence[int]) -> None:
        """Do one thing of all that may happen now. One rule for all: Hypothesis leaves out half of the rules of an example."""
        self.clock.advance(milliseconds=1)
        names = [name for name, weight in self.possible().items() for _ in range(weight)]
        name = names[what % len(names)]
        self.is_well = False
        getattr(self, name)(Picks(picks, name=name))
        self.is_well = True

    def possible(self) -> dict[str, int]:
        """Return what may happen, and how often it does."""
        statuses = {row["status"] for row in self.rows}
        over = any(cast.status in ("failed", "cancelled") for cast in self.casts.values())
        return {
            "answer": 16 if self.jobs() else 0,
            "settle": 4 if any(conductor.has_to_settle for conductor in self.conductors) else 0,
            "settle_slowly": 4 if any(conductor.has_to_settle or conductor.slow for conductor in self.conductors) else 0,
            "claim": 3,
            "wait": 6,
            "steal": 2 if self.jobs() else 0,
            "race": 8 if self.shared() else 0,
            "renew": 1,
            "stop": 1,
            "tell_how_far": 1 if self.jobs() else 0,
            "webhook": 2 if any(call.is_made for call in self.world.ledger.calls.values()) else 0,
            "go_and_come": 2 if self.providers.is_away else 1,
            "tend_gates": 1,
            "start": 2 if len(self.world.casts) < MOST_CASTS else 0,
            "ask": 2,
            "skip": 2 if over else 0,
            "resolve": 3 if "unknown" in statuses else 0,
            "set_breaker": 1,
            "reap": 2 if self.world.without_wakeup else 0,
            "delete_a_wakeup": 1,
        }

    def jobs(self) -> list[tuple[Conductor, Job]]:
        return [(conductor, job) for conductor in self.conductors for job in conductor.jobs.values()]

    def shared(self) -> list[ProviderCall]:
        """Return the calls that both have at work: one sent it and lost its claim, the other sent it again, or asks for its job."""
        first, second = ([job.sending.call for job in conductor.jobs.values()] for conductor in self.conductors)
        return [call for call in first if call in second]

    # What conductors do

    def claim(self, pick: Pick) -> None:
        conductor = self.conductors[pick([0, 1])]
        looks = pick([True, True, True, False])
        if conductor.claim(limit=3) and looks:
            conductor.settle()

    def settle(self, pick: Pick) -> None:
        conductor = next(each for each in self.conductors[:: pick([1, -1])] if each.has_to_settle)
        how = pick(["well", "well", "well", "unheard", "cut short"])
        if pick([True, False]):
            conductor.listen()
        left, seats = pick([(99, 0), (99, 0), (99, 0), (0, 1), (1, 0), (1, 2)])
        conductor.settle(slots=Limited(left=left, seats=seats, polls=left), is_heard=how != "unheard", is_followed=how != "cut short")
        if how == "cut short":
            conductor.die()

    def settle_slowly(self, pick: Pick) -> None:
        able = [conductor for conductor in self.conductors if conductor.slow or conductor.has_to_settle]
        pick(able).settle_slowly()

    def answer(self, pick: Pick) -> None:
        jobs = self.jobs()
        conductor, job = pick(jobs)
        conductor.report(job, self.providers.answer(job, pick(ANSWERS)))
        if pick([True, True, True, False]):
            conductor.settle()

    def tell_how_far(self, pick: Pick) -> None:
        jobs = self.jobs()
        conductor, job = pick(jobs)
        sending = job.sending
        progress = {"percent": pick([10, 90]), "stage": "", "preview": None}
        engine.keep_reported([Reported(generation_id=sending.generation_id, epoch=sending.epoch, owner_id=user().pk, progress=progress)])
        conductor.held.forget([sending.cast_id])

    def steal(self, pick: Pick) -> None:
        """Let leases run out, and another conductor claim what one has at work."""
        self.clock.advance(seconds=31)
        holder = pick(self.jobs())[0]
        thief = next(each for each in self.conductors if each is not holder)
        thief.claim(limit=3)
        if pick([True, True, False]):
            thief.settle()
            self.clock.advance(seconds=3)
            thief.claim(limit=3)
            thief.settle()

    def race(self, pick: Pick) -> None:
        """Let both have an answer of the same call, one right after the other."""
        call = pick(self.shared())
        for conductor in self.conductors[:: pick([1, -1])]:
            jobs = [job for job in conductor.jobs.values() if job.sending.call is call]
            if jobs:
                conductor.report(
                    jobs[0], self.providers.answer(jobs[0], pick(["submitted", "lost", "result", "result", "broke", "refused"]))
                )
                conductor.settle()

    def renew(self, pick: Pick) -> None:
        self.conductors[pick([0, 1])].renew()

    def stop(self, pick: Pick) -> None:
        conductor = self.conductors[pick([0, 1])]
        {"leave": conductor.leave, "die": conductor.die}[pick(["leave", "die"])]()

    # What providers and time do

    def webhook(self, pick: Pick) -> None:
        made = [call for call in self.world.ledger.calls.values() if call.is_made][-4:]
        call = pick(made)
        news = self.providers.tell(call, pick(WEBHOOKS))
        taker = pick([None, *self.conductors])
        self.world.receive(call, news=news, by=None if taker is None else taker.held)

    def go_and_come(self, _: Pick) -> None:
        self.providers.is_away = not self.providers.is_away

    def wait(self, pick: Pick) -> None:
        self.clock.advance(seconds=pick([3, 3, 3, 1, 12, 12, 31, 31, 31, 61, 61, 600, 600, 3, 3, 12, 31, 3, 31, 90_000]))
        if pick([True, True, False]):
            self.claim(pick)

    def tend_gates(self, _: Pick) -> None:
        engine.tend_gates()
        self.world.after_commit()

    # What must come of it

    def calm_down(self) -> None:
        """Let all be well from now on: one conductor, prompt answers, somebody who resolves. All casts must end."""
        for conductor in self.conductors:
            conductor.die()
        self.providers.is_away = False
        engine.close_breaker(owner=Provider.objects.get(slug="faraway"), reason="All is well.", by="olga")
        self.world.limits.forget()
        last = Conductor(self.world)
        for _ in range(CALM_ROUNDS):
            self.clock.advance(seconds=31)
            self.reap()
            for generation in Generation.objects.filter(status=GenerationStatus.UNKNOWN, cast__status__in=LIVE):
                self.say(generation, "written off")
            for paused in Cast.objects.filter(status="paused"):
                engine.resume(cast_id=paused.pk, actor_id=None, now=database_now())
            self.world.paused.clear()
            last.renew()
            last.claim(limit=10)
            while last.settle() or last.jobs:
                for job in list(last.jobs.values()):
                    last.report(job, self.providers.answer(job, "result"))
            self.all_laws_hold()
            if all(cast.status not in LIVE for cast in self.casts.values()):
                return
        raise AssertionError(f"Casts do not end: {list(Cast.objects.live().values('pk', 'status', 'round'))}")


def look_for_faults(*, examples: int, derandomize: bool, shrinks: bool = True) -> None:
    """Run the machine. Raises what it finds."""
    run_state_machine_as_test(
        CastsMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
            deadline=None,
            derandomize=derandomize,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def stage(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish the spells, with somebody alive to hear of casts, under a clock that the conductors share."""
    CastsMachine.clock = clock = StandingClock(monkeypatch)
    monkeypatch.setattr(holdings, "time", clock)
    now, never = database_now(), database_now() + timedelta(days=10_000)
    ConductorProcess.objects.create(kind=ConductorKind.PROCESS, host="here", pid=1, started_at=now, alive_until=never)
    CastsMachine.spells = spells()


@pytest.mark.django_db
@pytest.mark.timeout(3600)
def test_no_interleaving_stalls_a_cast_pays_twice_or_loses_a_cost(stage, pytestconfig):
    longer = pytestconfig.getoption("model_examples")
    look_for_faults(examples=longer or 6, derandomize=not longer)
