"""The engine against a model: random interleavings of all that can happen to casts, checked from the outside after each step.

`MODEL_EXAMPLES=500 pytest tests/casts/test_model.py` looks longer, at other interleavings each time.
"""

import os
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from casts import engine
from casts.clock import database_now
from casts.engine import Aborted, Claim, Report, Via
from casts.models import ENDED, LIVE, TERMINAL_KINDS, Cast, Notification, Wakeup
from generations.models import BLOCKING, Generation, GenerationStatus
from generations.models import LIVE as LIVE_GENERATIONS
from generations.tools.contract import Cost, Progress, Result, Submitted, ToolError
from spells.models import Recovery, SpellVersion
from tests.conftest import Clock

from .scenes import billed, tool, user, version
from .world import Call, Conductor, Job, World

FEW = st.integers(min_value=0, max_value=5)
CALM_ROUNDS = 80


def spells() -> list[SpellVersion]:
    """Publish one of each shape: a chain, a join of branches, a fan-out, a step that may fail."""
    fast: dict[str, Any] = {"backoff_seconds": 1.0, "max_backoff_seconds": 2.0}
    pure, none = tool("pure.tool", **fast), billed("none.tool", **fast)
    resend, lookup = billed("resend.tool", recovery=Recovery.RESEND, **fast), billed("lookup.tool", recovery=Recovery.LOOKUP, **fast)
    after = {"tool": pure, "params": {"n": "{{ steps.one }}"}}
    return [
        version({"key": "one", "tool": pure}, {**after, "key": "two", "tool": none}, slug="chain"),
        version(
            {"key": "one", "tool": resend},
            {"key": "other", "tool": lookup},
            {"key": "join", "tool": pure, "params": {"a": "{{ steps.one }}", "b": "{{ steps.other }}"}},
            slug="join",
        ),
        version(
            {"key": "one", "tool": none, "for_each": "{{ [1, 2, 3] }}", "params": {"n": "{{ item }}"}}, {**after, "key": "all"}, slug="fan"
        ),
        version({"key": "one", "tool": none, "max_attempts": 2, "on_failure": "continue"}, {**after, "key": "two"}, slug="may-fail"),
    ]


