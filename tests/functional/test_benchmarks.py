"""Small forms of the load runs: they work, and what they hold holds."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks import churn, deferred, history, immediate, latency, waiting, web
from benchmarks.house import House, house
from tests.functional.site import Site

pytestmark = pytest.mark.postgresql


@pytest.fixture
def built(prepared: Site) -> Iterator[House]:
    with house(database_url=os.environ["DATABASE_URL"], template=prepared.database, by_fork=True) as built:
        yield built


def test_immediate_calls_are_made_at_once_and_billed_once(built: House):
    outcome = immediate.run(built, calls=40, seconds=2, conductors=2, limit=60)
    assert outcome.problems == []
    assert outcome.figures["at_once"] == 40


def test_jobs_whose_webhooks_get_lost_all_end_and_are_billed_once(built: House):
    load = deferred.Load(casts=40, latency="0.5..3", fail=0.2, lose=0.2, double=0.2, seconds=300)
    outcome = deferred.run(built, load)
    assert outcome.problems == []
    assert outcome.figures["billed_twice"] == outcome.figures["unbooked_usd"] == 0


def test_claims_are_measured_beside_a_history_which_is_pruned(built: House):
    outcome = history.run(built, casts=[0, 300], prune=100, claims=20, turns=1, limit=1_000.0)
    assert outcome.problems == []
    assert [casts for casts, _ in outcome.series["claim_ms"]] == [0, 300]
    assert outcome.figures["bytes_per_step"] > 500


def test_requests_are_counted_beside_those_of_an_empty_view(built: House):
    outcome = web.run(built, seconds=1.0, rounds=1, connections=2)
    assert outcome.problems == []
    assert outcome.figures["times_floor"] > 0


def test_waits_are_measured_from_a_request_and_from_a_callback(built: House):
    outcome = latency.run(built, casts=3)
    assert outcome.problems == []
    assert all(0 < each < 60_000 for each in outcome.figures.values())


def test_waits_are_measured_beside_casts_that_wait(built: House):
    outcome = waiting.run(built, casts=[5, 40], requests=3, seconds=1.0, turns=1, most=1_000.0)
    assert outcome.problems == []
    assert [casts for casts, _ in outcome.series["callback_ms"]] == [5, 40]
    [(waits,)] = built.ask("SELECT count(*) FROM casts_wakeup WHERE due_at > now() + interval '1 hour'")
    assert waits == 40 + 1 - 3 - 3  # the one that was copied, and those that were called back


def test_tables_are_looked_at_while_casts_come_and_go(built: House):
    outcome = churn.run(built, casts=10, rounds=3, limit=1_000.0)
    assert outcome.problems == []
    assert len(outcome.series["mib"]) == 3


@pytest.mark.parametrize(
    "name", ["churn", "curves", "deferred", "everything", "history", "idle", "immediate", "latency", "targets", "waiting", "web"]
)
def test_they_start_as_the_programs_that_they_are(name: str):
    asked = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60, env={"PATH": os.environ["PATH"]})
    assert told.returncode == 0, told.stderr
    assert f"usage: python -m benchmarks.{name}" in told.stdout
