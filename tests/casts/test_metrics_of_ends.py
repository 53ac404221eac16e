"""Whatever way an end, a cost or an error takes into the database, it is counted: once, when it is committed."""

from decimal import Decimal

import pytest
from django.db import OperationalError, transaction

from casts import engine
from casts.clock import database_now
from casts.conductor import settling
from casts.conductor.lanes import Lanes
from casts.engine import Report, Via, measuring
from casts.metrics import counters
from casts.models import BreakerState
from generations.tools import registry
from generations.tools.contract import Result, Submitted
from tests.factories import ProviderFactory, ToolFactory

from .factories import CallbackFactory, GateFactory, WaiterFactory
from .providers import Provider, do_errands, job_of, register, send
from .scenes import Hand, Unlimited, billed, cast, cost, refusal
from .test_metrics import from_nothing, scrape, value

__all__ = ["from_nothing"]

pytestmark = pytest.mark.django_db(transaction=True)

PAID = billed.__defaults__[0]


def called(**values) -> Hand:
    hand = Hand(cast({"key": "one", "tool": billed(**values)}))
    hand.look()
    return hand


def lose(hand: Hand) -> None:
    """Let another conductor find that the holder of the claim is gone."""
    hand.claim = None
    hand.calls.clear()
    hand.look()


def late(hand: Hand, news) -> Report:
    claim, generation = hand.claim, hand.generation("one")
    return Report(generation_id=generation.pk, claim=claim, via=Via.RUN, news=news)


def test_what_cannot_be_told_of_one_end_keeps_no_other_from_being_told(monkeypatch, caplog):
    real = measuring._tell_of_attempt

    def tell(ended) -> None:
        if ended.step == "one":
            raise RuntimeError("no room left for this label")
        real(ended)

    monkeypatch.setattr(measuring, "_tell_of_attempt", tell)
    paid = billed()
    hand = Hand(cast({"key": "one", "tool": paid}, {"key": "two", "tool": paid}))
    hand.look()
    reports = [
        Report(generation_id=hand.generation(key).pk, claim=hand.claim, via=Via.RUN, news=Result(output={}, cost=cost("0.5")))
        for key in ("one", "two")
    ]
    engine.settle(reports=reports, slots=Unlimited())
    assert set(hand.cast.generations.values_list("status", flat=True)) == {"succeeded"}
    assert value("grimoire_steps_ended_total", tool=paid.slug, outcome="succeeded") == 1
    assert value("grimoire_cost_usd_total", tool=paid.slug) == pytest.approx(1.0)
    assert "no room left for this label" in caplog.text


def test_a_job_that_ends_by_its_providers_callback_is_counted_with_its_time_and_its_cost(monkeypatch):
    register(monkeypatch)
    hand = called(slug=Provider.key)
    hand.answer("one", Submitted(job_id=job_of(hand.generation("one").pk), poll_after=600))
    send(hand.generation("one"), {"status": "done", "output": {"n": 1}, "cost": "0.25"})
    do_errands()
    assert value("grimoire_steps_ended_total", tool=Provider.key, outcome="succeeded") == 1
    assert value("grimoire_cost_usd_total", tool=Provider.key) == pytest.approx(0.25)
    assert value("grimoire_step_duration_seconds_count", tool=Provider.key) == 1
    registry.forget()


def test_callbacks_are_counted_as_they_come_in_and_as_they_are_applied(monkeypatch):
    register(monkeypatch)
    hand = called(slug=Provider.key)
    generation = hand.generation("one")
    hand.answer("one", Submitted(job_id=job_of(generation.pk), poll_after=600))
    send(generation, {"status": "done", "output": {}}, X_Delivery="a")
    send(generation, {"status": "done", "output": {}}, X_Delivery="a")
    send(generation, {"status": "done", "output": {}}, X_Delivery="b")
    send(generation, {"status": "done", "output": {}}, X_Signature="forged")
    assert value("grimoire_callbacks_waiting") == 2
    do_errands()
    told = scrape()
    by = {
        name: {dict(labels)["outcome"]: count for (found, labels), count in told.items() if found == name and count}
        for name in ("grimoire_callbacks_total", "grimoire_callbacks_done_total")
    }
    assert by["grimoire_callbacks_total"] == {"stored": 2, "repeated": 1, "refused": 1}
    assert by["grimoire_callbacks_done_total"] == {"applied": 1, "ignored": 1}
    assert told["grimoire_callbacks_waiting", ()] == 0
    registry.forget()


def test_the_age_of_the_oldest_callback_that_waits_is_told(clock):
    assert value("grimoire_callback_lag_seconds") == 0
    CallbackFactory.create(received_at=clock.now())
    clock.advance(seconds=40)
    assert 40 <= value("grimoire_callback_lag_seconds") < 60


