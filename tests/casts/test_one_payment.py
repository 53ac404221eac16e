"""Attempts under one idempotency key are one call to their provider: one outcome, one bill."""

from decimal import Decimal
from uuid import uuid4

import pytest

from casts import engine
from casts.clock import database_now
from casts.engine import Asked, Report, Via
from generations.calls import Call, prepare
from generations.models import Generation
from generations.tools.contract import Lost, Progress, Result, Submitted
from spells.models import Recovery

from .scenes import Hand, billed, cast, cost, refusal, statuses, tool

pytestmark = pytest.mark.django_db

PAID = Result(output={"n": 7}, cost=cost("2"))


def resent(clock, *, recovery=Recovery.RESEND, first_key=None, **values):
    """Return a holder whose call was lost with its claim, and one that has sent it again under its key."""
    zombie = Hand(cast({"key": "paid", "tool": billed(recovery=recovery), **values}))
    zombie.look()
    zombie.cast.generations.update(owed_key=first_key)
    clock.advance(seconds=31)
    other = Hand(zombie.cast)
    other.look()
    clock.advance(seconds=3)
    other.look()
    assert statuses(zombie.cast) == {"paid": ["failed", "running"]}
    assert len(set(keys(zombie.cast))) == 1
    return zombie, other


def keys(cast):
    return [attempt.idempotency_key for attempt in cast.generations.order_by("attempt")]


def test_a_key_that_stands_with_the_first_sending_is_the_second_ones(clock):
    """Each attempt had one of its own before it was its id."""
    key = uuid4()
    zombie, _ = resent(clock, first_key=key)
    assert keys(zombie.cast) == [key, key]
    first, second = zombie.cast.generations.order_by("attempt")
    one, other = prepare(calls=[Call.of(each, tool=each.tool, owner_id=zombie.cast.initiator_id) for each in (first, second)])
    assert (one.idempotency_key, one.callback_url) == (other.idempotency_key, other.callback_url)
    engine.take_late(report=told_of_the_first(zombie, PAID, Via.RUN))
    assert booked(zombie.cast) == (2, 2)


def told_of_the_first(hand, news, via):
    first = hand.cast.generations.earliest("attempt")
    return Report(generation_id=first.pk, claim=hand.claim or engine.Claim(cast_id=hand.cast.pk, epoch=0, bell=0), via=via, news=news)


def booked(cast):
    cast.refresh_from_db()
    return cast.cost_usd, sum(each or 0 for each in cast.generations.values_list("cost_usd", flat=True))


def test_a_late_result_of_the_first_sending_settles_the_second_and_is_paid_once(clock):
    zombie, other = resent(clock)
    engine.take_late(report=told_of_the_first(zombie, PAID, Via.RUN))
    other.answer("paid", PAID)
    other.look()
    assert statuses(zombie.cast) == {"paid": ["failed", "succeeded"]}
    assert other.status() == "succeeded"
    assert booked(zombie.cast) == (2, 2)


def test_what_the_second_sending_brings_is_paid_once_though_the_first_tells_its_cost_later(clock):
    zombie, other = resent(clock)
    other.answer("paid", PAID)
    engine.take_late(report=told_of_the_first(zombie, PAID, Via.RUN))
    assert booked(zombie.cast) == (2, 2)
    assert other.status() == "succeeded"


def test_a_cost_that_was_booked_with_the_first_sending_stands_there_for_the_second(clock):
    zombie, other = resent(clock)
    failed = refusal("No.", permanent=True, cost=cost("2"))
    engine.take_late(report=told_of_the_first(zombie, failed, Via.RUN))
    other.answer("paid", PAID)
    first, second = zombie.cast.generations.order_by("attempt")
    assert (first.cost_usd, second.cost_usd) == (2, 0)
    assert second.cost_basis == {"billed_with": str(first.pk)}
    assert booked(zombie.cast) == (2, 2)


def test_a_failure_of_the_first_sending_is_no_failure_of_the_second(clock):
    zombie, _ = resent(clock)
    engine.take_late(report=told_of_the_first(zombie, refusal("No.", permanent=True), Via.RUN))
    assert statuses(zombie.cast) == {"paid": ["failed", "running"]}


@pytest.mark.parametrize("news", [PAID, refusal("It broke.", permanent=True, cost=cost("2"))], ids=["result", "failure"])
def test_a_webhook_to_the_address_of_the_first_sending_settles_the_second(clock, news):
    zombie, other = resent(clock)
    other.answer("paid", Submitted(job_id="job-1", poll_after=600))
    assert engine.receive(report=told_of_the_first(zombie, news, Via.CALLBACK))
    other.look()
    assert statuses(zombie.cast) == {"paid": ["failed", "succeeded" if news is PAID else "failed"]}
    assert booked(zombie.cast) == (2, 2)


