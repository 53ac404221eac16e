"""Workers that are killed, stopped, and told to stop (faults 1 to 6 and 17)."""

import signal
import time
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from spells.models import Recovery
from tests.processes import wait_for

from .books import moment
from .stage import LONG, SHORT_LEASE_SECONDS, Stage, kill

# A tick of the loop, and what a machine with other work takes for it; no lease is as long.
TICK_SECONDS = 1.0
SLACK_SECONDS = 15.0
# The statements by which a call is settled and a cast is ended.
SUCCESS = r'UPDATE generations_generation .*"status": "succeeded"'
SUBMISSION = r'UPDATE generations_generation .*"status": "submitted"'
END = "DELETE FROM casts_wakeup"


@pytest.fixture(autouse=True)
def short_leases(stage: Stage) -> None:
    stage.shorten_leases()


def two_steps(stage: Stage, **values: Any) -> UUID:
    tool = stage.step_tool()
    return stage.play(
        {"key": "one", "tool": tool, "params": {"name": "one", **values}},
        {"key": "two", "tool": tool, "params": {"name": "two", "make": "{{ steps.one.n | string }}"}},
    )


def test_a_worker_killed_inside_a_pure_step_leaves_it_to_another_within_a_lease_and_a_tick(stage: Stage):
    worker = stage.conduct()
    cast = stage.play({"key": "one", "tool": stage.step_tool(), "params": {"name": "one", "hold": "it"}})
    wait_for("the step runs", lambda: stage.runs("one"), seconds=LONG)
    other = stage.conduct()
    worker.tell(signal.SIGKILL)
    killed_at = time.monotonic()
    stage.go("it")
    stage.wait_for_status(cast)
    assert time.monotonic() - killed_at < SHORT_LEASE_SECONDS + TICK_SECONDS + SLACK_SECONDS
    assert [run["pid"] for run in stage.runs("one")] == [worker.process.pid, other.process.pid]
    assert [(each["status"], bool(each["lost"])) for each in stage.attempts(cast)] == [("failed", True), ("succeeded", False)]
    stage.check()
    stage.stop(other)


@pytest.mark.parametrize("recovery", [Recovery.NONE, Recovery.RESEND])
def test_a_worker_killed_with_the_providers_answer_in_hand_is_billed_once_whatever_becomes_of_it(stage: Stage, recovery: Recovery):
    worker = stage.conduct(kill("answer", wrote=SUCCESS))
    cast = stage.play({"key": "one", "tool": stage.ask_tool(recovery=recovery), "params": {"prompt": "A lamp."}})
    stage.wait_for_kill(worker)
    assert len(stage.bill()) == 1
    other = stage.conduct()
    if recovery == Recovery.RESEND:
        stage.wait_for_status(cast)
        assert stage.check().unknown == []
    else:
        stage.wait_for_generation(cast, "unknown")
        account = stage.check()
        assert (stage.status(cast), len(account.unknown), account.billed_unknown) == ("running", 1, 1)
    assert len(stage.bill()) == 1
    stage.stop(other)


def test_a_worker_killed_before_the_id_of_a_job_was_stored_has_it_looked_up_by_its_key(stage: Stage):
    worker = stage.conduct(kill("submission", wrote=SUBMISSION))
    tool = stage.job_tool(adapter="fault.lookup", recovery=Recovery.LOOKUP)
    cast = stage.play({"key": "one", "tool": tool, "params": {"input": {"prompt": "A lamp."}}})
    stage.wait_for_kill(worker)
    other = stage.conduct()
    stage.wait_for_status(cast)
    assert stage.told(cast) == [("one", "succeeded")]
    assert len(stage.bill()) == 1
    assert stage.check().unknown == []
    stage.stop(other)


def test_a_worker_killed_before_the_id_of_a_job_was_stored_hears_of_it_by_its_webhook(stage: Stage):
    web = stage.web()
    worker = stage.conduct(kill("submission", wrote=SUBMISSION))
    stage.fake.tell(dialect="replicate", hold=True)
    cast = stage.play({"key": "one", "tool": stage.job_tool(), "params": {"input": {"prompt": "A lamp."}}})
    stage.wait_for_kill(worker)
    other = stage.conduct()
    stage.wait_for_generation(cast, "unknown")
    stage.fake.control("release", {})
    stage.wait_for_status(cast)
    assert len(stage.bill()) == 1
    assert stage.check().unknown == []
    stage.stop(other, web)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_between_two_steps_leaves_a_cast_that_goes_on(stage: Stage, when: str):
    worker = stage.conduct(kill("between", wrote=SUCCESS, when=when))
    cast = two_steps(stage)
    stage.wait_for_kill(worker)
    other = stage.conduct()
    stage.wait_for_status(cast)
    # what was not committed is done again; what was, never
    assert Counter(run["name"] for run in stage.runs()) == {"one": 2 if when == "before" else 1, "two": 1}
    stage.check()
    stage.stop(other)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_at_the_end_of_a_cast_leaves_one_end_and_one_notification(stage: Stage, when: str):
    worker = stage.conduct(kill("end", wrote=END, when=when))
    cast = stage.play({"key": "one", "tool": stage.ask_tool(recovery=Recovery.RESEND), "params": {"prompt": "A lamp."}})
    stage.wait_for_kill(worker)
    assert stage.status(cast) == ("running" if when == "before" else "succeeded")
    other = stage.conduct()
    stage.wait_for_status(cast)
    stage.check()
    assert len(stage.books.ask("SELECT id FROM casts_castevent WHERE kind = 'succeeded'")) == 1
    assert len(stage.bill()) == 1
    stage.stop(other)


