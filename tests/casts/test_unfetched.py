"""Results whose files could not be fetched: parked until they are, without a worker, and never bought again."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from casts import engine
from casts.conductor import settling
from casts.conductor.lanes import Lanes
from casts.engine import Via, fetches
from generations.models import Cancellation, Generation
from generations.tools import registry
from generations.tools.contract import Lost, Progress, Result, Submitted, ToolError
from generations.unfetched import Unfetched
from spells.models import Recovery
from tests.generations.toolbox import keep

from .providers import Provider, register
from .scenes import Hand, billed, cast, cost, statuses, tool

pytestmark = pytest.mark.django_db

URL = "https://files.example.com/a.png"
LEFT: dict[str, Any] = {
    "output": {"image": None, "n": 1},
    "files": [{"at": ["image"], "url": URL, "name": "", "mime_type": ""}],
    "bytes": 0,
}
PRICE = cost("0.25")


def unfetched(*, permanent: bool = False, usd: Any = PRICE, **options: Any) -> Unfetched:
    error = ToolError(f"The output {URL} could not be fetched: 503.", code="output_not_kept", permanent=permanent, **options)
    return Unfetched(left=LEFT, error=error, cost=usd)


def begun(*, slug: str = "scene", pure: bool = False, then: bool = False, **values: Any) -> Hand:
    made_by = tool(Provider.key, **values) if pure else billed(Provider.key, **values)
    later = [{"key": "two", "tool": tool("pure.tool"), "params": {"n": "{{ steps.one.n }}"}}] if then else []
    hand = Hand(cast({"key": "one", "tool": made_by}, *later, slug=slug))
    hand.look()
    return hand


def parked(*, as_job: bool = False, news: Unfetched | None = None, **options: Any) -> Hand:
    """Return a cast whose call is done and whose file is missing: a call that answered, or a job that was asked for."""
    hand = begun(**options)
    if as_job:
        hand.answer("one", Submitted(job_id="job-1", poll_after=0))
        hand.look()
    hand.answer("one", news or unfetched(), via=Via.POLL if as_job else Via.RUN)
    return hand


def tried(hand: Hand, clock: Any, news: Any) -> float:
    """Try again when it is due, and return the seconds until the next try; 0 if there is none."""
    row = hand.generation("one")
    clock.advance(seconds=max(0.0, (row.poll_at - clock.now()).total_seconds()) + 0.001)
    turn = hand.look()
    assert [attempt.id for attempt in turn.polls()] == [row.pk]
    hand.answer("one", news, via=Via.POLL)
    row.refresh_from_db()
    return (row.poll_at - clock.now()).total_seconds() if row.poll_at else 0.0


@pytest.mark.parametrize("as_job", [False, True])
def test_it_waits_without_a_worker_and_its_cost_is_booked_at_once(as_job):
    hand = parked(as_job=as_job)
    row = hand.generation("one")
    assert (row.status, row.unfetched, row.cost_usd) == ("submitted", LEFT, Decimal("0.25"))
    assert row.unfetched_at is not None
    assert (hand.claim, hand.status(), hand.cast.cost_usd) == (None, "running", Decimal("0.25"))
    assert URL in row.progress["trouble"]


@pytest.mark.parametrize("as_job", [False, True])
def test_once_its_files_are_here_the_step_has_succeeded_and_was_paid_for_once(clock, as_job):
    hand = parked(as_job=as_job, then=True)
    assert tried(hand, clock, unfetched(usd=None)) > 0
    tried(hand, clock, Result(output={"image": {"artifact": "a"}, "n": 1}))
    row = hand.generation("one")
    assert (row.status, row.attempt, row.cost_usd, row.unfetched, row.unfetched_at) == ("succeeded", 1, Decimal("0.25"), None, None)
    assert hand.called() == [("two", 0)]
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == Decimal("0.25")


def test_a_free_call_costs_nothing_once_its_files_are_here(clock):
    hand = parked(pure=True, news=unfetched(usd=None))
    assert hand.generation("one").cost_usd is None
    tried(hand, clock, Result(output={"n": 1}))
    assert (hand.status(), hand.generation("one").cost_usd) == ("succeeded", Decimal(0))


def test_the_waits_grow_and_the_last_try_is_before_the_end(clock):
    hand = parked(deadline_seconds=86_400)
    begun_at, waits = clock.now(), []
    while hand.generation("one").status == "submitted":
        waits.append(tried(hand, clock, unfetched(usd=None)))
    assert 5 <= waits[0] <= 5.6
    assert waits[:-3] == pytest.approx(sorted(waits[:-3]), rel=0.11)
    assert max(waits) <= fetches.LONGEST_WAIT_SECONDS * 1.1
    assert 20 < len(waits) < 60
    took = clock.now() - begun_at
    assert fetches.FETCH_FOR - timedelta(seconds=30) < took < fetches.FETCH_FOR


@pytest.mark.parametrize("as_job", [False, True])
def test_it_is_given_up_with_its_address_its_cost_and_what_was_made(clock, as_job):
    hand = parked(as_job=as_job, deadline_seconds=300)
    while hand.generation("one").status == "submitted":
        tried(hand, clock, unfetched(usd=None))
    row = hand.generation("one")
    assert (row.status, row.retry_at, row.cost_usd, row.unfetched) == ("failed", None, Decimal("0.25"), LEFT)
    assert row.error["code"] == "output_not_kept"
    assert row.error["message"] == f"The output {URL} could not be fetched: 503. It was given up after 5 minutes."
    assert (hand.status(), hand.cast.error["code"], hand.cast.cost_usd) == ("failed", "output_not_kept", Decimal("0.25"))


def test_what_will_never_come_is_given_up_at_once():
    hand = parked(news=unfetched(permanent=True))
    row = hand.generation("one")
    assert (row.status, row.error["code"], row.cost_usd, row.unfetched) == ("failed", "output_not_kept", Decimal("0.25"), LEFT)
    assert hand.status() == "failed"


def test_what_was_said_of_waiting_is_heeded_within_bounds(clock):
    for asked, least, most in ((0.0, 5, 5.6), (60.0, 60, 66.1), (86_400.0, 300, 330.1)):
        hand = parked(slug=f"s{asked:.0f}", news=unfetched(retry_after=asked))
        wait = (hand.generation("one").poll_at - clock.now()).total_seconds()
        assert least - 0.5 <= wait <= most


@pytest.mark.parametrize("as_job", [False, True])
def test_a_deadline_that_passed_while_nobody_looked_is_no_unknown_call(clock, as_job):
    hand = parked(as_job=as_job, deadline_seconds=300)
    clock.advance(seconds=400)
    hand.look()
    row = hand.generation("one")
    assert (row.status, row.error["code"], row.unfetched) == ("failed", "output_not_kept", LEFT)
    assert URL in row.error["message"]
    assert hand.status() == "failed"
    assert not Cancellation.objects.exists()


def test_a_deadline_of_the_cast_ends_it_too(clock):
    hand = parked(deadline_seconds=86_400)
    clock.advance(days=30)
    hand.look()
    assert (hand.status(), hand.cast.error["code"]) == ("failed", "deadline_exceeded")
    assert statuses(hand.cast) == {"one": ["failed"]}


@pytest.mark.parametrize("as_job", [False, True])
def test_cancelling_waits_for_no_file_and_asks_no_provider(clock, as_job):
    hand = parked(as_job=as_job)
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    hand.look()
    assert (hand.status(), statuses(hand.cast), hand.cast.cost_usd) == ("cancelled", {"one": ["cancelled"]}, Decimal("0.25"))
    assert hand.generation("one").unfetched == LEFT
    assert not Cancellation.objects.exists()


def test_a_pause_does_not_stop_it_and_what_comes_is_kept(clock):
    hand = parked(then=True)
    engine.pause(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    tried(hand, clock, Result(output={"n": 1}))
    assert (hand.status(), statuses(hand.cast)) == ("paused", {"one": ["succeeded"]})


def test_files_that_are_here_have_their_rows(clock):
    stored = keep(b"half of it")
    hand = begun()
    hand.answer("one", unfetched(), made=[stored])
    assert [row.pk for row in hand.generation("one").artifacts.all()] == [stored.id]


@pytest.mark.parametrize("as_job", [False, True])
def test_a_webhook_may_bring_it_and_later_news_of_the_job_does_not_undo_it(clock, as_job):
    hand = begun()
    if as_job:
        hand.answer("one", Submitted(job_id="job-1", poll_after=600))
    claim = hand.claim or engine.Claim(cast_id=hand.cast.pk, epoch=0, bell=0)
    for news in (unfetched(), Progress(percent=50, poll_after=1)):
        engine.receive(report=engine.Report(generation_id=hand.generation("one").pk, claim=claim, via=Via.CALLBACK, news=news))
    row = hand.generation("one")
    assert (row.status, row.unfetched, row.cost_usd) == ("submitted", LEFT, Decimal("0.25"))


def test_a_job_that_its_provider_forgot_meanwhile_is_not_asked_for(clock, monkeypatch):
    register(monkeypatch)
    hand = parked(as_job=True)
    clock.advance(seconds=10)
    lanes = Lanes(coroutines=1, threads=1, processes=1)
    (order,) = settling.settle(reports=[], claimed=engine.claim(limit=1), lanes=lanes, in_flight=()).orders
    assert order.request.unfetched == LEFT
    assert hand.generation("one").status == "submitted"
    registry.forget()


# Late


def test_what_is_left_of_a_result_that_came_late_is_booked_and_kept(clock):
    hand = begun()
    report = hand.report("one", 0, unfetched())
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    hand.answer("one", {"n": 1})
    engine.take_late(report=report)
    assert hand.generation("one").status == "succeeded"
    assert hand.generation("one").unfetched is None


def lost(clock: Any, *, recovery: str = Recovery.NONE) -> tuple[Hand, Any]:
    """Return a cast whose holder vanished in its call, before anybody judged that, and a report of it."""
    hand = begun(recovery=recovery)
    report = hand.report("one", 0, unfetched())
    clock.advance(seconds=31)
    hand.calls.clear()
    return hand, report


def test_an_unknown_call_whose_result_comes_late_is_parked(clock):
    hand, report = lost(clock)
    hand.claim = None
    hand.look()
    assert statuses(hand.cast) == {"one": ["unknown"]}
    engine.take_late(report=report)
    row = hand.generation("one")
    assert (row.status, row.unfetched, row.finished_at, row.cost_usd) == ("submitted", LEFT, None, Decimal("0.25"))
    tried(hand, clock, Result(output={"n": 1}))
    assert hand.status() == "succeeded"


def test_a_call_of_a_lost_claim_is_parked_before_anybody_judges_it(clock):
    hand, report = lost(clock)
    assert engine.take_late(report=report)
    hand.claim = None
    tried(hand, clock, Result(output={"n": 1}))
    assert (hand.status(), hand.generation("one").attempt) == ("succeeded", 1)


def test_of_a_cast_that_has_ended_nobody_fetches_and_all_is_kept(clock):
    hand, report = lost(clock)
    hand.claim = None
    hand.look()
    clock.advance(days=30)
    hand.look()
    assert hand.status() == "failed"
    assert not engine.take_late(report=report)
    row = hand.generation("one")
    assert (row.status, row.unfetched, row.cost_usd) == ("unknown", LEFT, Decimal("0.25"))
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == Decimal("0.25")
    assert not Generation.objects.live().exists()


def test_a_lost_job_is_still_lost_while_its_result_was_never_seen(clock):
    hand = begun()
    hand.answer("one", Submitted(job_id="job-1", poll_after=0))
    hand.look()
    hand.answer("one", Lost(message="Gone."), via=Via.POLL)
    assert hand.generation("one").error["code"] == "job_lost"
