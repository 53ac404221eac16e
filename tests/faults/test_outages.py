"""Providers that are away, queues that are gone, clocks that are off, reapers that meet (faults 23, 24, 26 and 27)."""

import signal
from collections import Counter
from datetime import timedelta

import pytest

from spells.models import Recovery
from tests.casts.scenes import user
from tests.processes import wait_for

from .books import moment
from .stage import LONG, SHORT_LEASE_SECONDS, Stage, kill
from .test_webhooks import STEP

CASTS = 6
REST_SECONDS = 3
DOWN_MINUTES = 30
STRANDED = 40


def test_a_provider_that_asks_for_rest_gets_as_much_as_it_asked_for(stage: Stage):
    worker = stage.conduct()
    stage.fake.tell(dialect="openai", status=429, retry_after=REST_SECONDS)
    cast = stage.play({"key": "one", "tool": stage.ask_tool(max_attempts=1), "params": {"prompt": "A lamp."}})
    stage.wait_for_status(cast)
    refused, answered = stage.attempts(cast)
    assert (refused["status"], bool(refused["excused"]), answered["status"]) == ("failed", True, "succeeded")
    assert moment(answered["started_at"]) - moment(refused["finished_at"]) >= timedelta(seconds=REST_SECONDS)
    assert stage.check().unknown == []
    stage.stop(worker)


def test_a_provider_that_is_down_for_half_an_hour_is_left_alone_and_burns_no_attempts(stage: Stage):
    worker = stage.conduct()
    stage.fake.tell(dialect="openai", status=503, count=10_000)
    tool = stage.ask_tool(recovery=Recovery.RESEND, max_attempts=3, max_in_flight=50)
    casts = [
        stage.play({"key": "one", "tool": tool, "params": {"prompt": f"Lamp {number}."}}, slug=f"lamp-{number}") for number in range(CASTS)
    ]

    def gate() -> tuple[str, int]:
        rows = stage.books.ask("SELECT state, wait_seconds FROM casts_gate")
        return (rows[0]["state"], int(rows[0]["wait_seconds"])) if rows else ("", 0)

    def tries() -> int:
        return len(stage.books.ask("SELECT id FROM casts_gateevent WHERE kind = 'tried'"))

    wait_for("the breaker opens", lambda: gate()[0] == "open", seconds=LONG)
    waits: list[int] = []
    asked: list[int] = []
    while sum(waits) < DOWN_MINUTES * 60:
        waits.append(gate()[1])
        stage.move_clock(seconds=waits[-1])
        wait_for("one call has tried", lambda: tries() == len(waits) and gate()[0] == "open", seconds=LONG)
        asked.append(len(_attempts(stage)))
    assert waits == sorted(waits)
    # Counted from the first try on: calls that had been let through before the breaker opened may end after it.
    assert asked == list(range(asked[0], asked[0] + len(waits)))
    assert len(waits) < DOWN_MINUTES
    stage.fake.control("rules", method="DELETE")

    def ended() -> bool:
        stage.move_clock(minutes=1)
        return stage.account().casts == Counter({"succeeded": CASTS})

    wait_for("all have ended", ended, seconds=LONG)
    for cast in casts:
        counted = [each for each in stage.attempts(cast) if each["status"] == "failed" and not each["excused"]]
        assert len(counted) < 3
    assert stage.check().unknown == []
    stage.stop(worker)


def _attempts(stage: Stage) -> list[dict[str, object]]:
    return stage.books.ask("SELECT id FROM generations_generation")


