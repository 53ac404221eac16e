"""Two acts at once on one cast: one history comes of it, whoever was first. `--rounds 1000` is the long form."""

import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from casts import engine
from casts.clock import database_now
from casts.engine import Release, Via
from casts.models import Wakeup
from generations.tools.contract import Result, Submitted, ToolError

from .racing import REFUSED, Crowd, Runner, Track
from .scenes import Unlimited, cost

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(7200)]

PRICE = Decimal("0.25")
RESULT = Result(output={"n": 1}, cost=cost("0.25"))
NO = ToolError("No.", permanent=True)
UNCLEAR = ToolError("The answer was lost.", ambiguous=True)


@pytest.fixture
def track(request):
    """A track that tells at the end how often each had its way (`pytest -rP`)."""
    rounds = request.config.getoption("--rounds")
    track = Track(rounds=rounds, seed=rounds)
    yield track
    track.close()
    sys.stdout.write(f"{request.node.name}: {track.told()}\n")


# Where the casts stand


def at_work(crowd: Crowd) -> None:
    crowd.look()


def paused(crowd: Crowd) -> None:
    crowd.look()
    for cast_id in crowd.casts:
        pause(crowd, cast_id)


def failed(crowd: Crowd) -> None:
    crowd.look()
    crowd.tell(NO)


def in_doubt(crowd: Crowd) -> None:
    crowd.look()
    crowd.tell(UNCLEAR)


def failed_in_doubt(crowd: Crowd) -> None:
    crowd.look()
    for cast_id in crowd.casts:
        assert give_up(crowd, cast_id)


def asked_for(crowd: Crowd) -> None:
    """Jobs that their conductor asks the provider for just now."""
    crowd.look()
    crowd.tell(Submitted(job_id="job-1", poll_after=0))


def put_off(crowd: Crowd) -> None:
    """Casts that nobody has to look at for a long time, unless they ring."""
    crowd.hold()
    later = database_now() + timedelta(hours=1)
    engine.release(releases=[Release(claim=claim, due_at=later) for claim in crowd.claims.values()])


# What is done to them


def verb(name: str, **how: Any) -> Runner:
    return lambda _crowd, cast_id: getattr(engine, name)(cast_id=cast_id, actor_id=None, now=database_now(), **how)


cancel, pause, resume, retry = (verb(name) for name in ("cancel", "pause", "resume", "retry"))
skip = verb("skip", reason="By hand.", output={"n": 2})


def settle(news: Any, *, via: Via = Via.RUN) -> Runner:
    """Settle an answer as the conductor does that holds the cast."""
    return lambda crowd, cast_id: engine.settle(reports=[crowd.report(cast_id, news, via=via)], slots=Unlimited())


def callback(news: Any) -> Runner:
    return lambda crowd, cast_id: engine.receive(report=crowd.report(cast_id, news, via=Via.CALLBACK))


def resolve(**finding: Any) -> Runner:
    return lambda crowd, cast_id: engine.resolve(generation_id=crowd.calls[cast_id], now=database_now(), **finding)


def give_up(crowd: Crowd, cast_id: UUID) -> bool:
    return engine.give_up(claim=crowd.claims[cast_id], message="It cannot be advanced.")


def reap(crowd: Crowd, cast_id: UUID) -> bool:
    return engine.reap(now=database_now()).given_a_wakeup == [cast_id]


def claim(crowd: Crowd, cast_id: UUID) -> bool:
    taken = engine.claim(limit=10)
    crowd.claims |= {each.cast_id: each for each in taken}
    return [each.cast_id for each in taken] == [cast_id]


def strand(cast_id: UUID) -> None:
    Wakeup.objects.filter(pk=cast_id).delete()


def ring(cast_id: UUID) -> None:
    assert engine.ring(cast_id=cast_id)


# The races


def test_a_cancel_and_the_last_result(track):
    for raced in track.run(cancel, settle(RESULT), prepare=at_work, steps=1):
        assert raced.story.cast.status == ("succeeded" if raced.first == REFUSED else "cancelled")
        assert raced.story.steps == [("one", "succeeded")]
        assert raced.story.cast.cost_usd == PRICE


def test_two_cancels(track):
    for raced in track.run(cancel, cancel, prepare=at_work):
        assert raced.story.events == ["started", "cancel_requested"]
        assert (raced.refused, raced.story.steps) == (0, [("one", "running")])


def test_a_pause_and_a_result(track):
    for raced in track.run(pause, settle(RESULT), prepare=at_work):
        assert (raced.refused, raced.story.cast.status, raced.story.events) == (0, "paused", ["started", "paused"])
        assert raced.story.steps in ([("one", "succeeded")], [("one", "succeeded"), ("two", "running")])
        assert raced.story.cast.cost_usd == PRICE


def test_a_pause_and_a_resume(track):
    for raced in track.run(pause, resume, prepare=at_work):
        assert raced.first != REFUSED
        assert raced.story.cast.status == ("paused" if raced.second == REFUSED else "running")
        assert raced.story.events == ["started", "paused", "resumed"][: 3 - raced.refused]


