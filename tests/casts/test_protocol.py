"""The engine's protocol: each test here provokes a variant that is broken, and sees that ours is not that one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from casts import engine
from casts.clock import database_now
from casts.conductor.due import claim_due
from casts.engine import Aborted, Release, Report, Via, changes
from casts.engine.claims import lock, ring_all
from casts.engine.retrying import LostUpdateError
from casts.engine.state import Attempt
from casts.engine.verdicts import MAX_LOSSES, Change
from casts.models import Cast, Wakeup
from generations.models import Generation
from generations.tools.contract import Progress, Result, Submitted
from spells.models import Recovery

from .locks import another_connection, open_transaction, wait_until_blocked
from .scenes import Hand, Unlimited, billed, cast, cost, refusal, statuses, user

LONG_AGO = {"hours": -1}


@pytest.fixture
def started(db):
    return cast({"key": "one"}, {"key": "two", "params": {"n": "{{ steps.one.n }}"}})


def lose(hand: Hand, clock) -> None:
    """Let the hand's lease run out, as when its process was stopped."""
    clock.advance(seconds=hand.lease_seconds + 1)


# Claim


def test_a_held_cast_is_not_claimed_again(started):
    assert len(engine.claim(limit=10)) == 1
    assert engine.claim(limit=10) == []


def test_a_claim_parks_the_wakeup_at_the_end_of_its_lease(started):
    engine.claim(limit=10, lease_seconds=30)
    wakeup = Wakeup.objects.get()
    assert wakeup.due_at == wakeup.claimed_until
    assert 28 < (wakeup.due_at - database_now()).total_seconds() <= 30


def test_a_claim_takes_no_more_than_asked_for_and_the_longest_due_first(db, clock):
    first = cast({"key": "one"}, slug="a")
    clock.advance(seconds=1)
    cast({"key": "one"}, slug="b")
    assert [claim.cast_id for claim in engine.claim(limit=1)] == [first.pk]


def test_an_expired_claim_is_taken_over_with_a_new_epoch_and_counted_as_lost(started, clock):
    (first,) = engine.claim(limit=1)
    clock.advance(seconds=31)
    (second,) = engine.claim(limit=1)
    assert (first.epoch, second.epoch) == (1, 2)
    assert (first.lost, second.lost) == (0, 1)


def test_a_cast_whose_holders_vanished_twice_is_claimed_as_a_suspect_only(started, clock):
    for _ in range(2):
        engine.claim(limit=1)
        clock.advance(seconds=31)
    assert engine.claim(limit=1) == []
    assert engine.look()[:3] == (False, True, False)
    (suspect,) = engine.claim(limit=1, suspects=True)
    assert suspect.epoch == 3
    engine.release(releases=[Release(claim=suspect, due_at=database_now())])
    (cleared,) = engine.claim(limit=1)
    assert cleared.lost == 0


def test_a_cast_that_takes_worker_after_worker_along_is_looked_at_alone_and_given_up_at_last(started, clock):
    for lost in range(engine.MAX_LOST_CLAIMS):
        neighbour = cast({"key": "one"}, slug=f"neighbour-{lost}")
        claimed = claim_due(limit=50, lease_seconds=30.0).claims
        assert {claim.cast_id: claim.lost for claim in claimed} == (
            {started.pk: lost} if lost >= 2 else {started.pk: lost, neighbour.pk: 0}
        )
        Cast.objects.filter(pk=neighbour.pk).delete()
        clock.advance(seconds=31)  # its holder vanished
    neighbour = cast({"key": "one"}, slug="neighbour")
    assert [claim.cast_id for claim in claim_due(limit=50, lease_seconds=30.0).claims] == [neighbour.pk]
    started.refresh_from_db()
    assert (started.status, started.error["code"]) == ("failed", "engine_error")
    assert started.error["message"] == "Looking at this cast ended 5 workers, one after the other."


# Ring and release


def test_a_ring_during_a_hold_makes_the_released_cast_due_at_once(started):
    (claim,) = engine.claim(limit=1)
    engine.ring(cast_id=started.pk)
    much_later = database_now().replace(year=2100)
    engine.release(releases=[Release(claim=claim, due_at=much_later)])
    assert Wakeup.objects.get().due_at <= database_now()


