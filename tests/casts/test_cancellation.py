"""Cancelling at the provider: an errand of its own, recorded, and what becomes of the cast meanwhile (fault 21)."""

from decimal import Decimal

import pytest

from casts import engine, errands
from casts.conductor.cancellations import Cancellations
from casts.engine import Via
from generations.models import Cancellation
from generations.tools import registry
from generations.tools.contract import Progress, Submitted, ToolError
from tests.api import client_of, get

from .providers import Provider, Unsigned, do_errands, register, send
from .scenes import Hand, Unlimited, billed, cast, cost, statuses, tool
from .test_api_parallel import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def provider(monkeypatch):
    register(monkeypatch)
    yield
    registry.forget()


def ask_providers() -> None:
    do_errands(Cancellations)


def submitted(which=None, **step) -> Hand:
    hand = Hand(cast({"key": "one", "tool": which or billed(Provider.key, deadline_seconds=3600), **step}))
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=600))
    return hand


def cancel(hand: Hand, clock) -> None:
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    hand.look()


def outcome() -> str:
    return Cancellation.objects.get().outcome


def test_a_cancelled_cast_has_its_provider_stop_the_job_and_ends_when_it_has(clock):
    hand = submitted()
    cancel(hand, clock)
    assert (hand.status(), outcome()) == ("running", "pending")
    ask_providers()
    assert (Provider.cancelled, outcome()) == (["job-1"], "requested")
    turn = hand.look()
    assert len(turn.polls()) == 1
    hand.answer("one", ToolError("Cancelled.", code="cancelled", permanent=True, cost=cost("0.02")), via=Via.POLL)
    assert (hand.status(), hand.cast.cost_usd) == ("cancelled", Decimal("0.02"))


def test_a_provider_is_asked_once_however_often_the_cast_is_looked_at(clock):
    hand = submitted()
    for _ in range(3):
        cancel(hand, clock)
    assert Cancellation.objects.count() == 1
    ask_providers()
    ask_providers()
    assert Provider.cancelled == ["job-1"]


def test_a_job_of_a_pure_tool_is_stopped_and_waited_for_by_nobody(clock):
    hand = submitted(tool(Provider.key))
    cancel(hand, clock)
    assert (hand.status(), statuses(hand.cast)) == ("cancelled", {"one": ["cancelled"]})
    ask_providers()
    assert (Provider.cancelled, outcome()) == (["job-1"], "requested")


def test_a_job_whose_provider_confirmed_and_never_said_how_it_ended_is_unknown_after_a_minute(clock):
    hand = submitted()
    cancel(hand, clock)
    ask_providers()
    hand.look()
    clock.advance(seconds=30)
    hand.answer("one", Progress(poll_after=600), via=Via.POLL)
    assert hand.status() == "running"
    clock.advance(seconds=31)
    hand.look()
    assert (hand.status(), statuses(hand.cast)) == ("cancelled", {"one": ["unknown"]})
    assert hand.generation("one").error["code"] == "cancelled"


def test_a_result_after_the_cancel_is_booked_and_not_applied(clock):
    hand = submitted()
    cancel(hand, clock)
    ask_providers()
    clock.advance(seconds=61)
    hand.look()
    send(hand.generation("one"), {"status": "done", "output": {"n": 1}, "cost": "0.30"})
    do_errands()
    assert (hand.status(), hand.cast.cost_usd) == ("cancelled", Decimal("0.30"))
    assert hand.cast.outputs is None


def test_a_cast_whose_provider_did_not_confirm_waits_for_its_job(clock):
    hand = submitted(billed(Unsigned.key, deadline_seconds=3600))
    cancel(hand, clock)
    ask_providers()
    assert outcome() == "unsupported"
    clock.advance(seconds=120)
    hand.look()
    assert hand.status() == "running"


def test_a_job_whose_id_comes_after_the_cancel_is_stopped_too(clock):
    hand = Hand(cast({"key": "one", "tool": billed(Provider.key)}))
    hand.look()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    hand.answer("one", Submitted(job_id="job-1", poll_after=600))
    ask_providers()
    assert Provider.cancelled == ["job-1"]