def test_what_a_call_cost_is_counted_though_its_answer_came_too_late(clock):
    hand = called()
    zombie = late(hand, Result(output={}, cost=cost("0.50")))
    clock.advance(seconds=31)
    lose(hand)  # judged: it may have been billed
    assert value("grimoire_steps_ended_total", tool=PAID, outcome="unknown") == 1
    assert engine.take_late(report=zombie)
    told = scrape()
    assert told["grimoire_cost_usd_total", (("tool", PAID),)] == pytest.approx(0.5)
    # it ended once, as a call of unknown fate: what was learnt of it later is no second end
    assert told.get(("grimoire_steps_ended_total", (("outcome", "succeeded"), ("tool", PAID))), 0.0) == 0.0


def test_the_cost_of_a_call_that_was_settled_otherwise_is_counted_once(clock):
    hand = called()
    zombie = late(hand, Result(output={}, cost=cost("0.50")))
    hand.answer("one", refusal(permanent=True))
    for _ in range(2):
        engine.take_late(report=zombie)
    assert value("grimoire_cost_usd_total", tool=PAID) == pytest.approx(0.5)


def test_what_an_operator_says_that_a_call_cost_is_counted(clock):
    hand = called()
    clock.advance(seconds=31)
    lose(hand)
    engine.resolve(generation_id=hand.generation("one").pk, now=database_now(), output={}, cost_usd=Decimal("0.75"))
    assert value("grimoire_cost_usd_total", tool=PAID) == pytest.approx(0.75)


def test_a_cast_that_is_given_up_has_ended_with_its_calls():
    hand = called()
    engine.give_up(claim=hand.claim, message="It cannot be advanced.")
    assert value("grimoire_casts_ended_total", outcome="failed") == 1
    assert value("grimoire_steps_ended_total", tool=PAID, outcome="unknown") == 1


def test_what_was_rolled_back_did_not_happen():
    hand = called()
    with transaction.atomic():
        hand.answer("one", {})
        transaction.set_rollback(True)
    assert value("grimoire_steps_ended_total", tool=PAID, outcome="succeeded") == 0
    assert value("grimoire_casts_ended_total", outcome="succeeded") == 0


def test_looks_and_results_that_the_database_did_not_take_are_counted(monkeypatch):
    hand = called()

    def away(**_):
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(engine, "settle_in_time", away)
    lanes = Lanes(coroutines=1, threads=1, processes=1)
    with pytest.raises(OperationalError):
        settling.settle(reports=[late(hand, Result(output={}))], claimed=[], lanes=lanes, in_flight=set())
    assert value("grimoire_continuations_total", outcome="interrupted") == 1
    assert value("grimoire_settlements_total", outcome="interrupted") == 1


def test_the_state_of_each_breaker_is_told_and_how_many_casts_wait_there():
    GateFactory.create(provider=ProviderFactory(slug="replicate"), tool=None, state=BreakerState.HALF_OPEN, since=database_now())
    closed = GateFactory.create(tool=ToolFactory(slug="image.paint"))
    WaiterFactory.create_batch(2, gate=closed)
    told = scrape()
    states = {
        (dict(labels)["owner"], dict(labels)["kind"], dict(labels)["state"]): on
        for (name, labels), on in told.items()
        if name == "grimoire_breaker_state"
    }
    assert states == {
        ("replicate", "provider", "closed"): 0,
        ("replicate", "provider", "open"): 0,
        ("replicate", "provider", "half_open"): 1,
        ("image.paint", "tool", "closed"): 1,
        ("image.paint", "tool", "open"): 0,
        ("image.paint", "tool", "half_open"): 0,
    }
    assert told["grimoire_casts_waiting_for_room", ()] == 2


def test_a_counter_whose_labels_are_known_begins_at_zero():
    """Without a first sample, the first event of a kind is no increase that an alert could see."""
    told = scrape()
    for outcome in ("created", "repeated", "refused", "failed"):
        assert told["grimoire_casts_started_total", (("outcome", outcome),)] == 0
    for outcome in ("succeeded", "failed", "cancelled"):
        assert told["grimoire_casts_ended_total", (("outcome", outcome),)] == 0
    for reason in ("wakeup_missing", "deadline_passed", "conductor_dead"):
        assert told["grimoire_healed_total", (("reason", reason),)] == 0
    assert told["grimoire_claims_lost_total", ()] == 0


def test_the_codes_of_errors_are_bounded_however_many_a_provider_invents(monkeypatch):
    monkeypatch.setattr(counters, "codes_seen", set())
    for number in range(3 * counters.MOST_CODES):
        assert len(counters.code_label(f"invented_{number}")) < 50
    assert counters.code_label("x" * 500) == counters.OTHER
    assert counters.code_label("Job 4711 of ada@example.org") == counters.OTHER
    assert len(counters.codes_seen) <= counters.MOST_CODES
    assert counters.code_label("one too many") == counters.OTHER


def test_a_step_that_ends_without_a_call_is_counted():
    hand = Hand(cast({"key": "one", "when": "{{ false }}"}))
    hand.look()
    assert value("grimoire_steps_ended_total", tool="pure.tool", outcome="skipped") == 1
