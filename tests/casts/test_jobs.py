"""Jobs at providers, as the engine keeps them."""

import pytest

from casts import engine
from casts.conductor import settling
from casts.conductor.lanes import Lanes
from casts.engine import Via
from generations.callback_addresses import read_signed_id
from generations.tools.contract import Lost, Result, Submitted
from spells.models import Recovery

from .scenes import Hand, Unlimited, billed, cast, statuses, tool

pytestmark = pytest.mark.django_db

JOB = Submitted(job_id="job-1", poll_after=1, handle={"status_url": "https://queue.example.org/1"})
GONE = Lost(message="There is no job job-1.")


def submitted(clock, **step) -> Hand:
    """Cast a step, let its provider take it as a job, and come to the time of its first poll."""
    hand = Hand(cast({"key": "one", **step}))
    hand.look()
    hand.answer("one", JOB)
    clock.advance(seconds=5)
    hand.look()
    return hand


def looked_up(clock, **step) -> Hand:
    """Cast a step whose worker vanishes, so that its provider must be asked whether it knows of the call."""
    zombie = Hand(cast({"key": "one", **step}))
    zombie.look()
    clock.advance(seconds=31)
    hand = Hand(zombie.cast)
    hand.look()
    return hand


def test_the_handle_of_a_job_comes_back_with_each_poll(clock, settings):
    settings.CALLBACK_ORIGIN = "https://grimoire.example.org"
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    hand.answer("one", JOB)
    clock.advance(seconds=5)
    (claim,) = engine.claim(limit=1)
    settled = settling.settle(reports=[], claimed=[claim], lanes=Lanes(coroutines=1, threads=1, processes=1), in_flight=())
    (order,) = settled.orders
    assert (order.asked.job_id, order.request.job_handle) == ("job-1", JOB.handle)
    signed = order.request.callback_url.rstrip("/").rpartition("/")[2]
    assert read_signed_id(signed, adapter="billed.tool") == order.request.generation_id


def test_a_job_id_that_comes_late_brings_its_handle(clock):
    hand = Hand(cast({"key": "one"}, {"key": "other"}))
    hand.look()
    early = hand.report("one", 0, Result(output={}), via=Via.CALLBACK)
    engine.receive(report=early)
    hand.answer("one", JOB)
    assert (hand.generation("one").job_id, hand.generation("one").job_handle) == ("job-1", JOB.handle)


def test_a_poll_that_tells_nothing_of_the_handle_leaves_it(clock):
    hand = submitted(clock, tool=billed())
    hand.answer("one", Result(output={}), via=Via.POLL)
    assert hand.generation("one").job_handle == JOB.handle


def test_a_billed_job_that_its_provider_lost_fails_with_that_reason(clock):
    hand = submitted(clock, tool=billed())
    hand.answer("one", GONE, via=Via.POLL)
    assert hand.status() == "failed"
    assert (hand.cast.error["code"], hand.cast.error["message"]) == ("job_lost", "There is no job job-1.")


@pytest.mark.parametrize("which", ["says so", "pure"])
def test_a_lost_job_is_submitted_again_as_another_call_if_its_tool_allows(clock, which):
    hand = submitted(clock, tool=billed(retry_lost_jobs=True) if which == "says so" else tool())
    hand.answer("one", GONE, via=Via.POLL)
    clock.advance(seconds=60)
    hand.look()
    first, second = hand.cast.generations.order_by("attempt")
    assert (first.status, first.error["code"], second.status) == ("failed", "job_lost", "running")
    assert first.idempotency_key != second.idempotency_key


def test_a_job_that_is_lost_each_time_ends_with_its_attempts(clock):
    hand = submitted(clock, tool=billed(retry_lost_jobs=True), max_attempts=2)
    hand.answer("one", GONE, via=Via.POLL)
    clock.advance(seconds=60)
    hand.look()
    hand.answer("one", JOB)
    clock.advance(seconds=5)
    hand.look()
    hand.answer("one", GONE, via=Via.POLL)
    assert hand.status() == "failed"
    assert statuses(hand.cast) == {"one": ["failed", "failed"]}


def test_a_call_that_was_looked_up_and_not_found_is_unknown(clock):
    hand = looked_up(clock, tool=billed(recovery=Recovery.LOOKUP, retry_lost_jobs=True))
    hand.answer("one", GONE, via=Via.POLL)
    assert statuses(hand.cast) == {"one": ["unknown"]}
    assert hand.generation("one").error["code"] == "job_not_found"


def test_a_call_that_was_looked_up_and_not_found_is_sent_again_with_the_same_key_only(clock):
    hand = looked_up(clock, tool=billed(recovery=Recovery.LOOKUP))
    billed(recovery=Recovery.RESEND)  # an operator changes the tool meanwhile
    hand.answer("one", GONE, via=Via.POLL)
    clock.advance(seconds=60)
    hand.look()
    first, second = hand.cast.generations.order_by("attempt")
    assert (first.status, first.lost, second.status) == ("failed", True, "running")
    assert first.idempotency_key == second.idempotency_key


def test_a_job_that_is_lost_while_its_cast_is_cancelled_ends_the_cast(clock):
    hand = submitted(clock, tool=billed())
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    hand.look()
    report = hand.report("one", 0, GONE, via=Via.POLL)
    engine.settle(reports=[report], slots=Unlimited())
    assert hand.status() == "cancelled"