def test_a_ring_never_makes_a_held_cast_claimable(started):
    engine.claim(limit=1)
    assert engine.ring(cast_id=started.pk)
    assert engine.claim(limit=1) == []
    assert Wakeup.objects.get().bell == 1


def test_a_ring_makes_a_waiting_cast_due_now(started):
    Wakeup.objects.update(due_at=database_now().replace(year=2100))
    engine.ring(cast_id=started.pk)
    assert len(engine.claim(limit=1)) == 1


@pytest.mark.parametrize("ring", [lambda id_: engine.ring(cast_id=id_), lambda id_: ring_all(cast_ids=[id_])])
@pytest.mark.parametrize("form", [str, lambda id_: id_.hex, lambda id_: id_.int, lambda id_: id_.bytes])
def test_an_id_of_another_type_is_an_error_and_never_a_ring_that_nobody_hears(started, ring, form):
    with pytest.raises(TypeError, match="An id is a UUID"):
        ring(form(started.pk))


def test_a_ring_for_a_cast_that_ended_says_so(db):
    hand = Hand(cast({"key": "one"}))
    hand.look()
    hand.answer("one", {})
    assert not engine.ring(cast_id=hand.cast.pk)


def test_a_quiet_release_is_due_when_its_holder_said(started):
    (claim,) = engine.claim(limit=1)
    when = database_now().replace(year=2100)
    assert engine.release(releases=[Release(claim=claim, due_at=when)]) == 1
    wakeup = Wakeup.objects.get()
    assert (wakeup.due_at, wakeup.claimed_until) == (when, None)


def test_a_zombies_release_does_not_let_go_of_the_next_holders_claim(started, clock):
    (zombie,) = engine.claim(limit=1)
    clock.advance(seconds=31)
    (holder,) = engine.claim(limit=1)
    assert engine.release(releases=[Release(claim=zombie, due_at=database_now())]) == 0
    assert engine.hand_back(claims=[zombie]) == 0
    assert Wakeup.objects.get().claimed_until is not None
    assert Wakeup.objects.get().epoch == holder.epoch


def test_renewal_extends_the_lease_and_returns_the_bell(started, clock):
    (claim,) = engine.claim(limit=1)
    clock.advance(seconds=20)
    engine.ring(cast_id=started.pk)
    assert engine.renew(claims=[claim]) == {started.pk: 1}
    clock.advance(seconds=20)
    assert engine.claim(limit=1) == []


def test_renewal_of_a_lost_claim_renews_nothing(started, clock):
    (zombie,) = engine.claim(limit=1)
    clock.advance(seconds=31)
    engine.claim(limit=1)
    until = Wakeup.objects.get().claimed_until
    assert engine.renew(claims=[zombie]) == {}
    assert Wakeup.objects.get().claimed_until == until


# Advance and settle


def test_the_holders_transaction_locks_before_it_reads(started):
    (claim,) = engine.claim(limit=1)
    with CaptureQueriesContext(connection) as queries:
        engine.advance(claimed=[claim], slots=Unlimited())
    told = [query["sql"] for query in queries if "casts_" in query["sql"] or "generations_" in query["sql"]]
    assert "casts_wakeup" in told[0]
    assert "casts_cast" not in told[0].replace("cast_id", "")
    assert "FROM casts_cast " in told[1]


def test_a_zombie_can_neither_settle_nor_start_another_call(started, clock):
    zombie = Hand(started)
    zombie.look()
    lose(zombie, clock)
    other = Hand(started)
    other.take()
    assert zombie.answer("one", {"n": 1}) is None
    assert statuses(started) == {"one": ["running"]}
    assert Wakeup.objects.get().epoch == other.claim.epoch
    assert Wakeup.objects.get().claimed_until is not None