class CastsMachine(RuleBasedStateMachine):
    """Two conductors and whoever else acts on casts."""

    clock: Clock

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.conductors = [Conductor(self.world) for _ in range(2)]
        self.cents = 0
        self.unit = transaction.atomic()
        self.unit.__enter__()

    def teardown(self) -> None:
        try:
            if not connection.needs_rollback:
                self.calm_down()
        finally:
            self.clock.reset()
            transaction.set_rollback(True)
            self.unit.__exit__(None, None, None)

    # What happens

    @initialize()
    def publish(self) -> None:
        self.spells = spells()

    @precondition(lambda _: Cast.objects.count() < 4)
    @rule(shape=FEW)
    def start(self, shape: int) -> None:
        pinned = self.spells[shape % len(self.spells)]
        engine.start(version=pinned, initiator_id=user().pk, inputs={}, now=database_now())

    @rule(who=FEW, limit=st.integers(min_value=1, max_value=3), looks=st.sampled_from([True, True, True, False]))
    def claim(self, who: int, limit: int, *, looks: bool) -> None:
        conductor = self.conductors[who % 2]
        if conductor.claim(limit=limit) and looks:
            conductor.look()

    @rule(who=FEW, unheard=st.sampled_from([False, False, False, True]))
    def look(self, who: int, *, unheard: bool) -> None:
        self.conductors[who % 2].look(unheard=unheard)

    @rule(which=FEW, how=st.sampled_from(["result", "result", "submitted", "busy", "refused", "unclear", "progress", "stopped"]))
    def answer(self, which: int, how: str) -> None:
        jobs = [(conductor, job) for conductor in self.conductors for job in conductor.jobs.values()]
        if jobs:
            conductor, job = jobs[which % len(jobs)]
            conductor.report(job, self.news_of(job, how))

    @rule(which=FEW, how=st.sampled_from(["result", "result", "progress", "refused"]))
    def callback(self, which: int, how: str) -> None:
        calls = list(self.world.calls.values())
        if calls:
            call = calls[-1 - which % len(calls)]
            news = Progress(percent=10) if how == "progress" else self.final_of(call, how)
            self.world.tell(call.generation_id, news)
            claim = Claim(cast_id=call.place[0], epoch=0, bell=0)
            engine.receive(report=Report(generation_id=call.generation_id, claim=claim, via=Via.CALLBACK, news=news))

    @rule(who=FEW, what=st.sampled_from(["renew", "renew", "hand back", "die"]))
    def conductor(self, who: int, what: str) -> None:
        conductor = self.conductors[who % 2]
        {"renew": conductor.renew, "hand back": conductor.hand_back, "die": conductor.die}[what]()

    @rule(seconds=st.sampled_from([1, 3, 3, 12, 31, 31, 600, 90_000]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(which=FEW, verb=st.sampled_from(["cancel", "pause", "resume", "resume", "retry", "retry"]))
    def verb(self, which: int, verb: str) -> None:
        casts = list(Cast.objects.order_by("pk"))
        if not casts:
            return
        chosen = casts[which % len(casts)]
        act = {"cancel": engine.cancel, "pause": engine.pause, "resume": engine.resume, "retry": engine.retry}[verb]
        allowed = {"cancel": LIVE, "pause": ("queued", "running"), "resume": ("paused",), "retry": ("failed", "cancelled")}[verb]
        if chosen.status not in allowed:
            with pytest.raises(engine.TransitionRefusedError):
                act(cast_id=chosen.pk, actor_id=None, now=database_now())
            return
        act(cast_id=chosen.pk, actor_id=None, now=database_now())
        match verb:
            case "cancel":
                self.world.cancelled.add(chosen.pk)
            case "pause":
                self.world.paused.add(chosen.pk)
            case "resume":
                self.world.paused.discard(chosen.pk)
            case "retry":
                self.world.paused.discard(chosen.pk)
                self.world.cancelled.discard(chosen.pk)

    @rule(which=FEW, how=st.sampled_from(["happened", "again", "written off"]))
    def resolve(self, which: int, how: str) -> None:
        unknown = list(Generation.objects.filter(status=GenerationStatus.UNKNOWN).order_by("pk"))
        if unknown:
            self.say(unknown[which % len(unknown)], how)

    @rule()
    def reap(self) -> None:
        given = engine.reap(now=database_now()).given_a_wakeup
        assert set(given) == self.world.without_wakeup & set(Cast.objects.live().values_list("pk", flat=True))
        self.world.without_wakeup.clear()

    @rule(which=FEW)
    def delete_a_wakeup(self, which: int) -> None:
        wakeups = list(Wakeup.objects.order_by("pk"))
        if wakeups:
            chosen = wakeups[which % len(wakeups)]
            self.world.without_wakeup.add(chosen.pk)
            chosen.delete()

    # What providers and people say

    def cost(self) -> Cost:
        self.cents += 1
        return Cost(usd=Decimal(self.cents) / 100)

    def final_of(self, call: Call, how: str) -> Result | ToolError:
        """Return what came of a call at its provider: decided once, and told alike to all who ask."""
        if call.final is None:
            refused = ToolError("No.", permanent=how == "refused", retry_after=1.0)
            call.final = Result(output={"by": str(call.generation_id)}, cost=self.cost()) if how == "result" else refused
        return call.final

    def news_of(self, job: Job, how: str) -> object:
        call = self.world.calls.get(job.generation_id)
        match how:
            case "stopped" if job.may_stop:
                return Aborted(reason="Its cast was stopped.")
            case "submitted" if job.via is Via.RUN:
                return Submitted(job_id=f"job-{job.generation_id}", poll_after=2.0)
            case "progress" if job.via is Via.POLL:
                return Progress(percent=50, poll_after=2.0)
            case "unclear":
                return ToolError("The answer was lost.", ambiguous=True, permanent=job.via is Via.POLL)
        # a poll for a call that was never made, as after a commit whose answer was lost: its provider knows of none
        return self.final_of(call, how) if call else ToolError("No such job.", ambiguous=True, permanent=True)

    def say(self, generation: Generation, how: str) -> None:
        cost = None
        if how == "happened":
            cost = self.cost().usd
            self.world.costs.setdefault(generation.pk, cost)
        call = self.world.calls.get(generation.pk)
        if call is not None:
            call.written_off = True
        found = {"output": {"by": "hand"}} if how == "happened" else {"again": how == "again"}
        engine.resolve(generation_id=generation.pk, now=database_now(), cost_usd=cost, **found)

    # What must hold

    @invariant()
    def each_unfinished_cast_has_one_wakeup_and_an_ended_one_has_none(self) -> None:
        awake = set(Wakeup.objects.values_list("pk", flat=True))
        live = set(Cast.objects.live().values_list("pk", flat=True))
        assert awake <= live
        assert live - awake <= self.world.without_wakeup

    @invariant()
    def one_call_at_a_time_and_one_success_per_item(self) -> None:
        seen: dict[tuple[object, ...], int] = {}
        for cast_id, step_id, item, status in Generation.objects.values_list("cast_id", "step_id", "item", "status"):
            for kind, statuses in (("at work", BLOCKING), ("succeeded", ("succeeded",))):
                if status in statuses:
                    seen[kind, cast_id, step_id, item] = seen.get((kind, cast_id, step_id, item), 0) + 1
        assert set(seen.values()) <= {1}

    @invariant()
    def what_succeeded_stays_as_it_was(self) -> None:
        rows = Generation.objects.filter(status="succeeded").values_list("cast_id", "step__key", "item", "output")
        outputs = {(cast_id, key, item): output for cast_id, key, item, output in rows}
        assert self.world.outputs.items() <= outputs.items()
        self.world.outputs = outputs

    @invariant()
    def each_cost_that_was_told_is_booked_once(self) -> None:
        booked: dict[object, Decimal] = {}
        for pk, cast_id, cost in Generation.objects.filter(cost_booked_at__isnull=False).values_list("pk", "cast_id", "cost_usd"):
            assert cost == self.world.costs.get(pk, Decimal(0))
            booked[cast_id] = booked.get(cast_id, Decimal(0)) + cost
        paid = {pk for pk, usd in self.world.costs.items() if usd}
        assert paid <= set(Generation.objects.filter(cost_booked_at__isnull=False).values_list("pk", flat=True))
        assert dict(Cast.objects.values_list("pk", "cost_usd")) == {
            pk: booked.get(pk, 0) for pk in Cast.objects.values_list("pk", flat=True)
        }

    @invariant()
    def a_cast_ends_once_a_round_with_one_word_to_its_initiator_and_no_call_live(self) -> None:
        ended = Cast.objects.filter(status__in=ENDED)
        assert not Generation.objects.filter(cast__in=ended, status__in=LIVE_GENERATIONS).exists()
        told = list(Notification.objects.filter(kind__in=TERMINAL_KINDS).order_by("cast_id", "round").values_list("cast_id", "round"))
        rounds = Cast.objects.order_by("pk").values_list("pk", "round", "status")
        assert told == [(pk, each) for pk, last, status in rounds for each in range(last + (status in ENDED))]

    @invariant()
    def a_cast_that_was_cancelled_does_not_succeed(self) -> None:
        assert not Cast.objects.filter(pk__in=self.world.cancelled, status="succeeded").exists()

    def calm_down(self) -> None:
        """Let all be well from now on: one conductor, prompt answers, somebody who resolves. All casts must end."""
        for conductor in self.conductors:
            conductor.die()
        last = Conductor(self.world)
        for _ in range(CALM_ROUNDS):
            if not Cast.objects.live().exists():
                return
            self.clock.advance(seconds=31)
            engine.reap(now=database_now())
            for generation in Generation.objects.filter(status=GenerationStatus.UNKNOWN, cast__status__in=LIVE):
                self.say(generation, "written off")
            for paused in Cast.objects.filter(status="paused"):
                engine.resume(cast_id=paused.pk, actor_id=None, now=database_now())
            self.world.paused.clear()
            last.claim(limit=10)
            last.look()
            while last.jobs:
                job = next(iter(last.jobs.values()))
                last.report(job, self.news_of(job, "result"))
            self.check_all()
        raise AssertionError(f"Casts do not end: {list(Cast.objects.live().values('pk', 'status', 'round'))}")

    def check_all(self) -> None:
        self.each_unfinished_cast_has_one_wakeup_and_an_ended_one_has_none()
        self.what_succeeded_stays_as_it_was()
        self.each_cost_that_was_told_is_booked_once()
        self.a_cast_ends_once_a_round_with_one_word_to_its_initiator_and_no_call_live()


@pytest.mark.django_db
@pytest.mark.timeout(3600)
def test_no_interleaving_stalls_a_cast_pays_twice_or_loses_a_cost(clock):
    longer = int(os.environ.get("MODEL_EXAMPLES", "0"))
    CastsMachine.clock = clock
    run_state_machine_as_test(
        CastsMachine,
        settings=settings(
            max_examples=longer or 25,
            stateful_step_count=60,
            deadline=None,
            derandomize=not longer,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
