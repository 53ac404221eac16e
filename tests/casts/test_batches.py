"""Two batches of one conductor at once: of different casts, in what room there is, and neither waits for the other."""

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import takewhile
from uuid import uuid4

import pytest
from django.db import OperationalError

from casts import engine
from casts.clock import database_now
from casts.conductor import settling
from casts.conductor.database import DatabaseThreads
from casts.conductor.errands import Errands
from casts.conductor.holdings import Holdings
from casts.conductor.lanes import Lane, Lanes
from casts.engine import Claim, Report, Via
from casts.models import Cast, ConductorProcess, Wakeup
from generations.models import Generation
from generations.tools.contract import Result
from spells.models import Step

from . import adapters
from .locks import open_transaction, wait_until_blocked
from .scenes import Hand, Unlimited, cast, statuses, tool
from .test_conductor import conduct, conducting, ended, gate, using, wait_for

__all__ = ["gate"]


def hold(held: Holdings, *, casts: int) -> list[Claim]:
    claims = [Claim(cast_id=uuid4(), epoch=1, bell=0) for _ in range(casts)]
    held.take(claims, asked_at=0.0)
    return claims


def report(claim: Claim) -> Report:
    return Report(generation_id=uuid4(), claim=claim, via=Via.RUN, news=Result(output={}))


# What is held


def test_a_cast_is_in_one_batch_at_a_time_and_so_is_what_came_back_for_it():
    held = Holdings(lease_seconds=30)
    one, two, three = hold(held, casts=3)
    early = report(one)
    held.reports.append(early)
    first = held.begin(most=2)
    assert (first.claimed, first.reports) == ([one, two], [early])
    held.reports.append(report(two))
    second = held.begin(most=2)
    assert (second.claimed, second.reports) == ([three], [])
    assert held.begin(most=2) is None
    held.end(first, is_settled=True)
    third = held.begin(most=2)
    assert [each.claim for each in third.reports] == [two]
    assert set(third.claimed) == {one, two}  # nobody has told when to look at them next


def test_a_batch_that_was_not_settled_is_begun_again():
    held = Holdings(lease_seconds=30)
    (one,) = hold(held, casts=1)
    held.reports.append(report(one))
    first = held.begin(most=5)
    held.end(first, is_settled=False)
    again = held.begin(most=5)
    assert (again.claimed, again.reports) == (first.claimed, first.reports)


def test_a_second_batch_may_have_to_be_a_whole_one():
    held = Holdings(lease_seconds=30)
    hold(held, casts=3)
    assert held.begin(most=4, least=4) is None
    assert len(held.begin(most=3, least=3).claimed) == 3


def test_what_came_back_under_an_older_claim_is_settled_with_the_one_that_stands():
    held = Holdings(lease_seconds=30)
    (one,) = hold(held, casts=1)
    held.reports.append(report(Claim(cast_id=one.cast_id, epoch=0, bell=0)))
    assert held.begin(most=5).claimed == [one]


@pytest.fixture
def looked_at(db) -> tuple[Hand, Holdings, Claim]:
    """Return a cast that is held, with a call of it at work."""
    hand = Hand(cast({"key": "one", "tool": tool("plain.tool")}))
    (claim,) = engine.claim(limit=1)
    held = Holdings(lease_seconds=30)
    held.take([claim], asked_at=0.0)
    return hand, held, claim


def look(held: Holdings, batch) -> engine.Advanced:
    return engine.advance(claimed=batch.claimed, slots=Unlimited(), in_flight=batch.in_flight, known=batch.known)


def take_in(held: Holdings, batch, advanced: engine.Advanced) -> None:
    for turn in advanced.turns:
        held.settle(turn, left=advanced.left.get(turn.state.cast.pk))
    held.end(batch, is_settled=True)


def test_a_cast_that_rang_while_it_was_looked_at_is_looked_at_again(looked_at):
    _, held, claim = looked_at
    for rings in (True, False):
        batch = held.begin(most=5)
        advanced = look(held, batch)
        if rings:
            assert held.look_in(claim.cast_id)
        take_in(held, batch, advanced)
        assert bool(held.to_look_at()) is rings