def test_a_fenced_result_is_not_lost_its_cost_is_booked_and_its_output_kept(db, clock):
    zombie = Hand(cast({"key": "paid", "tool": billed(recovery=Recovery.RESEND)}))
    zombie.look()
    lose(zombie, clock)
    other = Hand(zombie.cast)
    other.look()
    zombie.answer("paid", Result(output={"n": 1}, cost=cost("0.40")))
    first = zombie.cast.generations.get(attempt=1)
    assert (first.cost_usd, first.late_output) == (Decimal("0.40"), {"n": 1})
    zombie.cast.refresh_from_db()
    assert zombie.cast.cost_usd == Decimal("0.40")


def test_a_late_cost_is_booked_once_also_after_the_casts_end(db, clock):
    zombie = Hand(cast({"key": "one", "max_attempts": 1}))
    zombie.look()
    lose(zombie, clock)
    report = zombie.report("one", 0, Result(output={"late": 1}, cost=cost("0.10")))
    other = Hand(zombie.cast)
    other.look()
    clock.advance(seconds=60)
    other.look()
    other.answer("one", {"n": 1})
    assert other.status() == "succeeded"
    for _ in range(2):
        engine.settle(reports=[report], slots=Unlimited())
    other.cast.refresh_from_db()
    assert other.cast.cost_usd == Decimal("0.10")
    assert other.cast.generations.get(attempt=1).late_output == {"late": 1}


def test_an_ended_generation_is_not_revived_by_the_epoch_alone(db):
    hand = Hand(cast({"key": "one"}, {"key": "other"}))
    hand.look()
    report = hand.report("one", 0, {"n": 1})
    callback = Report(generation_id=report.generation_id, claim=hand.claim, via=Via.CALLBACK, news=refusal("ended", permanent=True))
    assert engine.receive(report=callback)
    hand.answer_all({("one", 0): {"n": 1}})
    assert statuses(hand.cast)["one"] == ["failed"]
    assert hand.generation("one").late_output == {"n": 1}


def test_an_update_that_matches_no_row_is_an_error_and_no_success(started):
    hand = Hand(started)
    hand.look()
    attempt = Attempt.of(hand.generation("one"))
    engine.receive(report=Report(generation_id=attempt.id, claim=hand.claim, via=Via.CALLBACK, news=Result(output={"n": 1})))
    late = Change(attempt=attempt, status="failed", error={"code": "late", "message": "Too late."})
    with pytest.raises(LostUpdateError, match="1 of 1"):
        changes.apply(changes=[late], now=database_now())
    assert statuses(started) == {"one": ["succeeded"]}


def test_a_callback_settles_a_call_whose_answer_has_not_come_and_the_answer_only_stores_the_job_id(db):
    hand = Hand(cast({"key": "one"}, {"key": "other"}))
    hand.look()
    early = Report(generation_id=hand.generation("one").pk, claim=hand.claim, via=Via.CALLBACK, news=Result(output={"n": 1}))
    assert engine.receive(report=early)
    hand.answer("one", Submitted(job_id="job-1"))
    generation = hand.generation("one")
    assert (generation.status, generation.job_id, generation.output) == ("succeeded", "job-1", {"n": 1})


def test_a_callback_and_a_poll_together_settle_once_and_charge_once(db, clock):
    hand = Hand(cast({"key": "one", "tool": billed()}, {"key": "other"}))
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=1))
    done = Result(output={"n": 1}, cost=cost("0.20"))
    poll = hand.report("one", 0, done, via=Via.POLL)
    callback = Report(generation_id=poll.generation_id, claim=hand.claim, via=Via.CALLBACK, news=done)
    assert engine.receive(report=callback)
    assert not engine.receive(report=callback)
    engine.settle(reports=[poll], slots=Unlimited(), in_flight=set(hand.calls))
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == Decimal("0.20")
    assert statuses(hand.cast)["one"] == ["succeeded"]


def test_a_submitted_job_is_polled_when_due_and_never_moves_backwards(db, clock):
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=10))
    assert hand.claim is None
    assert not hand.take()
    clock.advance(seconds=12)
    turn = hand.look()
    assert [attempt.job_id for attempt in turn.polls()] == ["job-1"]
    hand.answer("one", Progress(percent=40, poll_after=10), via=Via.POLL)
    assert hand.generation("one").progress["percent"] == 40
    clock.advance(seconds=12)
    hand.look()
    hand.answer("one", Result(output={}), via=Via.POLL)
    assert hand.status() == "succeeded"


