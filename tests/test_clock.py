from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from tests.conftest import Clock


def error_of(clock: Clock) -> timedelta:
    return abs(clock.now() - datetime.now(UTC) - clock.shift)


def test_the_clock_shows_the_time_until_it_is_moved(clock: Clock):
    assert error_of(clock) < timedelta(seconds=5)


def test_the_clock_moves_by_what_it_is_told(clock: Clock):
    clock.advance(hours=1)
    clock.advance(minutes=30, seconds=0.25)
    assert clock.shift == timedelta(hours=1, minutes=30, seconds=0.25)
    assert error_of(clock) < timedelta(seconds=5)


def test_the_clock_can_be_moved_back(clock: Clock):
    clock.advance(days=-2)
    assert error_of(clock) < timedelta(seconds=5)


def test_statements_see_the_moved_clock_although_they_were_prepared_before(clock: Clock):
    before = [clock.now() for _ in range(5)]  # the driver prepares what it has seen twice
    clock.advance(days=1)
    assert clock.now() - before[-1] >= timedelta(days=1)


@pytest.mark.django_db(transaction=True)
def test_other_connections_see_the_moved_clock(clock: Clock):
    clock.advance(days=1)
    connection.close()
    assert error_of(clock) < timedelta(seconds=5)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", [1, 2])
def test_each_test_starts_with_the_real_time(clock: Clock, round_: int):
    assert clock.shift == timedelta()
    assert error_of(clock) < timedelta(seconds=5)
    clock.advance(days=round_)


def test_time_passes_within_a_transaction(clock: Clock):
    assert clock.now() < clock.now()