def test_a_cast_that_was_written_to_while_it_was_looked_at_is_read_again(looked_at):
    _, held, claim = looked_at
    for is_written in (True, False):
        held.look_in(claim.cast_id)
        batch = held.begin(most=5)
        advanced = look(held, batch)
        if is_written:
            held.forget([claim.cast_id])
        take_in(held, batch, advanced)
        assert (held.casts[claim.cast_id].known is None) is is_written


def test_what_came_of_an_older_claim_changes_nothing_for_the_newer_one(looked_at):
    """It was let go of, and claimed anew, before that was heard of."""
    _, held, claim = looked_at
    batch = held.begin(most=5)
    advanced = look(held, batch)
    newer = Claim(cast_id=claim.cast_id, epoch=claim.epoch + 1, bell=claim.bell)
    held.take([newer], asked_at=0.0)
    take_in(held, batch, advanced)
    held.lose(claim)
    assert held.claims() == [newer]
    assert held.to_look_at() == [newer]


def test_a_call_does_not_start_under_a_claim_that_was_lost_and_taken_again():
    held = Holdings(lease_seconds=30)
    (one,) = hold(held, casts=1)
    held.casts[one.cast_id].lease_ends = float("inf")
    assert held.has_margin(one)
    newer = Claim(cast_id=one.cast_id, epoch=one.epoch + 2, bell=one.bell)
    held.take([newer], asked_at=time.monotonic())
    assert not held.has_margin(one)
    assert held.has_margin(newer)


def test_one_that_is_to_be_looked_at_alone_is_begun_with_its_own_reports_only():
    held = Holdings(lease_seconds=30)
    one, two, three = hold(held, casts=3)
    held.reports += [report(one), report(two), report(three)]
    batch = held.begin(most=5, alone=two.cast_id)
    assert (batch.claimed, [each.claim for each in batch.reports]) == ([two], [two])


def test_a_ring_for_a_cast_that_was_let_go_of_meanwhile_is_told_of():
    """It is due, and nobody holds it."""
    held = Holdings(lease_seconds=30)
    for rings in (True, False):
        (one,) = hold(held, casts=1)
        batch = held.begin(most=5)
        if rings:
            held.look_in(one.cast_id)
        held.drop(one.cast_id)
        assert held.end(batch, is_settled=True) is rings


# Room


def test_no_place_is_promised_twice(db):
    pure_tool = tool(adapters.AsyncEcho.key)
    lanes, barrier = Lanes(coroutines=50, threads=1, processes=1), threading.Barrier(2)

    def fill() -> int:
        room = lanes.reserve().slots()
        barrier.wait(timeout=60)
        while room.has_room(pure_tool, apart=False, seconds=1):
            room.take(pure_tool, apart=False)
        return room.taken[Lane.LOOP]

    for _ in range(20):
        lanes = Lanes(coroutines=50, threads=1, processes=1)
        with ThreadPoolExecutor(2) as threads:
            first, second = threads.submit(fill), threads.submit(fill)
            assert first.result(60) + second.result(60) == 50


def test_room_that_was_not_needed_is_there_again_and_those_that_wait_may_look(db):
    pure_tool = tool(adapters.AsyncEcho.key)
    lanes = Lanes(coroutines=1, threads=1, processes=1)
    first, second = lanes.reserve(), lanes.reserve()
    assert first.slots().has_room(pure_tool, apart=False, seconds=1)
    assert not second.slots().has_room(pure_tool, apart=False, seconds=1)
    assert lanes.free() == 1  # on the other lanes
    first.give_back()
    assert lanes.freed == 1
    assert second.slots().has_room(pure_tool, apart=False, seconds=1)


def test_the_next_part_of_a_set_has_the_room_that_a_failed_one_had(db):
    pure_tool = tool(adapters.AsyncEcho.key)
    reservation = Lanes(coroutines=2, threads=1, processes=1).reserve()
    failed, kept, last = reservation.slots(), reservation.slots(), reservation.slots()
    for part, places in ((failed, 2), (kept, 1)):
        for _ in range(places):
            assert part.has_room(pure_tool, apart=False, seconds=1)
            part.take(pure_tool, apart=False)
    reservation.keep(kept)
    assert last.has_room(pure_tool, apart=False, seconds=1)
    last.take(pure_tool, apart=False)
    assert not last.has_room(pure_tool, apart=False, seconds=1)