def test_a_submitted_job_past_its_deadline_is_unknown_when_billed(db, clock):
    hand = Hand(cast({"key": "one", "tool": billed(), "deadline_seconds": 60}))
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=10))
    clock.advance(seconds=61)
    hand.look()
    assert statuses(hand.cast) == {"one": ["unknown"]}
    assert hand.status() == "running"


# Abandoned calls


def test_an_abandoned_pure_call_is_made_again(started, clock):
    zombie = Hand(started)
    zombie.look()
    lose(zombie, clock)
    other = Hand(started)
    other.look()
    assert statuses(started) == {"one": ["failed"]}
    clock.advance(seconds=60)
    other.look()
    assert other.called() == [("one", 0)]
    other.answer("one", {"n": 1})
    assert statuses(started) == {"one": ["failed", "succeeded"], "two": ["running"]}


def test_a_lost_call_does_not_count_as_a_failed_attempt(db, clock):
    zombie = Hand(cast({"key": "one", "max_attempts": 1}))
    zombie.look()
    lose(zombie, clock)
    other = Hand(zombie.cast)
    other.look()
    clock.advance(seconds=60)
    other.look()
    assert other.called() == [("one", 0)]


def test_a_call_that_takes_its_worker_down_twice_is_made_apart_and_fails_in_the_end(db, clock):
    poison = cast({"key": "one"})
    apart = []
    for _ in range(5):
        hand = Hand(poison)
        hand.look()
        if hand.claim is None:  # the loss was judged; the next attempt waits for its backoff
            clock.advance(seconds=60)
            hand.look()
        assert hand.claim is not None
        apart.append(hand.last.is_apart_at((hand.generation("one").step_id, 0)))
        lose(hand, clock)
    assert apart == [False, False, True, True, True]
    last = Hand(poison)
    last.look()
    assert last.status() == "failed"
    assert last.cast.error["code"] == "worker_lost"
    assert poison.generations.count() == 5


def test_an_abandoned_billed_call_is_unknown_and_never_sent_again(db, clock):
    zombie = Hand(cast({"key": "paid", "tool": billed()}))
    zombie.look()
    lose(zombie, clock)
    other = Hand(zombie.cast)
    other.look()
    for _ in range(3):
        clock.advance(seconds=600)
        other.look()
    assert statuses(zombie.cast) == {"paid": ["unknown"]}
    assert other.status() == "running"


def test_a_call_whose_answer_was_lost_is_sent_again_with_the_same_key_only(db, clock):
    zombie = Hand(cast({"key": "paid", "tool": billed(recovery=Recovery.RESEND)}))
    zombie.look()
    lose(zombie, clock)
    other = Hand(zombie.cast)
    other.look()
    clock.advance(seconds=60)
    other.look()
    first, second = zombie.cast.generations.order_by("attempt")
    assert (first.lost, first.idempotency_key) == (True, second.idempotency_key)
    assert (first.owed_key, second.owed_key) == (None, first.pk)
    other.answer("paid", refusal("busy", retry_after=1))  # says nothing of the first sending
    clock.advance(seconds=60)
    other.look()
    assert other.generation("paid").idempotency_key == second.idempotency_key
    other.answer("paid", refusal("It broke.", retry_after=1, cost=cost("1")))
    clock.advance(seconds=60)
    other.look()
    assert other.generation("paid").idempotency_key != second.idempotency_key


def test_an_ambiguous_failure_of_a_billed_call_is_unknown(db):
    hand = Hand(cast({"key": "paid", "tool": billed()}))
    hand.look()
    hand.answer("paid", refusal("The connection was lost.", ambiguous=True))
    assert statuses(hand.cast) == {"paid": ["unknown"]}


def test_what_a_call_of_unknown_fate_says_that_it_cost_is_booked(db):
    hand = Hand(cast({"key": "paid", "tool": billed()}))
    hand.look()
    hand.answer("paid", refusal("The answer cannot be read.", ambiguous=True, cost=cost("0.5")))
    assert statuses(hand.cast) == {"paid": ["unknown"]}
    assert (hand.status(), hand.cast.cost_usd, hand.generation("paid").cost_usd) == ("running", Decimal("0.5"), Decimal("0.5"))


