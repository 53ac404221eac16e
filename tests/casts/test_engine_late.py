"""News that comes late, calls that were lost, and looks that would be in vain."""

from datetime import timedelta
from decimal import Decimal

import pytest

from casts import engine
from casts.clock import database_now
from casts.engine import Report, Via
from generations.models import Generation
from generations.tools.contract import Cost, Progress, Result, Submitted
from spells.models import Recovery

from .scenes import Hand, Limited, Unlimited, billed, cast, cost, refusal, statuses

pytestmark = pytest.mark.django_db


def test_a_poll_that_comes_back_after_the_deadline_of_its_job_settles_it_as_unknown(clock):
    hand = Hand(cast({"key": "one", "tool": billed(), "deadline_seconds": 60}))
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=10))
    clock.advance(seconds=30)
    turn = hand.look()
    assert turn.polls()
    clock.advance(seconds=31)
    hand.answer("one", Progress(percent=40, poll_after=10), via=Via.POLL)
    assert statuses(hand.cast) == {"one": ["unknown"]}


def test_a_job_that_was_taken_after_the_deadline_of_its_cast_is_unknown(clock):
    hand = Hand(cast({"key": "one", "tool": billed()}, deadline=timedelta(seconds=20)), lease_seconds=300)
    hand.look()
    clock.advance(seconds=21)
    hand.answer("one", Submitted(job_id="job-1", poll_after=10))
    assert statuses(hand.cast) == {"one": ["unknown"]}
    assert hand.generation("one").job_id == "job-1"
    assert hand.status() == "failed"


def test_a_pure_job_that_was_taken_after_the_cancel_is_cancelled(clock):
    hand = Hand(cast({"key": "one"}))
    hand.look()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.answer("one", Submitted(job_id="job-1", poll_after=10))
    assert hand.status() == "cancelled"


def test_a_held_cast_whose_job_is_being_asked_for_needs_no_look_before_the_answer(clock):
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=10))
    clock.advance(seconds=12)
    hand.look()
    (poll,) = hand.last.polls()
    advanced = engine.advance(claimed=[hand.claim], slots=Unlimited(), in_flight={poll.id})
    (turn,) = advanced.turns
    assert turn.is_held
    assert turn.due_at() > turn.now + timedelta(seconds=1)


def test_a_held_cast_past_its_deadline_needs_no_look_before_its_call_has_ended(clock):
    hand = Hand(cast({"key": "one", "tool": billed()}, deadline=timedelta(seconds=20)), lease_seconds=300)
    hand.look()
    clock.advance(seconds=21)
    turn = hand.look()
    assert turn.is_held
    assert turn.due_at() > turn.now + timedelta(seconds=1)


def test_a_retry_that_is_due_but_has_no_slot_waits_as_long_as_any_other(clock):
    hand = Hand(cast({"key": "one", "max_attempts": 2}))
    hand.look()
    hand.answer("one", refusal("busy", retry_after=20))
    clock.advance(seconds=30)
    hand.slots = Limited(0, seats=1)
    turn = hand.look()
    assert turn.due_at() > turn.now + timedelta(seconds=0.1)


def test_a_late_report_of_an_earlier_claim_does_not_hide_the_claim_that_stands(clock):
    hand = Hand(cast({"key": "one"}, {"key": "two"}))
    hand.look()
    zombie = hand.report("one", 0, {"n": 1})
    clock.advance(seconds=31)
    hand.take()
    advanced = engine.settle(reports=[zombie], claimed=[hand.claim], slots=Unlimited())
    assert [turn.state.claim.epoch for turn in advanced.turns] == [hand.claim.epoch]
    assert not advanced.fenced


