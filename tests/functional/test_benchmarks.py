"""Small forms of the load runs: they work, and what they hold holds."""

import os

import pytest

from benchmarks import immediate
from benchmarks.house import house

pytestmark = pytest.mark.postgresql


def test_immediate_calls_are_made_at_once_and_billed_once():
    with house(database_url=os.environ["DATABASE_URL"]) as built:
        assert immediate.run(built, calls=40, seconds=2, conductors=2, limit=60) == []