def test_a_call_that_is_sent_again_under_its_key_is_booked_once(db, clock):
    hand = Hand(cast({"key": "paid", "tool": billed(recovery=Recovery.RESEND)}))
    for _ in range(MAX_LOSSES - 1):
        hand.look()
        hand.answer("paid", refusal("The answer cannot be read.", ambiguous=True, cost=cost("0.5")))
        assert (hand.status(), hand.cast.cost_usd) == ("running", Decimal("0.5"))
        clock.advance(hours=1)
    hand.look()
    hand.answer("paid", refusal("The answer cannot be read.", ambiguous=True, cost=cost("0.5")))
    assert statuses(hand.cast) == {"paid": ["failed"] * MAX_LOSSES}
    assert (hand.status(), hand.cast.cost_usd) == ("failed", Decimal("0.5"))


def test_an_abandoned_job_whose_provider_can_be_asked_is_looked_up(db, clock):
    zombie = Hand(cast({"key": "paid", "tool": billed(recovery=Recovery.LOOKUP)}))
    zombie.look()
    lose(zombie, clock)
    other = Hand(zombie.cast)
    turn = other.look()
    assert [attempt.job_id for attempt in turn.polls()] == [""]
    other.answer("paid", Result(output={}, cost=cost("1")), via=Via.POLL)
    assert other.status() == "succeeded"


def test_late_evidence_resolves_an_unknown_call_and_the_cast_goes_on(db, clock):
    zombie = Hand(cast({"key": "paid", "tool": billed()}, {"key": "two", "params": {"n": "{{ steps.paid.n }}"}}))
    zombie.look()
    lose(zombie, clock)
    other = Hand(zombie.cast)
    other.look()
    zombie.answer("paid", Result(output={"n": 7}, cost=cost("2")))
    other.look()
    assert other.called() == [("two", 0)]
    assert other.generation("two").inputs == {"n": 7}


@pytest.mark.parametrize(
    ("how", "expected", "finding"),
    [({"output": {"n": 1}}, "succeeded", "happened"), ({"again": True}, "running", "again"), ({}, "failed", "written_off")],
    ids=["happened", "again", "written off"],
)
def test_an_operator_resolves_an_unknown_call(db, how, expected, finding):
    hand = Hand(cast({"key": "paid", "tool": billed()}))
    hand.look()
    hand.answer("paid", refusal("The connection was lost.", ambiguous=True))
    generation = hand.generation("paid")
    engine.resolve(generation_id=generation.pk, now=database_now(), cost_usd=Decimal("0.5"), actor_id=user().pk, **how)
    told = hand.cast.events.get(kind="resolved")
    place = {"step": "paid", "item": 0, "attempt": 1, "generation": str(generation.pk)}
    assert (told.actor, told.data) == (user(), {"finding": finding, "cost_usd": "0.5", **place})
    hand.look()
    assert hand.status() == expected
    assert hand.cast.cost_usd == Decimal("0.5")
    with pytest.raises(engine.TransitionRefusedError):
        engine.resolve(generation_id=hand.cast.generations.first().pk, now=database_now())


def test_a_cast_that_waits_for_an_unknown_call_fails_at_its_deadline_and_names_it(db, clock):
    hand = Hand(cast({"key": "paid", "tool": billed()}))
    hand.look()
    hand.answer("paid", refusal("The connection was lost.", ambiguous=True))
    clock.advance(hours=25)
    hand.look()
    assert hand.status() == "failed"
    assert "paid" in hand.cast.error["message"]
    assert "billed" in hand.cast.error["message"]


# The reaper, retry and cancel


def test_the_reaper_writes_no_generations_so_a_paid_result_is_accepted(db, clock):
    hand = Hand(cast({"key": "paid", "tool": billed()}))
    hand.look()
    lose(hand, clock)
    engine.reap(now=database_now())
    assert statuses(hand.cast) == {"paid": ["running"]}
    hand.answer("paid", Result(output={}, cost=cost("1")))
    assert hand.status() == "succeeded"