def test_a_hint_to_the_address_of_the_first_sending_has_the_job_of_the_second_asked_for(clock):
    zombie, other = resent(clock)
    other.answer("paid", Submitted(job_id="job-1", poll_after=600))
    engine.receive(report=told_of_the_first(zombie, engine.Hint(), Via.CALLBACK))
    turn = other.look()
    assert [attempt.job_id for attempt in turn.polls()] == ["job-1"]


def test_a_job_that_only_the_first_sending_names_is_the_second_ones(clock):
    zombie, other = resent(clock)
    other.claim = None
    engine.take_late(report=told_of_the_first(zombie, Submitted(job_id="job-1"), Via.RUN))
    clock.advance(seconds=31)
    third = Hand(zombie.cast)
    turn = third.look()
    assert [attempt.job_id for attempt in turn.polls()] == ["job-1"]
    assert statuses(zombie.cast) == {"paid": ["failed", "submitted"]}


def test_a_second_sending_that_vanished_too_is_settled_by_what_the_first_brought(clock):
    zombie = Hand(cast({"key": "paid", "tool": billed(recovery=Recovery.RESEND)}))
    zombie.look()
    clock.advance(seconds=31)
    second = Hand(zombie.cast)
    second.look()
    assert statuses(zombie.cast) == {"paid": ["failed"]}
    engine.take_late(report=told_of_the_first(zombie, PAID, Via.RUN))
    clock.advance(seconds=3)
    second.look()
    clock.advance(seconds=31)
    Hand(zombie.cast).look()
    assert statuses(zombie.cast) == {"paid": ["failed", "succeeded"]}
    assert booked(zombie.cast) == (2, 2)


def test_the_calls_of_a_pure_tool_cost_what_they_cost_each(clock):
    zombie = Hand(cast({"key": "free", "tool": tool()}))
    zombie.look()
    clock.advance(seconds=31)
    other = Hand(zombie.cast)
    other.look()
    clock.advance(seconds=3)
    other.look()
    other.answer("free", Result(output={}, cost=cost("1")))
    engine.take_late(report=told_of_the_first(zombie, Result(output={}, cost=cost("1")), Via.RUN))
    assert booked(zombie.cast) == (2, 2)


# The key of the next attempt


def next_key(hand, clock):
    clock.advance(seconds=60)
    hand.look()
    return keys(hand.cast)[-1]


@pytest.mark.parametrize("news", [refusal("Busy."), refusal("Slow down.", code="rate_limited", retry_after=1)], ids=["refused", "excused"])
def test_a_refusal_of_the_second_sending_leaves_the_key_to_the_third(clock, news):
    zombie, other = resent(clock, max_attempts=5)
    other.answer("paid", news)
    assert next_key(other, clock) == keys(zombie.cast)[0]
    assert statuses(zombie.cast) == {"paid": ["failed", "failed", "running"]}


def test_a_call_that_was_never_made_leaves_the_key_to_the_next(clock):
    zombie, other = resent(clock)
    other.calls.clear()
    engine.cancel(cast_id=zombie.cast.pk, actor_id=None, now=database_now())
    other.look()
    assert other.status() == "cancelled"
    engine.retry(cast_id=zombie.cast.pk, actor_id=None, now=database_now())
    assert next_key(other, clock) == keys(zombie.cast)[0]


def test_a_key_whose_call_is_known_to_have_failed_is_not_borne_again(clock):
    zombie, other = resent(clock, max_attempts=5)
    other.answer("paid", refusal("It broke.", cost=cost("2")))
    assert next_key(other, clock) != keys(zombie.cast)[0]


def test_a_key_whose_job_has_failed_is_not_borne_again(clock):
    zombie, other = resent(clock, max_attempts=5)
    other.answer("paid", Submitted(job_id="job-1", poll_after=1))
    clock.advance(seconds=3)
    other.look()
    other.answer("paid", refusal("It broke."), via=Via.POLL)
    assert next_key(other, clock) != keys(zombie.cast)[0]


def test_a_pure_call_that_was_refused_after_a_loss_is_a_new_one(clock):
    zombie = Hand(cast({"key": "free", "max_attempts": 5}))
    zombie.look()
    clock.advance(seconds=31)
    other = Hand(zombie.cast)
    other.look()
    clock.advance(seconds=3)
    other.look()
    other.answer("free", refusal("Busy."))
    assert next_key(other, clock) != keys(zombie.cast)[0]


def test_a_cost_that_came_with_no_answer_is_booked(clock):
    hand = Hand(cast({"key": "paid", "tool": billed(recovery=Recovery.RESEND)}))
    hand.look()
    hand.answer("paid", refusal("The answer cannot be read.", ambiguous=True, cost=cost("2")))
    assert booked(hand.cast) == (2, 2)
    clock.advance(seconds=3)
    hand.look()
    hand.answer("paid", PAID)
    assert booked(hand.cast) == (2, 2)