def test_a_transaction_that_begins_anew_has_the_room_of_its_earlier_try(db):
    pure_tool = tool(adapters.AsyncEcho.key)
    reservation = Lanes(coroutines=1, threads=1, processes=1).reserve()
    part = reservation.slots()
    for _ in range(3):
        part.begin()
        assert part.has_room(pure_tool, apart=False, seconds=1)
        part.take(pure_tool, apart=False)
    reservation.keep(part)
    assert not reservation.slots().has_room(pure_tool, apart=False, seconds=1)


def test_seats_are_shared_with_those_who_wait_and_with_the_other_batch(db):
    lanes = Lanes(coroutines=1, threads=1, processes=1)
    lanes.waiting = lanes.seats - 2
    first, second = lanes.reserve(), lanes.reserve()
    assert [first.slots().may_wait(), second.slots().may_wait()] == [True, True]
    part = second.slots()
    assert [part.may_wait(), part.may_wait()] == [True, False]  # that of its first part was not kept
    first.give_back()
    assert part.may_wait()


def test_seats_that_one_batch_has_filled_are_not_there_for_another_that_began_before():
    lanes = Lanes(coroutines=1, threads=1, processes=1)
    first, second = lanes.reserve(), lanes.reserve()
    part = first.slots()
    filled = list(takewhile(bool, (part.may_wait() for _ in range(100))))
    first.keep(part)
    lanes.waiting = len(filled)
    first.give_back()
    assert len(filled) == lanes.seats
    assert not second.slots().may_wait()


def test_casts_that_have_seats_keep_them_and_are_counted_once():
    lanes = Lanes(coroutines=1, threads=1, processes=1)
    lanes.waiting = lanes.seats - 1
    first, second = lanes.reserve(seated=2), lanes.reserve()
    part = first.slots()
    assert [part.may_wait() for _ in range(4)] == [True, True, True, False]
    assert not second.slots().may_wait()
    first.give_back()
    assert second.slots().may_wait()


def test_nobody_keeps_a_seat_with_one_who_starts_nothing_more():
    lanes = Lanes(coroutines=1, threads=1, processes=1)
    lanes.waiting = 1
    lanes.close()
    assert not lanes.reserve(seated=1).slots().may_wait()


def test_a_set_that_the_database_does_not_take_keeps_no_room(db, monkeypatch):
    lanes = Lanes(coroutines=1, threads=1, processes=1)
    hand = Hand(cast({"key": "one", "tool": tool(adapters.AsyncEcho.key)}))
    settle = engine.settle_in_time

    def is_gone(**given):
        settle(**given)
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(engine, "settle_in_time", is_gone)
    with pytest.raises(OperationalError):
        settling.settle(reports=[], claimed=engine.claim(limit=1), lanes=lanes, in_flight=())
    assert lanes.reserve().slots().has_room(tool(adapters.AsyncEcho.key), apart=False, seconds=1)
    assert hand.cast.pk


# Threads


@pytest.mark.django_db(transaction=True)
def test_another_thread_is_used_only_while_the_first_is_busy():
    database, names, is_free = DatabaseThreads(2), list[str](), threading.Event()

    def wait() -> None:
        names.append(threading.current_thread().name)
        assert is_free.wait(60)

    def go() -> None:
        names.append(threading.current_thread().name)
        is_free.set()

    async def use() -> None:
        await database.run(go)
        await database.run(go)
        is_free.clear()
        await asyncio.gather(database.run(wait), database.run(go))
        await database.run(go)

    asyncio.run(use())
    database.close()
    assert Counter(names) == {"conductor-database-1_0": 4, "conductor-database-2_0": 1}


