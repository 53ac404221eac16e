"""Receivers, as one process knows them: each has as much room as it takes up."""

import threading

import pytest

from casts.notifications.receivers import (
    LONGEST_WAIT_SECONDS,
    MOST_AT_ONCE,
    MOST_KNOWN,
    MOST_TO_FAILING,
    MOST_TO_QUICK,
    SHORTEST_WAIT_SECONDS,
    Receivers,
)


def room(receivers: Receivers, receiver: object, *, is_failing: bool = False) -> int:
    """Take all the room that there is, and return how much that was."""
    count = 0
    while receivers.has_room(receiver, is_failing=is_failing):
        receivers.begin(receiver)
        count += 1
    return count


def known(*, seconds: float) -> Receivers:
    """Return receivers of which the first has answered once."""
    receivers = Receivers()
    receivers.begin(1)
    receivers.end(1, seconds=seconds)
    return receivers


def test_one_that_nobody_knows_gets_a_few():
    receivers = Receivers()
    assert room(receivers, 1) == MOST_AT_ONCE
    assert room(receivers, 2) == MOST_AT_ONCE


def test_one_that_fails_gets_one():
    assert room(Receivers(), 1, is_failing=True) == MOST_TO_FAILING == 1


@pytest.mark.parametrize(("seconds", "most"), [(0.01, MOST_TO_QUICK), (5.0, MOST_AT_ONCE)])
def test_one_that_answers_in_a_moment_gets_more(seconds: float, most: int):
    assert room(known(seconds=seconds), 1) == most


def test_a_place_that_comes_free_is_taken_again():
    receivers = Receivers()
    room(receivers, 1)
    receivers.end(1)
    assert room(receivers, 1) == 1


@pytest.mark.parametrize(
    ("seconds", "least", "most"), [(0.001, SHORTEST_WAIT_SECONDS, 0.2), (4.0, 4.0, 5.0), (60.0, LONGEST_WAIT_SECONDS, 13.0)]
)
def test_the_wait_is_what_one_message_takes_within_bounds(seconds: float, least: float, most: float):
    assert least <= known(seconds=seconds).wait(1) <= most


def test_what_is_known_of_many_is_forgotten_and_no_place_lost():
    receivers = known(seconds=0.01)
    for receiver in range(2, MOST_KNOWN + 3):
        receivers.begin(receiver)
        receivers.end(receiver, seconds=0.01)
    assert room(receivers, 1) == MOST_AT_ONCE


def test_places_are_counted_right_by_threads_that_take_and_free_them_at_once():
    receivers = Receivers()

    def pass_through() -> None:
        for _ in range(5_000):
            receivers.begin(1)
            receivers.end(1)

    threads = [threading.Thread(target=pass_through) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert room(receivers, 1) == MOST_AT_ONCE
