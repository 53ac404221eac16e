"""Polls: rarer as a job grows old, at once when there is a reason, bounded, and never two of one job."""

from datetime import timedelta
from typing import NamedTuple

import pytest

from casts import engine, watching
from casts.conductor import settling
from casts.conductor.lanes import Lanes
from casts.engine import Unasked, Via
from generations.models import Generation
from generations.tools import registry
from generations.tools.contract import Progress, Submitted, ToolError
from tests.api import client_of, get

from .providers import Provider, do_errands, register, send
from .scenes import Hand, Limited, billed, cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def provider(monkeypatch):
    register(monkeypatch)
    yield
    registry.forget()


def submitted(slug="scene", **options) -> Hand:
    hand = Hand(cast({"key": "one", "tool": billed(Provider.key, deadline_seconds=86_400)}, slug=slug), **options)
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=2))
    return hand


class Wait(NamedTuple):
    """The seconds until the next poll, from before the answer that set them and from after it: however long that took, they lie between."""

    since_before: float
    since_after: float

    def is_within(self, least: float, most: float) -> bool:
        return least <= self.since_before and self.since_after <= most


def answered(hand: Hand, clock, news: Progress | Unasked) -> Wait:
    before = clock.now()
    hand.answer("one", news, via=Via.POLL)
    after, poll_at = clock.now(), hand.generation("one").poll_at
    return Wait((poll_at - before).total_seconds(), (poll_at - after).total_seconds())


def polled(hand: Hand, clock, *, after: float, asked: float = 2, percent: float | None = None) -> Wait:
    """Poll when the job has that age, and return how long it is until the next poll."""
    clock.advance(seconds=after)
    turn = hand.look()
    assert turn.polls()
    return answered(hand, clock, Progress(poll_after=asked, percent=percent))


@pytest.mark.parametrize(
    ("age", "asked", "least", "most"), [(3, 2, 1.8, 2.3), (80, 2, 9.8, 11.2), (4000, 2, 59, 66.5), (10, 300, 299, 330.5)]
)
def test_a_job_is_asked_for_more_rarely_as_it_grows_old_and_never_more_often_than_its_adapter_says(clock, age, asked, least, most):
    assert polled(submitted(), clock, after=age, asked=asked).is_within(least, most)


def test_a_job_of_a_cast_that_is_being_cancelled_is_asked_for_often(clock):
    hand = submitted()
    clock.advance(seconds=600)
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    assert polled(hand, clock, after=1).is_within(0, 3.4)
    assert polled(hand, clock, after=90).is_within(59, 100)


REFUSED = ToolError("api.test answered 401 Unauthorized: This key was withdrawn.", code="unauthorized", permanent=True)


def unasked(hand: Hand, clock, *, after: float) -> Wait:
    """Have a poll refused when the job has that age, and return how long it is until the next."""
    clock.advance(seconds=after)
    hand.look()
    return answered(hand, clock, Unasked(error=REFUSED, poll_after=5.0))


def test_a_job_whose_provider_cannot_be_asked_is_asked_for_ever_more_rarely(clock):
    hand = submitted()
    first, second, last = (unasked(hand, clock, after=after) for after in (3, 100, 600))
    assert (first.is_within(5, 5.5), last.is_within(59, 66.5)) == (True, True)
    assert first.since_after < second.since_before <= last.since_before
    assert hand.generation("one").status == "submitted"


def test_why_a_provider_could_not_be_asked_is_shown_until_it_can(clock):
    hand = submitted()
    polled(hand, clock, after=3, percent=40)
    unasked(hand, clock, after=60)
    (told,) = get(client_of(hand.cast.initiator), "/generations/").json()["results"]
    assert told["progress"] == {"percent": 40, "stage": "", "preview": None, "trouble": REFUSED.message}
    (line,) = watching.look(cast_id=hand.cast.pk).steps
    assert (line.percent, line.note) == (40, REFUSED.message)
    polled(hand, clock, after=120)
    (told,) = get(client_of(hand.cast.initiator), "/generations/").json()["results"]
    assert told["progress"] == {"percent": 40, "stage": "", "preview": None, "trouble": ""}
    assert watching.look(cast_id=hand.cast.pk).steps[0].note == ""


def test_a_job_that_could_not_be_asked_for_until_its_deadline_says_why(clock):
    hand = submitted()
    unasked(hand, clock, after=3)
    clock.advance(seconds=86_400)
    hand.look()
    generation = hand.generation("one")
    assert (generation.status, generation.error["code"]) == ("unknown", "deadline_exceeded")
    assert generation.error["message"].endswith(f"It could not be asked last: {REFUSED.message}")


def test_a_job_with_a_poll_at_work_is_not_asked_again(clock):
    hand = submitted()
    clock.advance(seconds=5)
    turn = hand.look()
    (asked,) = turn.polls()
    send(hand.generation("one"), {"status": "hint"})
    do_errands()
    again = engine.advance(claimed=[hand.claim], slots=hand.slots, in_flight={asked.id})
    assert [attempt for each in again.turns for attempt in each.polls()] == []


def test_polls_beyond_the_quota_are_put_off_and_hold_no_cast(clock):
    hands = [submitted(f"job-{n}") for n in range(4)]
    clock.advance(seconds=10)
    claims, before = engine.claim(limit=10), clock.now()
    advanced = engine.advance(claimed=claims, slots=Limited(left=10, polls=1))
    after = clock.now()
    polls = [attempt for turn in advanced.turns for attempt in turn.polls()]
    assert len(polls) == 1
    assert sum(turn.is_held for turn in advanced.turns) == 1
    put_off = [row.poll_at for row in Generation.objects.exclude(pk=polls[0].id)]
    assert len(put_off) == len(hands) - 1
    assert all(before < poll_at <= after + timedelta(seconds=2.1) for poll_at in put_off)


def test_polls_and_calls_have_places_of_their_own():
    lanes = Lanes(coroutines=1, threads=1, processes=1, polls=2)
    reservation = lanes.reserve()
    room = reservation.slots()
    assert [room.may_poll() for _ in range(3)] == [True, True, False]
    assert room.has_room(billed(Provider.key), apart=False, seconds=60)
    lanes.close()
    reservation.give_back()
    assert lanes.reserve().slots().may_poll()


@pytest.mark.parametrize(("run_timeout", "allowed"), [(600, settling.POLL_SECONDS), (5, 5)])
def test_a_poll_may_take_half_a_minute_and_no_longer_than_a_call(clock, run_timeout, allowed):
    hand = submitted()
    billed(Provider.key, deadline_seconds=86_400, run_timeout_seconds=run_timeout)
    clock.advance(seconds=5)
    claims = engine.claim(limit=1)
    lanes = Lanes(coroutines=1, threads=1, processes=1)
    (order,) = settling.settle(reports=[], claimed=claims, lanes=lanes, in_flight=()).orders
    assert (order.asked.job_id, order.request.timeout_seconds) == ("job-1", allowed)
    assert hand.generation("one").status == "submitted"