def test_a_job_whose_id_comes_after_the_end_of_its_cast_is_stopped_too(clock):
    zombie = Hand(cast({"key": "one", "tool": billed(Provider.key)}))
    zombie.look()
    report = zombie.report("one", 0, Submitted(job_id="job-1"))
    engine.cancel(cast_id=zombie.cast.pk, actor_id=None, now=clock.now())
    clock.advance(seconds=31)
    Hand(zombie.cast).look()
    assert zombie.status() == "cancelled"
    engine.settle(reports=[report], slots=Unlimited())
    ask_providers()
    assert Provider.cancelled == ["job-1"]


@pytest.mark.parametrize("whose", ["the job's", "the cast's"])
def test_a_job_past_a_deadline_is_unknown_and_stopped(clock, whose):
    hand = submitted(deadline_seconds=60 if whose == "the job's" else None)
    clock.advance(hours=25 if whose == "the cast's" else 0, seconds=61)
    hand.look()
    assert statuses(hand.cast) == {"one": ["unknown"]}
    ask_providers()
    assert Provider.cancelled == ["job-1"]


def test_a_cast_that_is_given_up_has_its_jobs_stopped(clock):
    hand = submitted()
    clock.advance(seconds=700)
    (claim,) = engine.claim(limit=1)
    engine.give_up(claim=claim, message="It cannot be advanced.")
    ask_providers()
    assert (hand.status(), Provider.cancelled) == ("failed", ["job-1"])


def test_a_provider_that_would_not_is_not_asked_again_and_its_words_are_kept(clock, monkeypatch):
    monkeypatch.setattr(Provider, "refusal", ToolError("It is too late for that.", permanent=True))
    hand = submitted()
    cancel(hand, clock)
    ask_providers()
    row = Cancellation.objects.get()
    assert (row.outcome, row.said) == ("refused", "It is too late for that.")
    (told,) = get(client_of(hand.cast.initiator), "/generations/").json()["results"]
    assert told["cancellation"]["outcome"] == "refused"
    assert told["cancellation"]["said"] == "It is too late for that."


@pytest.mark.parametrize(
    "refusal",
    [
        ToolError("The connection was refused."),
        ToolError("This key was withdrawn.", code="unauthorized", permanent=True),
        ToolError("There is no key.", code="secret_missing", permanent=True),
    ],
    ids=str,
)
def test_a_provider_that_cannot_be_asked_is_asked_again_a_few_times(clock, monkeypatch, refusal):
    monkeypatch.setattr(Provider, "refusal", refusal)
    cancel(submitted(), clock)
    for tries in range(1, 7):
        ask_providers()
        assert Cancellation.objects.get().attempts == tries == len(Provider.cancelled)
        clock.advance(minutes=10)
    ask_providers()
    assert (outcome(), len(Provider.cancelled)) == ("failed", 6)


def test_a_job_that_succeeded_meanwhile_is_left_alone(clock):
    hand = submitted()
    cancel(hand, clock)
    send(hand.generation("one"), {"status": "done", "cost": "0.10"})
    do_errands()
    ask_providers()
    assert (Provider.cancelled, outcome()) == ([], "needless")
    hand.look()
    assert hand.status() == "cancelled"


def test_the_errand_outlives_its_cast_and_its_conductor(clock):
    cancel(submitted(tool(Provider.key)), clock)
    assert errands.claim(Cancellation, limit=1)
    clock.advance(seconds=61)
    ask_providers()
    assert Provider.cancelled == ["job-1"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(10))
def test_a_cancel_that_races_the_end_of_the_job_leaves_one_end_and_one_charge(round_, clock):
    hand = submitted()
    send(hand.generation("one"), {"status": "done", "cost": "0.10"})
    refused = []

    def try_to_cancel() -> None:
        try:
            cancel(hand, clock)
        except engine.TransitionRefusedError as error:
            refused.append(error.status)

    ways = (do_errands, try_to_cancel, lambda: Hand(hand.cast).look())
    at_once(lambda n: ways[n](), crowd=3)
    clock.advance(seconds=61)
    for _ in range(3):
        ask_providers()
        Hand(hand.cast).look()
        hand.cast.refresh_from_db()
    assert hand.cast.status in (refused or ("cancelled", "succeeded"))
    assert hand.cast.cost_usd == Decimal("0.10")
    assert statuses(hand.cast) == {"one": ["succeeded"]}
