"""Small forms of the load runs: they work, and what they hold holds."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks import deferred, history, immediate
from benchmarks.house import House, house
from tests.functional.site import Site

pytestmark = pytest.mark.postgresql


@pytest.fixture
def built(prepared: Site) -> Iterator[House]:
    with house(database_url=os.environ["DATABASE_URL"], template=prepared.database) as built:
        yield built


def test_immediate_calls_are_made_at_once_and_billed_once(built: House):
    assert immediate.run(built, calls=40, seconds=2, conductors=2, limit=60) == []


def test_jobs_whose_webhooks_get_lost_all_end_and_are_billed_once(built: House):
    load = deferred.Load(casts=40, latency="0.5..3", fail=0.2, lose=0.2, double=0.2, seconds=300)
    assert deferred.run(built, load) == []


def test_claims_are_measured_beside_a_history_which_is_pruned(built: House):
    assert history.run(built, casts=[0, 300], prune=100, claims=20, limit=1_000.0) == []


@pytest.mark.parametrize("name", ["immediate", "deferred", "history"])
def test_they_start_as_the_programs_that_they_are(name: str):
    asked = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60, env={"PATH": os.environ["PATH"]})
    assert told.returncode == 0, told.stderr
    assert f"usage: python -m benchmarks.{name}" in told.stdout
