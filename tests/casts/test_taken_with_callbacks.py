"""Casts that are claimed by whoever takes in a callback of theirs: nobody else may hold them, or be due before them."""

from collections import Counter
from decimal import Decimal
from functools import partial

import pytest

from casts import engine, inbox
from casts.clock import database_now
from casts.conductor import Conductor, claimer
from casts.conductor.batches import BATCH
from casts.conductor.callbacks import Callbacks, Taken, Taker
from casts.conductor.claimer import Claimer
from casts.conductor.database import DatabaseThread
from casts.conductor.errands import Errands, _note
from casts.conductor.holdings import Holdings
from casts.conductor.lanes import Lanes
from casts.conductor.threads import Threads
from casts.engine import Claim, Received, Report, Via
from casts.errands import Errand
from casts.models import Wakeup
from generations.models import Callback
from generations.tools import registry
from generations.tools.contract import Cost, Progress, Result, Submitted

from . import adapters, scenes
from .providers import Provider, do_errands, job_of, register, send
from .scenes import Hand, Unlimited, billed, statuses, tool
from .test_api_parallel import at_once
from .test_conductor import conducting, ended, is_listening, wait_for

pytestmark = pytest.mark.django_db

PRICE = Decimal("0.25")
DONE = Result(output={"n": 1}, cost=Cost(usd=PRICE))
TOLD = {"status": "done", "output": {"n": 1}, "cost": "0.25"}
LATER = 600.0


@pytest.fixture(autouse=True)
def provider(monkeypatch):
    register(monkeypatch, *adapters.ALL)
    yield
    registry.forget()


def submitted(*others: dict[str, object], slug: str = "scene") -> Hand:
    """Cast a step whose provider has taken it as a job, and a second step that waits for it."""
    steps = {"key": "one", "tool": billed(Provider.key)}, {"key": "two", "tool": tool(), "params": {"n": "{{ steps.one.n }}"}}
    hand = Hand(scenes.cast(*steps, *others, slug=slug))
    hand.look()
    hand.answer("one", Submitted(job_id=job_of(hand.generation("one").pk), poll_after=LATER))
    return hand


def told_of(hand: Hand, news: object = DONE) -> Report:
    claim = Claim(cast_id=hand.cast.pk, epoch=0, bell=0)
    return Report(generation_id=hand.generation("one").pk, claim=claim, via=Via.CALLBACK, news=news)  # type: ignore[arg-type] # any news


def take_over(hand: Hand, received: Received) -> Claim:
    """Go on with a cast as whoever took it does: by its claim, and by what is known of it."""
    (hand.claim,) = received.claims
    hand.left = dict(received.left)
    assert hand.left.keys() == {hand.cast.pk}
    return hand.claim


def test_a_cast_that_nobody_holds_is_taken_and_its_next_step_starts_by_what_is_known_of_it():
    hand = submitted()
    before = Wakeup.objects.get()
    received = engine.receive_all(reports=[told_of(hand)], room=1)
    assert received.settled == [True]
    claim = take_over(hand, received)
    wakeup = Wakeup.objects.get()
    assert (claim.epoch, claim.bell, claim.lost) == (before.epoch + 1, before.bell, 0)
    assert (wakeup.epoch, wakeup.bell, wakeup.lost) == (claim.epoch, claim.bell, 0)
    assert wakeup.due_at == wakeup.claimed_until > database_now()
    assert engine.claim(limit=10) == []
    hand.look()  # what is remembered is held against what stands
    assert hand.called() == [("two", 0)]
    assert hand.generation("two").inputs == {"n": 1}
    hand.answer("two", {})
    assert (hand.status(), hand.cast.cost_usd) == ("succeeded", PRICE)


@pytest.mark.parametrize("news", [Progress(percent=40.0, poll_after=60.0), engine.Hint()], ids=["progress", "hint"])
def test_news_that_end_nothing_leave_what_is_known_as_it_stands(news):
    hand = submitted()
    take_over(hand, engine.receive_all(reports=[told_of(hand, news)], room=1))
    turn = hand.look()
    assert len(turn.polls()) == isinstance(news, engine.Hint)
    assert (turn.is_held, statuses(hand.cast)) == (isinstance(news, engine.Hint), {"one": ["submitted"]})


def test_without_room_casts_ring():
    first, second = submitted(slug="first"), submitted(slug="second")
    received = engine.receive_all(reports=[told_of(first), told_of(second)], room=1)
    (taken,) = received.claims
    assert list(received.settled) == [True, True]
    (rung,) = engine.claim(limit=10)
    assert {taken.cast_id, rung.cast_id} == {first.cast.pk, second.cast.pk}
    assert received.left.keys() == {taken.cast_id}