def test_epochs_count_on_over_a_retry_so_a_zombie_of_the_last_round_stays_fenced(db, clock):
    zombie = Hand(cast({"key": "one", "max_attempts": 1}, {"key": "two"}))
    zombie.look()
    lose(zombie, clock)
    other = Hand(zombie.cast)
    other.look()
    clock.advance(seconds=60)
    other.look()
    other.answer("one", refusal(permanent=True))
    report = zombie.report("two", 0, {"n": "from the grave"})
    for key in [key for key, _ in other.called()]:
        other.answer(key, {})
    assert other.status() == "failed"
    engine.retry(cast_id=zombie.cast.pk, actor_id=None, now=database_now())
    next_round = Hand(zombie.cast)
    next_round.look()
    assert next_round.claim.epoch > max(zombie.cast.generations.filter(round=0).values_list("epoch", flat=True))
    engine.settle(reports=[report], slots=Unlimited(), in_flight=set(next_round.calls))
    assert next_round.status() == "running"
    assert Wakeup.objects.get().claimed_until is not None


def test_a_wakeup_that_is_made_anew_gives_out_no_epoch_that_a_holder_may_still_have(db, clock):
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=1))
    for _ in range(3):  # polls leave no trace of their claims
        clock.advance(seconds=3)
        hand.look()
        hand.answer("one", Progress(poll_after=1), via=Via.POLL)
    clock.advance(seconds=3)
    hand.look()
    zombie = hand.report("one", 0, Progress(percent=90), via=Via.POLL)
    Wakeup.objects.all().delete()
    seen = {zombie.claim.epoch}
    for _ in range(2):
        assert engine.reap(now=database_now()).given_a_wakeup == [hand.cast.pk]
        for _ in range(6):
            (taken,) = engine.claim(limit=1, lease_seconds=0) or engine.claim(limit=1, lease_seconds=0, suspects=True)
            assert taken.epoch > max(seen)
            seen.add(taken.epoch)
        assert not engine.settle(reports=[zombie], slots=Unlimited()).turns
        Wakeup.objects.all().delete()