@pytest.mark.lasting
def test_casts_go_on_when_queue_and_schedules_were_deleted_and_the_reaper_heals_without_them(stage: Stage):
    casts = [stage.play({"key": "one", "tool": stage.step_tool(), "params": {"name": "one"}}, slug=f"one-{number}") for number in range(3)]
    assert stage.books.ask("SELECT id FROM django_q_ormq"), "nobody was asked to come"
    for table in ("django_q_ormq", "django_q_schedule", "casts_wakeup"):
        stage.books.tell(f"DELETE FROM {table}")
    assert len(stage.account().problems) == len(casts)
    assert stage.command("reap").end() == 0
    assert len(stage.books.ask("SELECT cast_id FROM casts_wakeup")) == len(casts)
    # the reaper has rung; that is deleted as well, so that the schedule alone is left to bring somebody
    stage.books.tell("DELETE FROM django_q_ormq")
    stage.run("sync_schedules")
    cluster = stage.start("qcluster")
    for cast in casts:
        stage.wait_for_status(cast)
    assert len(stage.runs()) == len(casts)
    stage.check()
    stage.stop(cluster)


@pytest.mark.postgresql
def test_workers_whose_clocks_are_ten_minutes_off_keep_leases_and_timers_by_the_databases_clock(stage: Stage):
    stage.shorten_leases()
    early, late = stage.conduct(FAULT_SKEW_SECONDS="-600"), stage.conduct(FAULT_SKEW_SECONDS="600")
    held = [
        stage.play({"key": "one", "tool": stage.step_tool(), "params": {"name": str(number), "hold": "it"}}, slug=f"held-{number}")
        for number in range(4)
    ]
    job = stage.play({"key": "one", "tool": stage.job_tool(poll_seconds=1), "params": STEP})
    stage.fake.tell(dialect="openai", status=500, count=1)
    again = stage.play({"key": "one", "tool": stage.ask_tool(recovery=Recovery.RESEND), "params": {"prompt": "A lamp."}})
    for cast in (job, again):
        stage.wait_for_status(cast)

    def leases() -> list[float]:
        rows = stage.books.ask("SELECT extract(epoch FROM claimed_until - clock_timestamp())::float AS left FROM casts_wakeup")
        return [row["left"] for row in rows]

    wait_for("all steps run", lambda: len(stage.runs()) == len(held), seconds=LONG)
    until = stage.books.now() + timedelta(seconds=3 * SHORT_LEASE_SECONDS)
    while stage.books.now() < until:
        assert all(0 < left <= SHORT_LEASE_SECONDS for left in leases())
    stage.go("it")
    for cast in held:
        stage.wait_for_status(cast)
    assert Counter(run["name"] for run in stage.runs()) == Counter(str(number) for number in range(len(held)))
    assert stage.check().unknown == []
    stage.stop(early, late)


def test_reapers_that_run_twice_at_once_or_are_killed_in_the_middle_do_no_harm(stage: Stage):
    version_of = {"key": "one", "tool": stage.step_tool(), "params": {"name": "one"}}
    casts = [stage.play(version_of, slug=f"one-{number}") for number in range(STRANDED)]
    stage.books.tell("DELETE FROM casts_wakeup")
    killed = [
        stage.command("reap", points=[kill(f"reaper-{when}", when=when, wrote='INSERT INTO "casts_wakeup"')])
        for when in ("after", "before")
    ]
    for reaper in killed:
        assert reaper.end() == -signal.SIGKILL, reaper.said()
    healed = len(stage.books.ask("SELECT cast_id FROM casts_wakeup"))
    assert 0 < healed < STRANDED
    for reaper in [stage.command("reap") for _ in range(2)]:
        assert reaper.end() == 0, reaper.said()
    assert len(stage.books.ask("SELECT cast_id FROM casts_wakeup")) == STRANDED
    events = Counter(str(row["cast_id"]) for row in stage.books.ask("SELECT cast_id FROM casts_castevent WHERE kind = 'reaped'"))
    assert set(events.values()) == {1}
    assert len(events) == STRANDED
    worker = stage.conduct()
    for cast in casts:
        stage.wait_for_status(cast)
    assert len(stage.runs()) == STRANDED
    assert user().casts.count() == STRANDED
    stage.check()
    stage.stop(worker)