@pytest.mark.django_db(transaction=True)
def test_what_finds_all_threads_busy_waits_for_whichever_is_free_first():
    database, may_end = DatabaseThreads(2), [threading.Event(), threading.Event()]

    async def use() -> None:
        stuck, short = [asyncio.create_task(database.run(each.wait, 60)) for each in may_end]
        later = [asyncio.create_task(database.run(int)) for _ in range(3)]
        await asyncio.sleep(0)  # each has begun to wait: tasks start in their order
        may_end[1].set()
        assert await asyncio.gather(short, *later) == [True, 0, 0, 0]
        assert not stuck.done()
        may_end[0].set()
        assert await stuck

    asyncio.run(use())
    database.close()


# Conducted


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_a_batch_that_waits_for_the_database_holds_up_no_other():
    step = using(adapters.AsyncEcho, key="one", params={"n": 1})
    stuck, *others = [cast(step, slug=f"spell-{number}") for number in range(9)]
    with open_transaction(lambda: Cast.objects.select_for_update().get(pk=stuck.pk)) as may_end, conducting(batch=2):
        # one may be in its batch
        wait_for(lambda: sum(ended(each) for each in others) >= len(others) - 1, what="the other batches are settled")
        assert not ended(stuck)
        may_end.set()
        wait_for(lambda: ended(stuck), what="the first batch is settled")
    assert set(Cast.objects.values_list("status", flat=True)) == {"succeeded"}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_a_conductor_that_stops_waits_for_the_batch_that_is_being_settled_and_for_its_calls():
    """Its commit is held up, which sees whether the step stands that a generation names."""
    started = cast(using(adapters.AsyncEcho, key="one", params={"n": 1}))
    steps = Step.objects.filter(version=started.version_id)
    with open_transaction(lambda: steps.select_for_update().get()) as may_end, conducting() as conductor:
        wait_until_blocked()
        conductor.stop()
        wait_for(lambda: ConductorProcess.objects.filter(draining=True).exists(), what="it claims no more")
        may_end.set()
        wait_for(lambda: not ConductorProcess.objects.exists(), what="it has left")
    assert statuses(started) == {"one": ["succeeded"]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_a_suspect_is_looked_at_alone_and_with_nothing_beside_it(monkeypatch):
    step = using(adapters.AsyncEcho, key="one", params={"n": 1})
    started = [cast(step, slug=f"spell-{number}") for number in range(8)]
    suspects = {each.pk for each in started[2:4]}
    ago = database_now() - timedelta(seconds=1)
    Wakeup.objects.filter(pk__in=suspects).update(lost=1, epoch=2, claimed_until=ago, due_at=ago)
    settle, at_work, seen = settling.settle, set(), []
    lock = threading.Lock()

    def watched(**given):
        ids = frozenset(claim.cast_id for claim in given["claimed"])
        with lock:
            at_work.add(ids)
            seen.append(set(at_work))
        try:
            return settle(**given)
        finally:
            with lock:
                at_work.discard(ids)

    monkeypatch.setattr(settling, "settle", watched)
    conduct(batch=2)
    assert set(Cast.objects.values_list("status", flat=True)) == {"succeeded"}
    first = {suspect: next(batches for batches in seen if any(suspect in ids for ids in batches)) for suspect in suspects}
    assert first == {suspect: {frozenset({suspect})} for suspect in suspects}


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_errands_that_cannot_be_taken_keep_no_cast_from_being_conducted(monkeypatch):
    taken = []

    def refuse(_self, due):
        taken.append(list(due))
        raise OperationalError("this table is locked")

    monkeypatch.setattr(Errands, "take", refuse)
    held = cast(using(adapters.AsyncEcho, key="one", params={"n": 1}))
    conduct()
    assert ended(held)
    assert taken


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_many_casts_in_small_batches_are_each_called_once():
    steps = [using(adapters.AsyncEcho, key=f"step_{number}", params={"n": number}) for number in range(3)]
    for number in range(20):
        cast(*steps, slug=f"spell-{number}")
    conduct(batch=3)
    assert set(Cast.objects.values_list("status", flat=True)) == {"succeeded"}
    assert Generation.objects.filter(status="succeeded").count() == Generation.objects.count() == 60