def test_a_retry_gives_out_no_epoch_that_a_holder_may_still_have(db):
    hand = Hand(cast({"key": "one"}))
    hand.take()
    zombie = hand.claim
    Wakeup.objects.all().delete()
    Cast.objects.update(status="cancelled", reason="By hand.", finished_at=database_now())
    engine.retry(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    (claim,) = engine.claim(limit=1)
    assert claim.epoch > zombie.epoch


def test_cancel_does_not_end_a_cast_whose_billed_call_is_at_work(db):
    hand = Hand(cast({"key": "paid", "tool": billed()}))
    hand.look()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    assert hand.status() == "running"
    hand.answer("paid", Result(output={}, cost=cost("3")))
    assert (hand.status(), hand.cast.cost_usd) == ("cancelled", Decimal(3))


def test_a_cancelled_cast_whose_holder_died_keeps_its_billed_call_unknown(db, clock):
    zombie = Hand(cast({"key": "paid", "tool": billed()}))
    zombie.look()
    engine.cancel(cast_id=zombie.cast.pk, actor_id=None, now=database_now())
    lose(zombie, clock)
    other = Hand(zombie.cast)
    other.look()
    assert other.status() == "cancelled"
    assert statuses(zombie.cast) == {"paid": ["unknown"]}
    zombie.answer("paid", Result(output={"n": 1}, cost=cost("3")))
    zombie.cast.refresh_from_db()
    assert zombie.cast.cost_usd == 3


# Lost answers of the database


def test_a_commit_whose_answer_was_lost_is_run_again_without_a_second_call(started):
    hand = Hand(started)
    hand.look()
    hand.calls.clear()  # the insert was committed, but the conductor never heard of it
    turn = hand.look()
    assert [generation.step.key for generation in turn.calls] == ["one"]
    assert Generation.objects.count() == 1


def test_a_settle_whose_answer_was_lost_changes_nothing_when_run_again(started):
    hand = Hand(started)
    hand.look()
    report = hand.report("one", 0, Result(output={"n": 1}, cost=cost("0.5")))
    for _ in range(2):
        engine.settle(reports=[report], slots=Unlimited(), in_flight=set())
    started.refresh_from_db()
    assert started.cost_usd == Decimal("0.5")
    assert statuses(started) == {"one": ["succeeded"], "two": ["running"]}
    assert hand.generation("one").late_output is None


def test_an_aborted_call_is_cancelled_with_the_reason(db):
    hand = Hand(cast({"key": "one"}))
    hand.look()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    hand.answer("one", Aborted(reason="Its cast was cancelled."))
    assert hand.generation("one").reason == "Its cast was cancelled."
    assert hand.status() == "cancelled"


# Between connections


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_race_for_one_wakeup_have_one_winner_each_time():
    cast({"key": "one"})
    barrier = threading.Barrier(2)

    def race() -> list[int]:
        won = []
        for _ in range(50):
            barrier.wait()
            for claim in engine.claim(limit=1):
                won.append(claim.epoch)
                engine.release(releases=[Release(claim=claim, due_at=database_now())])
            barrier.wait()
        connection.close()
        return won

    with ThreadPoolExecutor(max_workers=2) as pool:
        first, second = (pool.submit(race) for _ in range(2))
        epochs = first.result() + second.result()
    assert len(epochs) == len(set(epochs))
    assert Wakeup.objects.get().epoch == len(epochs) >= 50


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_an_advance_that_waited_for_a_pause_starts_no_call_after_it():
    started = cast({"key": "one"})
    (claim,) = engine.claim(limit=1)
    with (
        another_connection() as other,
        open_transaction(lambda: engine.pause(cast_id=started.pk, actor_id=user().pk, now=database_now())) as commit,
    ):
        advancing = other.submit(engine.advance, claimed=[claim], slots=Unlimited())
        wait_until_blocked()
        commit.set()
        advancing.result()
    assert Cast.objects.get().status == "paused"
    assert not Generation.objects.exists()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_settle_that_waited_for_a_callback_sees_what_it_wrote():
    hand = Hand(cast({"key": "one", "tool": billed()}, {"key": "two", "params": {"n": "{{ steps.one.n }}"}}))
    hand.look()
    report = hand.report("one", 0, Result(output={"n": "answer"}, cost=cost("1")))
    callback = Report(
        generation_id=report.generation_id, claim=hand.claim, via=Via.CALLBACK, news=Result(output={"n": "callback"}, cost=cost("1"))
    )
    with another_connection() as other, open_transaction(lambda: engine.receive(report=callback)) as commit:
        settling = other.submit(engine.settle, reports=[report], slots=Unlimited())
        wait_until_blocked()
        commit.set()
        settling.result()
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == 1
    assert hand.generation("one").output == {"n": "callback"}
    assert hand.generation("two").inputs == {"n": "callback"}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_claim_passes_over_a_wakeup_that_its_zombie_holder_is_settling(clock):
    cast({"key": "one"})
    (claim,) = engine.claim(limit=1)
    clock.advance(seconds=31)
    with open_transaction(lambda: lock(claims=[claim])):
        assert engine.claim(limit=1) == []
    assert len(engine.claim(limit=1)) == 1


@pytest.mark.django_db
def test_a_claim_that_was_let_go_of_settles_starts_and_renews_nothing():
    started = cast({"key": "one", "tool": billed()}, {"key": "two", "params": {"n": "{{ steps.one.n }}"}})
    [claim] = engine.claim(limit=1)
    engine.advance(claimed=[claim], slots=Unlimited())
    engine.hand_back(claims=[claim])
    assert engine.renew(claims=[claim]) == {}
    generation = started.generations.get()
    report = Report(generation_id=generation.pk, claim=claim, via=Via.RUN, news=Result(output={"n": 1}, cost=cost("0.10")))
    advanced = engine.settle(reports=[report], slots=Unlimited())
    assert not advanced.turns
    assert Wakeup.objects.get(cast=started).claimed_until is None
    started.refresh_from_db()
    assert (started.generations.count(), started.cost_usd) == (1, Decimal("0.10"))