def test_a_cost_that_came_with_no_answer_is_booked_with_a_call_that_is_looked_up(clock):
    hand = Hand(cast({"key": "paid", "tool": billed(recovery=Recovery.LOOKUP)}))
    hand.look()
    hand.answer("paid", refusal("The answer cannot be read.", ambiguous=True, cost=cost("2")))
    assert statuses(hand.cast) == {"paid": ["submitted"]}
    assert booked(hand.cast) == (2, 2)
    hand.look()
    hand.answer("paid", PAID, via=Via.POLL)
    assert hand.status() == "succeeded"
    assert booked(hand.cast) == (2, 2)


# What was asked for


def submitted(clock, *, job_id="", poll_after=1):
    hand = Hand(cast({"key": "paid", "tool": billed(recovery=Recovery.LOOKUP)}))
    hand.look()
    hand.answer("paid", Submitted(job_id=job_id, poll_after=poll_after) if job_id else refusal("Lost.", ambiguous=True))
    clock.advance(seconds=3)
    (poll,) = hand.look().polls()
    return hand, poll


def answer_poll(hand, poll, news):
    asked = Asked(job_id=poll.job_id, poll_at=poll.poll_at)
    report = Report(generation_id=poll.id, claim=hand.claim, via=Via.POLL, news=news, asked=asked)
    return engine.settle(reports=[report], slots=hand.slots).turns


def test_a_job_that_was_looked_up_keeps_the_id_that_was_found(clock):
    hand, poll = submitted(clock)
    answer_poll(hand, poll, Submitted(job_id="job-1", poll_after=0, handle={"url": "there"}))
    found = Generation.objects.get(pk=poll.id)
    assert (found.status, found.job_id, found.job_handle) == ("submitted", "job-1", {"url": "there"})


@pytest.mark.parametrize(
    "news", [Lost(message="No such job."), refusal("Cannot be asked.", permanent=True, ambiguous=True)], ids=["lost", "error"]
)
def test_what_a_look_up_did_not_find_is_asked_for_again_by_the_id_that_came_meanwhile(clock, news):
    hand, poll = submitted(clock)
    engine.take_late(report=Report(generation_id=poll.id, claim=hand.claim, via=Via.RUN, news=Submitted(job_id="job-1")))
    (turn,) = answer_poll(hand, poll, news)
    assert [attempt.job_id for attempt in turn.polls()] == ["job-1"]
    assert statuses(hand.cast) == {"paid": ["submitted"]}


def test_what_a_look_up_says_of_the_cost_is_booked_though_the_job_is_asked_for_again(clock):
    hand, poll = submitted(clock)
    engine.take_late(report=Report(generation_id=poll.id, claim=hand.claim, via=Via.RUN, news=Submitted(job_id="job-1")))
    answer_poll(hand, poll, refusal("It broke.", cost=cost("2")))
    assert statuses(hand.cast) == {"paid": ["submitted"]}
    assert booked(hand.cast) == (2, 2)
    (again,) = hand.look().polls()
    answer_poll(hand, again, refusal("It broke.", permanent=True, cost=cost("2")))
    assert hand.status() == "failed"
    assert booked(hand.cast) == (2, 2)


@pytest.mark.parametrize(
    "news", [Progress(percent=10, poll_after=60), engine.Unasked(error=refusal("Away."), poll_after=60)], ids=["progress", "unasked"]
)
def test_a_hint_that_comes_during_a_poll_is_not_lost_by_its_answer(clock, news):
    hand, poll = submitted(clock, job_id="job-1")
    clock.advance(seconds=1)
    engine.receive(report=Report(generation_id=poll.id, claim=hand.claim, via=Via.CALLBACK, news=engine.Hint()))
    clock.advance(seconds=1)
    (turn,) = answer_poll(hand, poll, news)
    assert [attempt.job_id for attempt in turn.polls()] == ["job-1"]


def test_costs_are_decimals_to_the_last_place(clock):
    zombie, other = resent(clock)
    other.answer("paid", Result(output={}, cost=cost("0.0000000001")))
    engine.take_late(report=told_of_the_first(zombie, Result(output={}, cost=cost("0.0000000001")), Via.RUN))
    assert booked(zombie.cast) == (Decimal("1e-10"), Decimal("1e-10"))


def test_what_is_sent_again_names_the_same_address_for_callbacks(clock, settings):
    settings.CALLBACK_ORIGIN = "https://grimoire.example.org"
    zombie, _ = resent(clock)
    first, second = (
        Call.of(each, tool=each.tool, owner_id=zombie.cast.initiator_id) for each in zombie.cast.generations.order_by("attempt")
    )
    (before,), (after,) = prepare(calls=[first]), prepare(calls=[second])
    assert before.callback_url == after.callback_url
    assert before.generation_id != after.generation_id