def test_a_conductor_that_lost_its_claim_and_took_it_again_still_waits_for_the_calls_it_has_at_work(clock):
    hand = Hand(cast({"key": "paid", "tool": billed()}))
    hand.look()
    report = hand.report("paid", 0, Result(output={"n": 1}, cost=cost("1")))
    clock.advance(seconds=31)
    assert hand.take()
    turn = hand.look()
    assert turn.is_held
    assert statuses(hand.cast) == {"paid": ["running"]}
    engine.settle(reports=[report], claimed=[hand.claim], slots=Unlimited())
    assert (hand.status(), hand.cast.cost_usd) == ("succeeded", Decimal(1))


def test_a_result_that_came_between_the_loss_of_a_claim_and_the_next_look_is_used(clock):
    zombie = Hand(cast({"key": "paid", "tool": billed()}, {"key": "two", "params": {"n": "{{ steps.paid.n }}"}}))
    zombie.look()
    clock.advance(seconds=31)
    other = Hand(zombie.cast)
    other.take()
    zombie.answer("paid", Result(output={"n": 7}, cost=cost("2")))
    other.look()
    assert statuses(zombie.cast) == {"paid": ["succeeded"], "two": ["running"]}
    zombie.cast.refresh_from_db()
    assert zombie.cast.cost_usd == 2


def test_a_job_that_was_taken_between_the_loss_of_a_claim_and_the_next_look_is_asked_for(clock):
    zombie = Hand(cast({"key": "paid", "tool": billed()}))
    zombie.look()
    clock.advance(seconds=31)
    other = Hand(zombie.cast)
    other.take()
    zombie.answer("paid", Submitted(job_id="job-1"))
    turn = other.look()
    assert [attempt.job_id for attempt in turn.polls()] == ["job-1"]


def test_a_definite_failure_that_came_between_the_loss_of_a_claim_and_the_next_look_is_used(clock):
    zombie = Hand(cast({"key": "paid", "tool": billed(), "max_attempts": 1}))
    zombie.look()
    clock.advance(seconds=31)
    other = Hand(zombie.cast)
    other.take()
    zombie.answer("paid", refusal("No.", permanent=True, cost=cost("0.5")))
    other.look()
    assert statuses(zombie.cast) == {"paid": ["failed"]}
    assert (other.status(), other.cast.error["message"], other.cast.cost_usd) == ("failed", "No.", Decimal("0.5"))


def test_a_late_definite_failure_resolves_an_unknown_call(clock):
    zombie = Hand(cast({"key": "paid", "tool": billed()}))
    zombie.look()
    clock.advance(seconds=31)
    other = Hand(zombie.cast)
    other.look()
    assert statuses(zombie.cast) == {"paid": ["unknown"]}
    zombie.answer("paid", refusal("Busy.", retry_after=10))
    assert statuses(zombie.cast) == {"paid": ["failed"]}
    clock.advance(seconds=60)
    other.look()
    assert other.called() == [("paid", 0)]


def test_a_late_ambiguous_failure_leaves_an_unknown_call_unknown(clock):
    zombie = Hand(cast({"key": "paid", "tool": billed()}))
    zombie.look()
    clock.advance(seconds=31)
    Hand(zombie.cast).look()
    zombie.answer("paid", refusal("The connection was lost.", ambiguous=True))
    assert statuses(zombie.cast) == {"paid": ["unknown"]}


def test_a_late_job_id_makes_an_unknown_call_one_that_can_be_asked_for(clock):
    zombie = Hand(cast({"key": "paid", "tool": billed()}))
    zombie.look()
    clock.advance(seconds=31)
    other = Hand(zombie.cast)
    other.look()
    zombie.answer("paid", Submitted(job_id="job-1"))
    assert statuses(zombie.cast) == {"paid": ["submitted"]}
    clock.advance(seconds=6)
    turn = other.look()
    assert [attempt.job_id for attempt in turn.polls()] == ["job-1"]


@pytest.mark.parametrize("permanent", [True, False])
def test_a_call_that_was_looked_up_and_not_found_is_unknown_and_not_sent_again(clock, permanent):
    zombie = Hand(cast({"key": "paid", "tool": billed(recovery=Recovery.LOOKUP)}))
    zombie.look()
    clock.advance(seconds=31)
    other = Hand(zombie.cast)
    other.look()
    other.answer("paid", refusal("No such job.", permanent=permanent, ambiguous=True), via=Via.POLL)
    clock.advance(seconds=600)
    other.look()
    assert statuses(zombie.cast) == {"paid": ["unknown"]}