def test_a_resume_and_a_cancel(track):
    for raced in track.run(resume, cancel, prepare=paused):
        assert (raced.refused, raced.story.cast.status) == (0, "running")
        assert sorted(raced.story.events) == ["cancel_requested", "paused", "resumed", "started"]


@pytest.mark.parametrize(
    ("first", "second"), [(retry, retry), (retry, skip), (skip, skip)], ids=["two retries", "a retry and a skip", "two skips"]
)
def test_of_two_that_carry_a_failed_cast_on_one_does(track, first, second):
    for raced in track.run(first, second, prepare=failed):
        assert (raced.refused, raced.story.cast.status, raced.story.cast.round) == (1, "running", 1)
        winner = first if raced.second == REFUSED else second
        assert raced.story.events == ["started", "failed", *(["skipped"] if winner is skip else []), "retried"]
        assert raced.story.steps == [("one", "failed"), *([("one", "skipped")] if winner is skip else [])]


@pytest.mark.parametrize(
    "finding", [{"output": {"n": 3}, "cost_usd": PRICE}, {}, {"again": True}], ids=["happened", "written off", "again"]
)
def test_a_finding_and_a_late_callback(track, finding):
    for raced in track.run(resolve(**finding), callback(RESULT), prepare=in_doubt):
        was_found = raced.first != REFUSED
        assert was_found != raced.second
        assert raced.story.events == ["started", "resolved"][: 1 + was_found]
        assert raced.story.steps == [("one", "succeeded" if raced.second or "output" in finding else "failed")]
        assert raced.story.cast.cost_usd == PRICE
        [attempt] = raced.story.attempts
        assert (attempt.output, attempt.late_output) == (
            ({"n": 1}, None) if raced.second else (finding.get("output"), None if "output" in finding else {"n": 1})
        )


def test_a_retry_and_a_late_callback(track):
    for raced in track.run(retry, callback(RESULT), prepare=failed_in_doubt):
        assert (raced.refused, raced.second, raced.story.cast.status) == (0, True, "running")
        assert raced.story.events == ["started", "failed", "retried"]
        assert (raced.story.steps, raced.story.cast.cost_usd) == ([("one", "succeeded")], PRICE)


def test_a_retry_and_a_finding(track):
    for raced in track.run(retry, resolve(), prepare=failed_in_doubt):
        assert raced.refused == 0
        assert raced.story.steps == [("one", "failed")]
        found_first = raced.story.events == ["started", "failed", "resolved", "retried"]
        assert found_first or raced.story.events == ["started", "failed", "retried", "resolved"]
        assert raced.story.attempts[0].round == (0 if found_first else 1)


def test_two_findings(track):
    for raced in track.run(resolve(output={"n": 3}), resolve(), prepare=in_doubt):
        assert (raced.refused, raced.story.events) == (1, ["started", "resolved"])
        assert raced.story.steps == [("one", "failed" if raced.first == REFUSED else "succeeded")]


def test_a_callback_and_a_poll(track):
    for raced in track.run(callback(RESULT), settle(RESULT, via=Via.POLL), prepare=asked_for):
        assert raced.story.steps in ([("one", "succeeded")], [("one", "succeeded"), ("two", "running")])
        assert (raced.story.cast.cost_usd, raced.story.cast.status) == (PRICE, "running")
        assert bool(raced.second.late) == raced.first


def test_a_callback_and_the_answer_that_there_is_a_job(track):
    for raced in track.run(callback(RESULT), settle(Submitted(job_id="job-1", poll_after=60)), prepare=at_work):
        assert raced.first
        assert raced.story.steps in ([("one", "succeeded")], [("one", "succeeded"), ("two", "running")])
        assert (raced.story.cast.cost_usd, raced.story.attempts[0].job_id) == (PRICE, "job-1")


def test_two_callbacks_that_contradict_each_other(track):
    for raced in track.run(callback(RESULT), callback(NO), prepare=asked_for):
        assert raced.first != raced.second
        assert raced.story.steps == [("one", "succeeded" if raced.first else "failed")]
        assert raced.story.cast.cost_usd == PRICE


def test_two_reapers_of_a_stranded_cast(track):
    for raced in track.run(reap, reap, prepare=at_work, before_each=strand):
        assert sorted([raced.first, raced.second]) == [False, True]
        assert raced.story.events == ["started", "reaped"]


def test_two_claims(track):
    for raced in track.run(claim, claim, prepare=put_off, before_each=ring):
        assert sorted([raced.first, raced.second]) == [False, True]
        assert raced.story.events == ["started"]


def test_a_cast_that_is_given_up_and_its_last_result(track):
    for raced in track.run(give_up, settle(RESULT), prepare=at_work, steps=1):
        assert raced.story.cast.status == ("failed" if raced.first else "succeeded")
        assert raced.story.steps == [("one", "succeeded")]  # late, the result tells what became of the call
        assert raced.story.cast.cost_usd == PRICE
