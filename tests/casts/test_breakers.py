"""Providers that ask for rest or are away: nobody calls them meanwhile, and no attempt is burnt by it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from casts import engine
from casts.clock import database_now
from casts.conductor import settling
from casts.conductor.lanes import Lanes
from casts.engine import Unasked, Via, breakers
from casts.engine.breakers import Evidence, learn
from casts.models import Gate, GateEvent, Waiter, Wakeup
from generations.models import Generation
from generations.tools.contract import Progress, Submitted, ToolError
from spells.models import Recovery

from .scenes import Hand, Unlimited, billed, cast, statuses, tool, user, version
from .test_gates import Own, casts_of, is_due, looked, provider

pytestmark = pytest.mark.django_db(transaction=True)


def outage(**values) -> ToolError:
    return ToolError("faraway answered 503.", code="provider_error", outage=True, **values)


class Deadlock(Exception):
    sqlstate = "40P01"


def test_an_outage_that_is_handed_in_again_since_its_set_conflicts_counts_once(far_tool, monkeypatch):
    """A neighbour that no transaction takes for now has all reports come again, those that are settled, too."""
    own = Hand(cast({"key": "one", "tool": far_tool}, {"key": "two", "tool": far_tool}, slug="own"))
    neighbour = Hand(cast({"key": "one"}, slug="neighbour"))
    claims = {claim.cast_id: claim for claim in engine.claim(limit=10)}
    own.claim, neighbour.claim = claims[own.cast.pk], claims[neighbour.cast.pk]
    own.look()
    neighbour.look()
    settle = engine.settle_in_time

    def conflicting(*, claimed, **values):
        if any(claim.cast_id == neighbour.cast.pk for claim in claimed):
            raise OperationalError("deadlock detected") from Deadlock()
        return settle(claimed=claimed, **values)

    monkeypatch.setattr(engine, "settle_in_time", conflicting)
    reports = [own.report("one", 0, outage()), neighbour.report("one", 0, {"n": 1})]
    lanes = Lanes(coroutines=5, threads=5, processes=2)
    for _ in range(3):
        with pytest.raises(OperationalError):
            # the last one is tried first: its neighbours are settled before it is found to conflict
            settling.settle(reports=reports, claimed=[neighbour.claim, own.claim], lanes=lanes, in_flight={own.generation("two").pk})
        assert gate_now().failures == 1


def throttled(seconds: float) -> ToolError:
    return ToolError("faraway answered 429.", code="rate_limited", retry_after=seconds)


@pytest.fixture
def faraway():
    return provider(failures_to_open=3, first_wait_seconds=30, max_wait_seconds=600)


@pytest.fixture
def far_tool(faraway):
    return tool("far.tool", provider=faraway, max_attempts=3, backoff_seconds=1.0, max_backoff_seconds=1.0)


def gate_now() -> Gate:
    return Gate.objects.get()


def fail(started, error: ToolError) -> Hand:
    hand = looked(started)
    hand.answer("one", error)
    return hand


@pytest.fixture
def opened(far_tool, faraway, clock):
    """Casts that wait since the breaker of their provider opened."""
    started = casts_of(version({"key": "one", "tool": far_tool}), *["ada"] * 4)
    for hand in [looked(each) for each in started[:3]]:
        hand.answer("one", outage())
    assert gate_now().state == "open"
    clock.advance(seconds=2)
    for each in started:
        looked(each)
    return started


# Retry-After


def test_a_provider_that_asks_for_rest_is_called_by_nobody_until_then(far_tool, clock):
    first, second = casts_of(version({"key": "one", "tool": far_tool}), "ada", "bob")
    fail(first, throttled(20))
    assert looked(second).called() == []
    clock.advance(seconds=18)
    engine.tend_gates()
    assert not is_due(second)
    clock.advance(seconds=5)
    engine.tend_gates()
    assert is_due(second)
    assert looked(second).called() == [("one", 0)]


def test_a_rest_is_the_tools_own_where_there_is_no_provider():
    pinned = version({"key": "one", "tool": tool("near.tool")})
    first, second = casts_of(pinned, "ada", "ada")
    fail(first, throttled(20))
    assert looked(second).called() == []
    assert looked(cast({"key": "one", "tool": tool("other.tool")}, slug="other")).called() == [("one", 0)]


def test_a_call_that_was_throttled_is_made_again_without_counting(far_tool, clock):
    started = cast({"key": "one", "tool": far_tool})
    for _ in range(5):
        fail(started, throttled(20))
        assert started.generations.latest("attempt").excused
        clock.advance(seconds=30)
    looked(started).answer("one", {})
    started.refresh_from_db()
    assert started.status == "succeeded"
    assert statuses(started) == {"one": ["failed"] * 5 + ["succeeded"]}


def test_a_refusal_without_a_time_counts(far_tool, clock):
    started = cast({"key": "one", "tool": far_tool})
    for _ in range(3):
        fail(started, ToolError("Your quota is spent.", code="rate_limited"))
        clock.advance(seconds=2)
    started.refresh_from_db()
    assert started.status == "failed"


def test_a_provider_that_always_asks_for_no_rest_is_tried_less_and_less_often(clock):
    started = cast({"key": "one", "tool": tool("near.tool", backoff_seconds=60.0, max_backoff_seconds=3600.0)})
    waits = []
    for _ in range(6):
        fail(started, throttled(0.0))
        waits.append(started.generations.latest("attempt").retry_at - database_now())
        clock.advance(hours=2)
    assert max(waits) > timedelta(seconds=60)


# Places that the caller names


def elsewhere(**values) -> ToolError:
    return ToolError("shop.example.org is not there.", elsewhere=True, **values)


@pytest.mark.parametrize("said", [{"code": "unreachable", "outage": True}, {"code": "rate_limited", "retry_after": 86_400.0}])
def test_a_place_that_a_caller_names_shuts_the_tool_for_nobody_else(said, clock):
    pinned = version({"key": "one", "tool": tool("near.tool", backoff_seconds=1.0)})
    for _ in range(6):
        (started,) = casts_of(pinned, "eve")
        fail(started, elsewhere(**said))
        assert not started.generations.get().excused
    assert not Gate.objects.exclude(state="closed").exists()
    assert not Gate.objects.filter(quiet_until__isnull=False).exists()
    (other,) = casts_of(pinned, "bob")
    assert looked(other).called() == [("one", 0)]


# Opening


def test_outages_before_the_breaker_opens_burn_no_attempt(faraway, clock):
    started = cast({"key": "one", "tool": tool("far.tool", provider=faraway, max_attempts=1, backoff_seconds=1.0, max_backoff_seconds=1.0)})
    for _ in range(3):
        fail(started, outage())
        clock.advance(seconds=2)
    assert gate_now().state == "open"
    assert looked(started).called() == []
    clock.advance(seconds=30)
    engine.tend_gates()
    looked(started).answer("one", {})
    started.refresh_from_db()
    assert started.status == "succeeded"
    assert statuses(started) == {"one": ["failed"] * 3 + ["succeeded"]}


def test_outages_that_only_one_call_meets_count_in_the_end(far_tool, clock):
    pinned = version({"key": "one", "tool": far_tool})
    (unlucky,) = casts_of(pinned, "ada")
    for _ in range(6):
        assert not fail(unlucky, outage()).calls
        (lucky,) = casts_of(pinned, "bob")
        looked(lucky).answer("one", {})
        clock.advance(seconds=2)
    assert gate_now().state == "closed"
    unlucky.refresh_from_db()
    assert unlucky.status == "failed", "three were excused, and three counted"
    assert list(unlucky.generations.order_by("attempt").values_list("excused", flat=True)) == [True] * 3 + [False] * 3


def test_outages_in_a_row_open_the_breaker_and_calls_wait(opened):
    gate = gate_now()
    assert (gate.state, gate.failures, gate.wait_seconds) == ("open", 3, 30)
    assert 20 < (gate.retry_at - database_now()).total_seconds() <= 30
    assert gate.errors[0]["message"] == "faraway answered 503."
    assert Waiter.objects.count() == 4
    assert GateEvent.objects.get().reason.startswith("3 outages in a row")


def test_an_answer_in_between_resets_the_count(far_tool):
    hands = [looked(each) for each in casts_of(version({"key": "one", "tool": far_tool}), *["ada"] * 6)]
    for hand, news in zip(hands, [outage(), outage(), {}, outage(), outage(), ToolError("No.", permanent=True)], strict=True):
        hand.answer("one", news)
    assert (gate_now().state, gate_now().failures) == ("closed", 0)


def test_polls_count_as_evidence(far_tool):
    started = cast({"key": "one", "tool": far_tool})
    hand = looked(started)
    hand.answer("one", Submitted(job_id="job"))
    for _ in range(3):
        hand = Own(started)
        Wakeup.objects.update(due_at=database_now())
        Generation.objects.update(poll_at=database_now())
        hand.look()
        hand.answer("one", Unasked(error=outage(), poll_after=5.0), via=Via.POLL)
    assert gate_now().state == "open"
    assert started.generations.get().status == "submitted"


def test_what_cancellations_meet_counts_as_evidence(far_tool):
    generation = looked(cast({"key": "one", "tool": far_tool})).generation("one")
    for _ in range(2):
        engine.learn_from_asking(met={generation.pk: outage()})
    assert gate_now().failures == 2
    engine.learn_from_asking(met={generation.pk: None})
    assert gate_now().failures == 0
    engine.learn_from_asking(met={})


def test_errors_of_our_own_say_nothing_of_a_provider(far_tool):
    hands = [looked(each) for each in casts_of(version({"key": "one", "tool": far_tool}), *["ada"] * 2)]
    hands[0].answer("one", outage())
    hands[1].answer("one", ToolError("No key.", code="secret_missing", permanent=True))
    assert gate_now().failures == 1


# Trying again


def test_one_call_tries_when_the_wait_is_over(opened, clock):
    clock.advance(seconds=31)
    engine.tend_gates()
    assert [is_due(each) for each in opened].count(True) == 1
    hands = [looked(each) for each in opened]
    assert [len(hand.called()) for hand in hands].count(1) == 1
    assert gate_now().state == "half_open"
    assert gate_now().probe == Generation.objects.live().get()


def trying(casts) -> Hand:
    """Tell those that wait, and return the one that tries."""
    engine.tend_gates()
    (hand,) = [hand for hand in map(looked, casts) if hand.called()]
    return hand


def try_once(casts, news) -> None:
    trying(casts).answer("one", news)


def test_an_answer_to_the_try_closes_the_breaker_and_brings_all_back(opened, clock):
    clock.advance(seconds=31)
    try_once(opened, {})
    assert (gate_now().state, gate_now().failures) == ("closed", 0)
    left = [each for each in opened if Wakeup.objects.filter(pk=each.pk).exists()]
    assert all(is_due(each) for each in left)
    assert [looked(each).called() for each in left] == [[("one", 0)]] * 3
    assert list(GateEvent.objects.order_by("pk").values_list("kind", flat=True)) == ["opened", "tried", "closed"]


def test_each_failed_try_doubles_the_wait_up_to_the_longest(opened, clock):
    waits = []
    for _ in range(6):
        clock.advance(seconds=601)
        try_once(opened, outage())
        waits.append(gate_now().wait_seconds)
    assert waits == [60, 120, 240, 480, 600, 600]


def test_a_try_that_died_with_its_worker_makes_room_for_another(opened, clock):
    clock.advance(seconds=31)
    hand = trying(opened)
    clock.advance(seconds=31)
    looked(hand.cast)
    engine.tend_gates()
    clock.advance(seconds=11)
    others = [each for each in opened if each.pk != hand.cast.pk]
    assert [len(looked(each).called()) for each in [*others, hand.cast]].count(1) == 1
    assert gate_now().state == "half_open"


def test_nobody_else_tries_before_it_is_known_what_the_try_met(opened, clock, monkeypatch):
    """The call is settled in one commit, and what it met is learnt in the next. Should the second never come, another tries."""
    clock.advance(seconds=31)
    hand = trying(opened)
    monkeypatch.setattr(breakers, "learn", lambda **_: None)
    hand.answer("one", outage())
    assert hand.generation("one").finished_at
    others = [each for each in opened if each.pk != hand.cast.pk]
    assert [looked(each).called() for each in others] == [[]] * 3
    clock.advance(seconds=11)
    assert len(trying(others).called()) == 1


def test_an_old_call_that_fails_while_another_tries_decides_nothing(far_tool, opened, clock):
    clock.advance(seconds=31)
    hand = trying(opened)
    other = Generation.objects.exclude(pk=gate_now().probe_id).first()
    learn(evidence=[Evidence(tool=far_tool, generation_id=other.pk, outage=outage())])
    assert gate_now().probe_id == hand.generation("one").pk


def test_an_answer_to_a_poll_brings_the_try_forward(opened, far_tool, clock):
    clock.advance(seconds=31)
    try_once(opened, outage())
    clock.advance(seconds=40)
    learn(evidence=[Evidence(tool=Gate.objects.get().provider.tools.get(), generation_id=Generation.objects.first().pk)])
    assert gate_now().retry_at <= database_now()


def test_many_that_would_try_at_once_make_one_try(faraway, clock):
    many = casts_of(version({"key": "one", "tool": tool("far.tool", provider=faraway)}), *["ada", "bob"] * 10)
    gate = Gate.objects.create(provider=faraway, state="open", since=database_now(), retry_at=database_now())
    claims = [engine.claim(limit=4) for _ in range(5)]
    assert sum(map(len, claims)) == len(many)

    def advance(claimed):
        try:
            return [call for turn in engine.advance(claimed=claimed, slots=Unlimited()).turns for call in turn.calls]
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        calls = [call for made in pool.map(advance, claims) for call in made]
    assert len(calls) == 1
    gate.refresh_from_db()
    assert gate.probe_id == calls[0].pk


# What is counted


@pytest.mark.parametrize("recovery", [Recovery.NONE, Recovery.RESEND])
def test_a_provider_that_is_down_for_half_an_hour_burns_no_attempts(faraway, clock, recovery):
    far = billed("far.tool", recovery=recovery, provider=faraway, max_attempts=3, backoff_seconds=1.0, max_backoff_seconds=60.0)
    casts = casts_of(version({"key": "one", "tool": far}), *["ada", "bob"] * 2)
    back_at = clock.now() + timedelta(minutes=30)
    answered = 0
    while any(Wakeup.objects.filter(pk=each.pk).exists() for each in casts):
        engine.tend_gates()
        for each in casts:
            if Wakeup.objects.filter(pk=each.pk).exists() and is_due(each):
                hand = looked(each)
                if hand.called():
                    is_back = clock.now() > back_at
                    answered += is_back
                    # timed out, with resend: nobody knows whether it arrived, and it is sent again with the same key
                    hand.answer("one", {} if is_back else outage(ambiguous=recovery == Recovery.RESEND))
        clock.advance(seconds=30)
        assert clock.now() < back_at + timedelta(minutes=30)
    assert answered == len(casts)
    for each in casts:
        each.refresh_from_db()
        assert each.status == "succeeded"
        assert each.generations.filter(status="failed", excused=False).count() <= 2
    assert Generation.objects.filter(excused=True).exists()
    keys = {attempt.idempotency_key for attempt in Generation.objects.filter(cast=casts[0])}
    assert len(keys) == 1 or recovery == Recovery.NONE


def test_progress_of_a_running_call_is_no_answer(far_tool, opened):
    assert gate_now().state == "open"
    generation = Generation.objects.first()
    report = engine.Report(
        generation_id=generation.pk, claim=engine.Claim(cast_id=generation.cast_id, epoch=1, bell=0), via=Via.RUN, news=Progress()
    )
    assert engine.breakers.evidence_of(report, None) is None


# By hand


def test_an_operator_opens_a_breaker_and_only_an_operator_closes_it(faraway, far_tool, clock):
    engine.open_breaker(owner=faraway, reason="They told us of works.", by="ada", actor_id=user("ada").pk)
    started = cast({"key": "one", "tool": far_tool})
    looked(started)
    clock.advance(hours=2)
    engine.tend_gates()
    looked(started)
    assert not Generation.objects.exists()
    engine.close_breaker(owner=faraway, reason="The works are over.", by="bob")
    assert is_due(started)
    assert looked(started).called() == [("one", 0)]
    assert list(GateEvent.objects.order_by("pk").values_list("kind", "by", "actor__username", "reason")) == [
        ("opened", "ada", "ada", "They told us of works."),
        ("closed", "bob", None, "The works are over."),
    ]


def test_closing_by_hand_ends_a_rest_too(faraway, far_tool):
    first, second = casts_of(version({"key": "one", "tool": far_tool}), "ada", "ada")
    fail(first, throttled(3600))
    looked(second)
    engine.close_breaker(owner=faraway, reason="A mistake.", by="ada")
    assert looked(second).called() == [("one", 0)]


def test_a_disabled_provider_fails_what_would_call_it(faraway, far_tool):
    started = cast({"key": "one", "tool": far_tool})
    provider(enabled=False)
    looked(started)
    started.refresh_from_db()
    assert (started.status, started.error["code"]) == ("failed", "tool_disabled")
    with pytest.raises(engine.ToolDisabledError):
        cast({"key": "one", "tool": far_tool}, slug="another")
