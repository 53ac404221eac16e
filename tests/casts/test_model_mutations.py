"""Breakages of the engine, each a rule that is dropped, and the machine that must notice.

Most are found within ten interleavings; how many it takes varies a little, for ids are new each time. Two sendings of one
call that both tell their cost took thirty. A refusal of one sending, and a look-up that is answered when the job's id came
meanwhile, were not found within forty. `pytest tests/casts/test_model_mutations.py --model-examples=400` looks for each of them; a usual run for the quick ones.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError

from casts import engine
from casts.engine import breakers, budgets, changes, claims, gates, queues, rooms, turns, verdicts
from casts.engine.budgets import Budgets
from casts.engine.reports import Via
from casts.engine.retrying import LostUpdateError
from casts.engine.rooms import Room
from casts.engine.state import CastState
from casts.models import BreakerState, Wakeup
from generations.models import Generation
from generations.tools.contract import ToolError
from spells.models import Recovery

from .test_model import look_for_faults, stage  # noqa: F401 - a fixture

Break = Callable[[pytest.MonkeyPatch], None]
MUTATIONS: dict[str, Break] = {}


# Found within a few interleavings: these show in each run that the machine is awake.
QUICK = (
    "settle_without_the_epoch_guard",
    "forget_the_wakeup_at_retry",
    "take_the_next_call_for_lost_while_it_is_at_work",
    "ignore_max_in_flight",
)
NO, YES = False, True


def always(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def mutation(breaks: Break) -> Break:
    MUTATIONS[breaks.__name__] = breaks
    return breaks


# Claims and wakeups


@mutation
def settle_without_the_epoch_guard(patch):
    def lock(*, claims):
        stands = Wakeup.objects.in_bulk([each.cast_id for each in claims])
        return {each.cast_id: replace(each, bell=stands[each.cast_id].bell) for each in claims if each.cast_id in stands}

    patch.setattr(claims, "lock", lock)


@mutation
def adopt_a_foreign_claim(patch):
    def lock(*, claims):
        stands = Wakeup.objects.filter(claimed_until__isnull=False).in_bulk([each.cast_id for each in claims])
        return {pk: replace(each, epoch=row.epoch, bell=row.bell) for each in claims for pk, row in stands.items() if pk == each.cast_id}

    patch.setattr(claims, "lock", lock)


@mutation
def forget_the_wakeup_at_retry(patch):
    patch.setattr(claims, "wake_anew", always(None))


@mutation
def begin_the_epochs_of_a_new_wakeup_from_one(patch):
    def wake_anew(*, cast, now):
        Wakeup.objects.create(cast=cast, initiator_id=cast.initiator_id, priority=cast.priority, due_at=now, epoch=0)

    patch.setattr(claims, "wake_anew", wake_anew)


@mutation
def forget_the_ring_of_a_finding(patch):
    resolve, _ring = engine.resolve, claims.ring

    def silent(**values):
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(claims, "ring", always(YES))
            resolve(**values)

    patch.setattr(engine, "resolve", silent)


@mutation
def end_a_cast_while_a_call_is_live(patch):
    conclude = turns.conclude

    def hasty(turn):
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(CastState, "live", always([]))
            return conclude(turn) if turn.is_cancelled else None

    patch.setattr(sys.modules["casts.engine.advance"], "conclude", lambda turn: hasty(turn) or conclude(turn))


@mutation
def start_calls_of_a_paused_cast(patch):
    patch.setattr(turns.Turn, "is_stopped", property(lambda self: self.is_cancelled or self.is_late))


@mutation
def start_calls_of_a_cancelled_cast(patch):
    patch.setattr(turns.Turn, "is_cancelled", property(always(NO)))


# Costs and keys


@mutation
def book_a_cost_with_each_sending(patch):
    patch.setattr(verdicts, "_owed", lambda *, attempt, cost, **_: None if attempt.booked_at else cost)
    patch.setattr(changes, "_payer", always(None))


@mutation
def book_a_late_cost_twice(patch):
    book_late = changes.book_late

    def twice(*, generation_id, cast_id, cost, now):
        booked = book_late(generation_id=generation_id, cast_id=cast_id, cost=cost, now=now)
        if not booked:
            changes._add(cost.usd, to=cast_id)
        return booked

    patch.setattr(changes, "book_late", twice)


@mutation
def drop_late_costs(patch):
    patch.setattr(changes, "book_late", always(NO))


@mutation
def drop_the_costs_of_failures(patch):
    book = changes.book
    patch.setattr(changes, "book", lambda *, changes: book(changes=[each for each in changes if each.status != "failed"]))


@mutation
def drop_the_cost_of_a_call_without_an_answer(patch):
    unanswered = verdicts._unanswered

    def dropped(**values):
        change = unanswered(**values)
        change.cost = None
        return change

    patch.setattr(verdicts, "_unanswered", dropped)


@mutation
def send_again_under_a_new_key(patch):
    patch.setattr(CastState, "key_owed", always(None))


@mutation
def take_the_refusal_of_one_sending_for_the_end_of_all(patch):
    patch.setattr(CastState, "key_owed", lambda _, attempt: attempt.idempotency_key if attempt.lost else None)


@mutation
def send_a_call_of_unknown_fate_again(patch):
    unanswered = verdicts._unanswered

    def again(*, state, attempt, error, now, excused=False):
        if state.tool_of(attempt).recovery == Recovery.NONE:
            return verdicts._made_again(state=state, attempt=attempt, error=error, now=now, excused=excused)
        return unanswered(state=state, attempt=attempt, error=error, now=now, excused=excused)

    patch.setattr(verdicts, "_unanswered", again)


@mutation
def take_a_look_up_that_found_nothing_for_a_lost_job(patch):
    patch.setattr(verdicts, "_still_news", lambda report, _: report.news)


@mutation
def send_again_what_was_looked_up_and_not_found(patch):
    def lost(*, state, attempt, message, now):
        return verdicts._failure(state=state, attempt=attempt, error=ToolError(message, code="job_lost"), now=now)

    patch.setattr(verdicts, "_lost", lost)


@mutation
def settle_an_ended_generation_again(patch):
    patch.setattr(turns, "SETTLES_FROM", dict.fromkeys(Via, ("running", "submitted", "failed", "unknown")))


@mutation
def take_the_next_call_for_lost_while_it_is_at_work(patch):
    judge = turns.judge

    def hasty(turn):
        turn.in_flight = ()
        return judge(turn)

    patch.setattr(sys.modules["casts.engine.advance"], "judge", hasty)


# Limits, breakers and budgets


@mutation
def ignore_max_in_flight(patch):
    patch.setattr(rooms, "_count_calls", always(None))


@mutation
def ignore_max_per_minute(patch):
    patch.setattr(Room, "_last_minute", always(Counter()))


@mutation
def take_a_submitted_job_for_done(patch):
    counted = rooms._count_calls

    def only_running(some):
        in_flight = type(Generation.objects.all()).in_flight
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(type(Generation.objects.all()), "in_flight", lambda self: in_flight(self).filter(status="running"))
            inner.setattr(Generation.objects.__class__, "in_flight", lambda self: self.all().filter(status="running"))
            counted(some)

    patch.setattr(rooms, "_count_calls", only_running)


@mutation
def let_a_waiting_cast_wait_for_ever(patch):
    refusal = gates._refusal
    patch.setattr(gates, "_refusal", lambda room: replace(refusal(room), look_at=room.moment + timedelta(hours=23)))
    patch.setattr(queues, "_ring", always(None))


@mutation
def let_calls_pass_an_open_breaker(patch):
    free = Room.free

    def blind(self):
        state, self.gate.state = self.gate.state, BreakerState.CLOSED
        room = free(self)
        self.gate.state = state
        return room

    patch.setattr(Room, "free", blind)


@mutation
def let_two_calls_try_a_provider(patch):
    measure = rooms.measure

    def blind(**values):
        found = measure(**values)
        for room in found:
            room.has_live_probe = False
        return found

    patch.setattr(gates, "measure", blind)


@mutation
def never_open_a_breaker(patch):
    patch.setattr(breakers, "_fail", always(None))


@mutation
def never_close_a_breaker_by_an_answer(patch):
    take = breakers._take
    patch.setattr(breakers, "_take", lambda gate, evidence, *, now: take(gate, evidence, now=now) if evidence.outage else None)
    patch.setattr(Room, "has_live_probe", property(always(YES), always(None)))


@mutation
def ignore_a_wish_for_rest(patch):
    patch.setattr(Room, "_is_quiet", always(NO))


@mutation
def ignore_budgets(patch):
    patch.setattr(Budgets, "admits", always(YES))


@mutation
def start_calls_of_unknown_price_together(patch):
    patch.setattr(budgets, "_at_work", always([]))


@pytest.mark.django_db
@pytest.mark.sqlite  # what is judged is the model
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MUTATIONS)
def test_the_model_finds_an_engine_that_would(name, stage, monkeypatch, pytestconfig):  # noqa: F811
    examples = pytestconfig.getoption("model_examples")
    if name not in QUICK and not examples:
        pytest.skip("It takes a while: ask for it by --model-examples.")
    MUTATIONS[name](monkeypatch)
    with pytest.raises((AssertionError, DatabaseError, LostUpdateError)):
        look_for_faults(examples=examples or 8, derandomize=True, shrinks=False)