def test_a_cast_that_is_held_rings_and_is_not_taken():
    hand = submitted({"key": "beside"})
    assert hand.claim is not None
    held = Wakeup.objects.get()
    received = engine.receive_all(reports=[told_of(hand)], room=10)
    assert (list(received.claims), dict(received.left)) == ([], {})
    wakeup = Wakeup.objects.get()
    assert (wakeup.epoch, wakeup.bell, wakeup.claimed_until) == (held.epoch, held.bell + 1, held.claimed_until)
    hand.look()
    assert ("two", 0) in hand.called()


def test_a_cast_whose_holder_vanished_is_left_to_a_claim_which_counts_that(clock):
    hand = submitted({"key": "beside"})
    clock.advance(seconds=31)
    assert list(engine.receive_all(reports=[told_of(hand)], room=10).claims) == []
    (claim,) = engine.claim(limit=1)
    assert claim.lost == 1


def test_while_others_are_due_none_is_taken():
    """However often providers call back, what waits has its turn."""
    hand = submitted()
    waiting = scenes.cast({"key": "one"}, slug="waiting")
    assert list(engine.receive_all(reports=[told_of(hand)], room=10).claims) == []
    assert {claim.cast_id for claim in engine.claim(limit=10)} == {hand.cast.pk, waiting.pk}


def test_whoever_held_it_before_is_fenced():
    hand = submitted()
    zombie = Claim(cast_id=hand.cast.pk, epoch=Wakeup.objects.get().epoch, bell=0)
    take_over(hand, engine.receive_all(reports=[told_of(hand)], room=1))
    assert engine.advance(claimed=[zombie], slots=Unlimited()).fenced == [zombie]
    assert engine.hand_back(claims=[zombie]) == 0
    hand.look()
    assert hand.called() == [("two", 0)]


def test_a_ring_after_it_was_taken_is_heard():
    hand = submitted()
    received = engine.receive_all(reports=[told_of(hand)], room=1)
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    take_over(hand, received)
    hand.look()
    assert (hand.status(), statuses(hand.cast)) == ("cancelled", {"one": ["succeeded"]})


def test_if_its_taker_vanishes_another_goes_on_after_the_lease(clock):
    hand = submitted()
    engine.receive_all(reports=[told_of(hand)], room=1)
    assert not hand.take()
    clock.advance(seconds=31)
    hand.look()
    assert hand.called() == [("two", 0)]
    assert hand.claim.lost == 1  # as after any claim of which nothing came
    hand.answer("two", {})
    assert (hand.status(), hand.cast.cost_usd) == ("succeeded", PRICE)


def test_a_cast_that_has_ended_is_not_taken_and_its_cost_is_booked(clock):
    hand = submitted()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    clock.advance(hours=2)
    hand.look()
    assert hand.status() == "cancelled"
    assert not Wakeup.objects.exists()
    received = engine.receive_all(reports=[told_of(hand)], room=1)
    assert (list(received.claims), dict(received.left)) == ([], {})
    assert hand.status() == "cancelled"
    assert hand.cast.cost_usd == PRICE


@pytest.mark.parametrize("beside", [False, True])
def test_news_that_come_twice_change_nothing_the_second_time(beside):
    """In one set or in two; what is known then is what stands."""
    hand = submitted()
    if beside:
        received = engine.receive_all(reports=[told_of(hand), told_of(hand)], room=1)
        assert list(received.settled) == [True, False]
    else:
        received = engine.receive_all(reports=[told_of(hand)], room=1)
        assert list(engine.receive_all(reports=[told_of(hand)], room=1).settled) == [False]
    take_over(hand, received)
    hand.look()
    assert hand.called() == [("two", 0)]
    assert hand.status() == "running"
    assert hand.cast.cost_usd == PRICE


@pytest.mark.django_db(transaction=True)
def test_takers_that_race_for_the_same_casts_get_each_once_and_settle_each_once():
    hands = [submitted(slug=f"scene-{number}") for number in range(8)]

    def receive(number: int) -> Received:
        reports = [told_of(hand) for hand in (hands if number % 2 else reversed(hands))]
        return engine.receive_all(reports=reports, room=3)

    received = at_once(receive, crowd=4)
    taken = Counter(claim.cast_id for each in received for claim in each.claims)
    assert set(taken.values()) <= {1}
    assert taken  # whoever came first found nothing due
    assert sum(changed for each in received for changed in each.settled) == len(hands)
    rung = {claim.cast_id for claim in engine.claim(limit=50)}
    assert rung | taken.keys() == {hand.cast.pk for hand in hands}
    assert not rung & taken.keys()
    for hand in hands:
        hand.cast.refresh_from_db()
        assert hand.cast.cost_usd == PRICE


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_round", range(5))
def test_a_claim_and_a_taker_that_race_get_the_cast_once(_round, clock):
    """It was due for a poll as its callback came."""
    hand = submitted()
    clock.advance(seconds=2 * LATER)
    claims, received = at_once(lambda n: engine.receive_all(reports=[told_of(hand)], room=1) if n else engine.claim(limit=1), crowd=2)
    assert len(claims) + len(received.claims) <= 1
    hand.claim, hand.left = next(iter([*claims, *received.claims]), None), dict(received.left)
    hand.look()
    assert hand.called() == [("two", 0)]


