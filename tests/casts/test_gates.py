"""Limits of tools and providers over all processes: who may start, who waits, and who is told of room."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from casts import engine
from casts.clock import database_now
from casts.engine import Via
from casts.models import Gate, Waiter, Wakeup
from generations.models import Generation
from generations.tools.contract import Result, Submitted, ToolError
from generations.unfetched import Unfetched
from spells.models import Provider

from .scenes import Hand, cast, statuses, tool, user, version

pytestmark = pytest.mark.django_db(transaction=True)


def provider(slug: str = "faraway", **values):
    return Provider.objects.update_or_create(slug=slug, defaults={"name": slug, **values})[0]


@pytest.fixture
def one_at_once():
    return tool("one.at.once", max_in_flight=1)


def casts_of(pinned, *names: str):
    return [engine.start(version=pinned, initiator_id=user(name).pk, inputs={}, now=database_now()).cast for name in names]


class Own(Hand):
    """A hand that leaves the other casts that are due to others."""

    def take(self) -> bool:
        claims = engine.claim(limit=1000)
        self.claim = next((each for each in claims if each.cast_id == self.cast.pk), None)
        engine.hand_back(claims=[each for each in claims if each.cast_id != self.cast.pk])
        return self.claim is not None


def looked(started) -> Hand:
    hand = Own(started)
    hand.look()
    return hand


def is_due(started) -> bool:
    wakeup = Wakeup.objects.get(pk=started.pk)
    return wakeup.claimed_until is None and wakeup.due_at <= database_now()


# In flight


def test_a_call_beyond_the_limit_is_not_inserted_and_its_cast_is_let_go_to_wait(one_at_once):
    first, second = casts_of(version({"key": "one", "tool": one_at_once}), "ada", "ada")
    assert looked(first).called() == [("one", 0)]
    hand = looked(second)
    assert hand.called() == []
    assert hand.claim is None
    assert not Generation.objects.filter(cast=second).exists()
    assert Waiter.objects.get().cast_id == second.pk
    assert not is_due(second)


def test_the_end_of_a_call_rings_for_one_that_waits(one_at_once):
    first, second, third = casts_of(version({"key": "one", "tool": one_at_once}), "ada", "ada", "ada")
    running = looked(first)
    looked(second)
    looked(third)
    running.answer("one", {})
    assert is_due(second)
    assert not is_due(third)
    assert looked(second).called() == [("one", 0)]
    assert [waiter.cast_id for waiter in Waiter.objects.all()] == [third.pk]


def test_a_job_at_a_provider_takes_room_until_it_ends(one_at_once):
    first, second = casts_of(version({"key": "one", "tool": one_at_once}), "ada", "ada")
    running = looked(first)
    running.answer("one", Submitted(job_id="job"))
    assert looked(second).called() == []
    assert not is_due(second)


def test_a_call_whose_files_alone_are_waited_for_takes_no_room(one_at_once, clock):
    first, second, third = casts_of(version({"key": "one", "tool": one_at_once}), "ada", "ada", "ada")
    running = looked(first)
    looked(second)
    looked(third)
    left = {"output": {"file": None}, "files": [{"at": ["file"], "url": "https://a.test/1", "name": "", "mime_type": ""}], "bytes": 0}
    running.answer("one", Unfetched(left=left, error=ToolError("It could not be fetched.")))
    assert is_due(second)
    assert looked(second).called() == [("one", 0)]
    clock.advance(seconds=6)
    running.look()
    running.answer("one", Result(output={}), via=Via.POLL)
    assert statuses(first) == {"one": ["succeeded"]}
    assert not is_due(third)  # no room came free by that


def test_the_slot_of_a_dead_worker_comes_back_when_its_call_is_judged(one_at_once, clock):
    first, second = casts_of(version({"key": "one", "tool": one_at_once}), "ada", "ada")
    looked(first)
    looked(second)
    clock.advance(seconds=31)
    looked(first)
    assert statuses(first) == {"one": ["failed"]}
    assert is_due(second)
    assert looked(second).called() == [("one", 0)]


def test_room_that_a_result_makes_is_used_by_the_next_step_in_the_same_look(one_at_once):
    started = cast({"key": "one", "tool": one_at_once}, {"key": "two", "tool": one_at_once, "params": {"n": "{{ steps.one.n }}"}})
    hand = looked(started)
    hand.answer("one", {"n": 1})
    assert hand.called() == [("two", 0)]


def test_a_fan_out_starts_as_many_items_as_there_is_room_for():
    three = tool("three.at.once", max_in_flight=3)
    hand = looked(cast({"key": "each", "tool": three, "for_each": "{{ [1, 2, 3, 4, 5] }}"}))
    assert hand.called() == [("each", 0), ("each", 1), ("each", 2)]
    hand.answer("each", {}, item=1)
    assert hand.called() == [("each", 0), ("each", 2), ("each", 3)]


def test_a_step_that_is_skipped_asks_for_no_room(one_at_once):
    pinned = version({"key": "one", "tool": one_at_once}, slug="busy")
    looked(*casts_of(pinned, "ada"))
    started = cast({"key": "one", "tool": one_at_once, "when": "{{ false }}"}, slug="idle")
    looked(started)
    started.refresh_from_db()
    assert started.status == "succeeded"


def test_a_step_that_becomes_ready_by_a_skipped_one_is_started_at_once(one_at_once):
    started = cast(
        {"key": "maybe", "when": "{{ false }}", "tool": tool()},
        {"key": "then", "tool": one_at_once, "params": {"n": "{{ steps.maybe }}"}},
    )
    hand = looked(started)
    assert is_due(started)
    assert hand.called() == []
    assert looked(started).called() == [("then", 0)]


def test_tools_of_one_provider_share_its_limit():
    shared = provider(max_in_flight=2)
    one, two = tool("far.one", provider=shared), tool("far.two", provider=shared)
    hands = [looked(each) for each in casts_of(version({"key": "a", "tool": one}, {"key": "b", "tool": two}), "ada", "ada")]
    assert [hand.called() for hand in hands] == [[("a", 0), ("b", 0)], []]


def test_a_tool_without_limits_asks_nothing_of_the_database():
    plain, limited = tool("plain.tool"), tool("limited.tool", max_in_flight=5)
    counts = []
    for each in (plain, limited):
        started = cast({"key": "one", "tool": each}, slug=each.slug.replace(".", "-"))
        hand = Hand(started)
        hand.take()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            hand.look()
        asked = [query["sql"] for query in queries if "casts_gate" in query["sql"] or "casts_waiter" in query["sql"]]
        counts.append(len(asked))
    assert counts[0] == 1, "the tools are read with their gates"
    assert counts[1] > 1


def test_a_cast_that_is_paused_or_cancelled_waits_no_longer(one_at_once):
    first, second, third = casts_of(version({"key": "one", "tool": one_at_once}), "ada", "ada", "ada")
    looked(first)
    looked(second)
    looked(third)
    engine.pause(cast_id=second.pk, actor_id=None, now=database_now())
    engine.cancel(cast_id=third.pk, actor_id=None, now=database_now())
    looked(second)
    looked(third)
    assert not Waiter.objects.exists()


def test_the_deadline_of_a_cast_runs_on_while_it_waits(one_at_once, clock):
    first, second = casts_of(version({"key": "one", "tool": one_at_once}), "ada", "ada")
    running = looked(first)
    running.answer("one", Submitted(job_id="job"))
    looked(second)
    clock.advance(hours=25)
    looked(second)
    second.refresh_from_db()
    assert (second.status, second.error["code"]) == ("failed", "deadline_exceeded")
    assert not Waiter.objects.filter(pk=second.pk).exists()


def test_a_ring_that_was_missed_costs_time_only(one_at_once, clock):
    first, second = casts_of(version({"key": "one", "tool": one_at_once}), "ada", "ada")
    running = looked(first)
    looked(second)
    Generation.objects.filter(cast=first).update(status="cancelled", reason="by hand", finished_at=database_now())
    assert running.called()
    engine.tend_gates()
    assert not is_due(second)
    clock.advance(seconds=11)
    engine.tend_gates()
    assert is_due(second)


def test_a_limit_that_is_lifted_lets_all_go_on(one_at_once, clock):
    first, second, third = casts_of(version({"key": "one", "tool": one_at_once}), "ada", "ada", "ada")
    for each in (first, second, third):
        looked(each)
    tool("one.at.once", max_in_flight=None)
    clock.advance(seconds=11)
    engine.tend_gates()
    assert not Waiter.objects.exists()
    assert [looked(each).called() for each in (second, third)] == [[("one", 0)], [("one", 0)]]


# Between initiators


def test_two_initiators_share_the_room_whatever_the_number_of_their_casts(clock):
    four = tool("four.at.once", max_in_flight=4)
    pinned = version({"key": "one", "tool": four})
    many, few = casts_of(pinned, *["ada"] * 60), casts_of(pinned, *["bob"] * 6)
    hands = {each.pk: looked(each) for each in [*many[:12], *few]}
    ended = []
    for _ in range(8):
        running = [hand for hand in hands.values() if hand.calls]
        assert len(running) <= 4
        hand = min(running, key=lambda hand: hand.generation("one").started_at)
        hand.answer("one", {})
        ended.append(hand.cast.initiator_id)
        hands.update({each.pk: looked(each) for each in [*many[:12], *few] if Wakeup.objects.filter(pk=each.pk).exists() and is_due(each)})
        if len(ended) >= 4:
            live = Generation.objects.live().values_list("cast__initiator__username", flat=True)
            assert sorted(live) == ["ada", "ada", "bob", "bob"]
    assert ended[4:].count(user("bob").pk) == 2


def test_a_single_slot_goes_round(one_at_once):
    pinned = version({"key": "each", "tool": one_at_once, "for_each": "{{ [1, 2, 3] }}"})
    ada, bob = casts_of(pinned, "ada", "bob")
    hands = {each.pk: looked(each) for each in (ada, bob)}
    served = []
    for _ in range(6):
        (hand,) = [hand for hand in hands.values() if hand.calls]
        ((_, item),) = hand.called()
        served.append(hand.cast.initiator.username)
        hand.answer("each", {}, item=item)
        for each in (ada, bob):
            if not hands[each.pk].calls and Wakeup.objects.filter(pk=each.pk).exists():
                hands[each.pk].look()
    assert served == ["ada", "bob"] * 3


def test_a_newcomer_leaves_room_to_a_cast_that_was_told_of_it(one_at_once):
    pinned = version({"key": "one", "tool": one_at_once})
    first, second = casts_of(pinned, "ada", "ada")
    running = looked(first)
    looked(second)
    running.answer("one", {})
    (newcomer,) = casts_of(pinned, "ada")
    assert looked(newcomer).called() == []
    assert looked(second).called() == [("one", 0)]


def test_room_is_not_kept_for_a_cast_that_was_told_and_never_looked(one_at_once, clock):
    pinned = version({"key": "one", "tool": one_at_once})
    first, second = casts_of(pinned, "ada", "ada")
    running = looked(first)
    looked(second)
    running.answer("one", {})
    (newcomer,) = casts_of(pinned, "ada")
    clock.advance(seconds=11)
    assert looked(newcomer).called() == [("one", 0)]


# Per minute


def test_no_more_calls_start_within_a_minute_than_allowed(clock):
    three = tool("three.a.minute", max_per_minute=3)
    started = casts_of(version({"key": "one", "tool": three}), *["ada"] * 8)
    for each in started:
        looked(each)
    assert Generation.objects.count() == 3
    clock.advance(seconds=58)
    engine.tend_gates()
    assert not any(is_due(each) for each in started[3:])
    clock.advance(seconds=4)
    engine.tend_gates()
    assert [is_due(each) for each in started[3:]] == [True, True, True, False, False]
    for each in started[3:]:
        if is_due(each):
            looked(each)
    assert Generation.objects.count() == 6
    begun = sorted(Generation.objects.values_list("started_at", flat=True))
    assert all(later - earlier >= timedelta(seconds=60) for earlier, later in zip(begun, begun[3:], strict=False))


def test_a_minute_is_counted_over_all_tools_of_a_provider(clock):
    shared = provider(max_per_minute=2)
    one, two = tool("far.one", provider=shared), tool("far.two", provider=shared)
    hand = looked(cast({"key": "a", "tool": one}, {"key": "b", "tool": two}, {"key": "c", "tool": one}))
    assert hand.called() == [("a", 0), ("b", 0)]
    hand.answer_all({("a", 0): {}, ("b", 0): {}})
    assert hand.called() == []
    assert Gate.objects.get().owner == shared