def test_a_worker_told_to_stop_in_a_long_step_renews_its_claim_and_nothing_runs_twice(stage: Stage):
    worker = stage.conduct()
    cast = two_steps(stage, hold="it")
    wait_for("the step runs", lambda: stage.runs("one"), seconds=LONG)
    other = stage.conduct()
    worker.tell(signal.SIGTERM)

    def claimed_until() -> Any:
        return moment(stage.books.ask("SELECT claimed_until FROM casts_wakeup")[0]["claimed_until"])

    first = claimed_until()
    wait_for("the claim is renewed twice over", lambda: (claimed_until() - first).total_seconds() > 2 * SHORT_LEASE_SECONDS, seconds=LONG)
    assert worker.process.poll() is None
    stage.go("it")
    assert worker.end() == 0, worker.said()
    stage.wait_for_status(cast)
    assert [(run["name"], run["pid"]) for run in stage.runs()] == [("one", worker.process.pid), ("two", other.process.pid)]
    stage.check()
    stage.stop(other)


@pytest.mark.parametrize("is_billed", [False, True])
def test_a_zombie_that_wakes_after_its_lease_writes_nothing_that_another_has_settled(stage: Stage, *, is_billed: bool):
    zombie = stage.conduct()
    if is_billed:
        stage.fake.tell(dialect="openai", latency=SHORT_LEASE_SECONDS)
        tool = stage.ask_tool(recovery=Recovery.RESEND, run_timeout_seconds=int(2 * LONG))  # however long it sleeps, it is in time
        cast = stage.play({"key": "one", "tool": tool, "params": {"prompt": "A lamp."}})
        stage.wait_for_generation(cast, "running")
        wait_for("the provider was asked", lambda: stage.fake.control("stats")["answers"] > 0, seconds=LONG)
    else:
        cast = stage.play({"key": "one", "tool": stage.step_tool(), "params": {"name": "one", "hold": "it"}})
        wait_for("the step runs", lambda: stage.runs("one"), seconds=LONG)
    zombie.tell(signal.SIGSTOP)
    other = stage.conduct()
    stage.go("it")
    stage.wait_for_status(cast)
    row = stage.attempts(cast)[-1]
    zombie.tell(signal.SIGCONT)
    wait_for("its result is taken as late", lambda: stage.attempts(cast)[0]["late_output"], seconds=LONG)
    assert [each["status"] for each in stage.attempts(cast)] == ["failed", "succeeded"]
    assert stage.attempts(cast)[-1] == row
    stage.check()
    assert len(stage.bill()) == is_billed
    stage.stop(zombie, other)


@pytest.mark.lasting
def test_a_step_that_kills_its_worker_each_time_fails_in_the_end_and_takes_no_neighbour_along(stage: Stage):
    tool = stage.step_tool()
    neighbours = [stage.play({"key": "well", "tool": tool, "params": {"name": "well"}}, slug=f"well-{n}") for n in range(3)]
    cast = stage.play({"key": "one", "tool": tool, "params": {"name": "one", "kill": True}})
    workers = [stage.conduct()]

    def ended() -> bool:
        if workers[-1].process.poll() is not None:
            assert workers[-1].process.returncode == -signal.SIGKILL, workers[-1].said()
            workers.append(stage.conduct())
        return stage.status(cast) == "failed"

    wait_for("the cast is given up", ended, seconds=2 * LONG)
    attempts = stage.attempts(cast)
    assert len(attempts) >= len(stage.runs("one")) > 1  # each was counted before it was made
    assert len(workers) <= 3  # from its third attempt on it was made apart
    assert [each["attempt"] for each in attempts] == list(range(1, len(attempts) + 1))
    for each in neighbours:
        stage.wait_for_status(each)
    stage.check()
    stage.stop(workers[-1])