# Callbacks that are stored


def test_a_stored_callback_is_closed_with_what_it_did_as_its_cast_is_taken():
    hand = submitted()
    taken: list[Taken] = []
    send(hand.generation("one"), TOLD)
    do_errands(partial(Callbacks, taker=Taker(room=lambda: 1, take=taken.append, lease_seconds=7.0)))
    assert Callback.objects.get().outcome == "applied"
    (each,) = taken
    assert [claim.cast_id for claim in each.claims] == [hand.cast.pk]
    assert each.left.keys() == {hand.cast.pk}
    assert (Wakeup.objects.get().due_at - database_now()).total_seconds() < 7


def test_what_cannot_be_applied_takes_nothing(monkeypatch):
    """The transaction fails as a whole, is tried by halves, and the callback comes again."""
    hand = submitted()
    send(hand.generation("one"), TOLD)
    taken: list[Taken] = []

    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(inbox, "_close", fails)
    do_errands(partial(Callbacks, taker=Taker(room=lambda: 1, take=taken.append, lease_seconds=7.0)))
    assert taken == []
    assert (Callback.objects.get().outcome, statuses(hand.cast)) == ("received", {"one": ["submitted"]})
    assert Wakeup.objects.get().claimed_until is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("counts", [(1, 2), (2, 2)], ids=["lease", "crash"])
def test_a_stored_callback_that_is_read_twice_at_once_is_applied_once(counts):
    """The lease of the first reader ran out, and it is at it still; or the database crashed and forgot its claim."""
    hand = submitted()
    send(hand.generation("one"), TOLD)
    (row,) = Callback.objects.all()

    def read(attempts: int) -> list[Taken]:
        taken: list[Taken] = []
        doing = Callbacks(threads=Threads(each=1), taker=Taker(room=lambda: 1, take=taken.append, lease_seconds=30.0))
        errand = Errand(id=row.pk, attempts=attempts)
        _note(doing, [inbox.Read(errand=errand, generation_id=hand.generation("one").pk, cast_id=hand.cast.pk, news=DONE)])
        return taken

    Callback.objects.update(attempts=2)
    takers = at_once(lambda number: read(counts[number]), crowd=2)
    assert sum(map(len, takers)) <= 1
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == PRICE
    assert Callback.objects.get().outcome in {"applied", "ignored"}


# A conductor


@pytest.mark.timeout(120)
@pytest.mark.django_db(transaction=True)
def test_a_conductor_looks_at_the_cast_of_a_callback_without_another_claim(monkeypatch):
    """Nor does it ring for it: what it hears and what it polls for is of no use here."""
    steps = (
        {"key": "one", "tool": billed(Provider.key)},
        {"key": "two", "tool": tool(adapters.Echo.key), "params": {"n": "{{ steps.one.n }}"}},
    )
    one = scenes.cast(*steps, outputs={"n": "{{ steps.two.echo.n }}"})
    with conducting(poll=600.0, bells=600.0):
        wait_for(is_listening, what="the conductor listens")
        wait_for(lambda: one.generations.filter(status="submitted").exists(), what="the job is submitted")
        monkeypatch.setattr(engine, "claim", lambda **_: [])
        send(one.generations.get(), TOLD)
        wait_for(lambda: ended(one), what="the cast ends")
    assert (one.status, one.outputs) == ("succeeded", {"n": 1})


def test_a_conductor_takes_no_more_than_it_has_room_for_and_none_as_it_leaves():
    small = Conductor(coroutines=3, threads=2, processes=1)
    assert [Conductor().room(), small.room()] == [BATCH, 3]
    small.stop()
    assert small.room() == 0


def test_no_cast_is_taken_for_a_moment_after_one_was_left_to_others(monkeypatch):
    monkeypatch.setattr(claimer, "CROWDED_SECONDS", LATER)
    database = DatabaseThread()
    errands = Errands(kinds=[], database=database, pause_seconds=LATER, wake=lambda: None, rang=lambda _: None)
    lanes = Lanes(coroutines=3, threads=2, processes=1)
    crowd = Claimer(held=Holdings(lease_seconds=30), lanes=lanes, database=database, errands=errands, pause_seconds=LATER, most=BATCH)
    assert crowd.room() == 3
    crowd.make_way()
    assert crowd.room() == 0