def test_a_call_that_was_never_made_is_not_made_after_the_cast_was_cancelled():
    hand = Hand(cast({"key": "paid", "tool": billed()}))
    hand.look()
    hand.calls.clear()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    turn = hand.look()
    assert turn.calls == []
    assert hand.status() == "cancelled"
    assert statuses(hand.cast) == {"paid": ["cancelled"]}


def test_a_call_that_was_never_made_is_not_made_while_the_cast_is_paused():
    hand = Hand(cast({"key": "paid", "tool": billed()}))
    hand.look()
    hand.calls.clear()
    engine.pause(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    assert hand.look().calls == []
    assert hand.claim is None
    engine.resume(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    assert hand.called() == [("paid", 0)]


def test_progress_never_moves_backwards(clock):
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=10))
    for told, shown in ((40, 40), (30, 40), (None, 40), (60, 60)):
        clock.advance(seconds=12)
        hand.look()
        hand.answer("one", Progress(percent=told, stage="painting", poll_after=10), via=Via.POLL)
        assert hand.generation("one").progress["percent"] == shown


def test_progress_by_a_callback_leaves_a_call_with_the_worker_that_makes_it():
    hand = Hand(cast({"key": "one"}))
    hand.look()
    early = Report(generation_id=hand.generation("one").pk, claim=hand.claim, via=Via.CALLBACK, news=Progress(percent=10))
    assert engine.receive(report=early)
    assert statuses(hand.cast) == {"one": ["running"]}
    hand.answer("one", {"n": 1})
    assert hand.status() == "succeeded"


def test_the_sum_of_a_cast_is_the_sum_of_its_generations_to_the_last_place():
    hand = Hand(cast(*({"key": f"s{n}", "tool": billed()} for n in range(3))))
    hand.look()
    for n in range(3):
        hand.answer(f"s{n}", Result(output={}, cost=Cost(usd=Decimal("0.00000000005"))))
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == sum(Generation.objects.values_list("cost_usd", flat=True))


def test_a_call_that_is_written_off_after_the_cast_was_retried_is_not_sent_again(clock):
    hand = Hand(cast({"key": "paid", "tool": billed()}, deadline=timedelta(hours=1)))
    hand.look()
    hand.answer("paid", refusal("The connection was lost.", ambiguous=True))
    clock.advance(hours=2)
    hand.look()
    assert hand.status() == "failed"
    engine.retry(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    engine.resolve(generation_id=hand.generation("paid").pk, now=database_now())
    hand.look()
    assert statuses(hand.cast) == {"paid": ["failed"]}
    assert hand.status() == "failed"


def test_a_cancel_without_a_reason_gets_one():
    hand = Hand(cast({"key": "one"}))
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now(), reason="")
    hand.look()
    assert hand.status() == "cancelled"


def test_give_up_tells_why_in_words_that_every_database_stores():
    hand = Hand(cast({"key": "one"}))
    hand.look()
    assert engine.give_up(claim=hand.claim, message="bad\0 and \ud800" + "x" * 100_000)
    assert hand.status() == "failed"
    assert len(hand.cast.error["message"]) < 10_000


@pytest.mark.parametrize("value", ["1e308 * 10", "[1e308 * 10]", "10 ** 400"])
def test_what_an_expression_makes_is_stored_or_refused_with_its_place(value):
    steps = ({"key": "one"}, {"key": "two", "params": {"v": f"{{{{ {value} if steps.one else 0 }}}}"}})
    hand = Hand(cast(*steps))
    hand.look()
    hand.answer("one", {"n": 1})
    if hand.status() == "running":
        hand.answer("two", {})
    assert hand.status() == "succeeded" or hand.cast.error["code"] == "expression_failed"
