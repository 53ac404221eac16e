"""Which status may follow which: each pair of both sets, and all that the engine can do to a cast in each of them."""

import ast
import inspect
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from casts import engine
from casts.models import Cast, CastEvent, CastStatus, Notification, Wakeup
from generations.models import Cancellation, Generation, GenerationStatus
from tests.conftest import Clock

from . import acts, scenes
from .acts import ACTS, FEW
from .places import NOTHING, PLACES

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(600)]

# Of what is committed: a first look may start a cast and end it.
CASTS: Mapping[str, set[str]] = {
    NOTHING: {"queued"},
    "queued": {"running", "paused", "succeeded", "failed", "cancelled"},
    "running": {"paused", "succeeded", "failed", "cancelled"},
    "paused": {"running", "failed", "cancelled"},
    "succeeded": set(),
    "failed": {"running"},
    "cancelled": {"running"},
}
GENERATIONS: Mapping[str, set[str]] = {
    NOTHING: {"running", "failed", "skipped"},
    "pending": {"failed"},
    "running": {"submitted", "succeeded", "failed", "cancelled", "unknown"},
    "submitted": {"succeeded", "failed", "cancelled", "unknown"},
    "succeeded": set(),
    "failed": set(),
    "cancelled": set(),
    "skipped": set(),
    "unknown": {"submitted", "succeeded", "failed"},
}
TABLES = {"cast": CASTS, "generation": GENERATIONS}
# What does not change in a row that has ended, unless its status does.
OF_A_CAST = ("status", "outputs", "error", "reason", "finished_at", "round", "inputs", "wakeup")
OF_A_GENERATION = ("status", "output", "error", "reason", "finished_at", "attempt", "round", "inputs", "owed_key", "retry_at")
ENDED = {"succeeded", "failed", "cancelled", "skipped", "unknown"}
LIVE = {"queued", "running", "paused"}
REFUSED = (engine.TransitionRefusedError, engine.NotSkippableError)
# Functions of the engine that change no status, or are a part of another one here.
ASIDE = {"bells", "is_any_due", "latest_claims", "shown_progress"} | {
    *("close_breaker", "learn_from_asking", "open_breaker", "ring_gates", "tend_gates"),  # they know gates alone
    *("check_castable", "complete_inputs", "disabled_tool", "disabled_tool_of", "look", "refuse_uncastable"),  # they read alone
    *("settle_in_time", "take_late", "receive_all"),  # the halves of `settle`, and what `receive` is
}

Rows = dict[tuple[str, Any], tuple[Any, ...]]


@dataclass
class Seen:
    """What came of all acts in one place: by kind of row and pair of statuses the acts, those refused, and what went wrong."""

    moves: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    refused: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def compare(self, before: Rows, after: Rows, *, act: str) -> None:
        """Note what one transaction did."""
        for (kind, pk), row in after.items():
            was = before.get((kind, pk), (NOTHING,))
            self.moves[kind, was[0], row[0]].add(act)
            if was[0] != row[0] and row[0] not in TABLES[kind][was[0]]:
                self.wrong.append(f"{act}: a {kind} that was {was[0]} is {row[0]}")
            elif was[0] == row[0] in ENDED and was != row:
                self.wrong.append(f"{act}: what stands in a {kind} that had {row[0]} changed from {was} to {row}")
        if gone := before.keys() - after.keys():
            self.wrong.append(f"{act}: {gone} are gone")
        for (kind, pk), row in after.items():
            if kind == "cast" and (row[0] in LIVE) != (row[-1] == pk):
                self.wrong.append(f"{act}: a cast that is {row[0]} has the wakeup {row[-1]}")


_seen: dict[str, Seen] = {}


def seen_in(name: str, clock: Clock) -> Seen:
    """Try each act in a copy of a place, once for all tests of a process."""
    if name not in _seen:
        seen, place = Seen(), PLACES[name]
        with undone(clock):
            hand = place.build(clock)
            attempt = acts.row_of(hand)
            assert (hand.status(), attempt.status if attempt else NOTHING) == (place.cast, place.generation), name
            books = whole_books()
            for told in place.acts:
                with undone(clock):
                    _do(told, replace(hand, calls=dict(hand.calls), left={}), clock, seen=seen, books=books)
        _seen[name] = seen
    return _seen[name]


def _do(told: str, hand: scenes.Hand, clock: Clock, *, seen: Seen, books: list[Any]) -> None:
    before = rows()
    try:
        for _ in chain(ACTS[told](hand, clock), looked(hand)):
            after = rows()
            seen.compare(before, after, act=told)
            before = after
    except REFUSED:
        seen.refused.add(told)
        if whole_books() != books:
            seen.wrong.append(f"{told}: it was refused, and something is written")
    except IntegrityError as error:
        seen.wrong.append(f"{told}: only the database stopped it: {error}")


def looked(hand: scenes.Hand) -> Iterator[None]:
    hand.look()
    yield


@contextmanager
def undone(clock: Clock) -> Iterator[None]:
    """Take back what was done, and the time that passed."""
    shift = clock.shift
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    clock.advance(seconds=(shift - clock.shift).total_seconds())


def rows() -> Rows:
    found: Rows = {("cast", row[0]): row[1:] for row in Cast.objects.values_list("pk", *OF_A_CAST)}
    return found | {("generation", row[0]): row[1:] for row in Generation.objects.values_list("pk", *OF_A_GENERATION)}


def whole_books() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Cast, Wakeup, Generation, CastEvent, Notification, Cancellation)]


def ways(kind: str, before: str, after: str, clock: Clock) -> set[str]:
    """Return by which acts, and where, rows went from one status to another."""
    places = [name for name, place in PLACES.items() if before == getattr(place, kind)]
    if before == NOTHING:
        places = ["new", *places, "failed for good"]
    return {f"{name}: {act}" for name in places for act in seen_in(name, clock).moves[kind, before, after]}


def pairs(kind: str, *, legal: bool) -> list[Any]:
    """Return each pair of different statuses, and that of nothing and each, of which the second may follow the first, or may not."""
    statuses = {"cast": CastStatus, "generation": GenerationStatus}[kind].values
    return [
        pytest.param(before, after, id=f"{before} to {after}")
        for before in (NOTHING, *statuses)
        for after in statuses
        if before != after and (after in TABLES[kind][before]) == legal
    ]


@pytest.mark.parametrize(("before", "after"), pairs("cast", legal=True))
def test_a_cast_goes(before, after, clock):
    assert ways("cast", before, after, clock)


@pytest.mark.parametrize(("before", "after"), pairs("cast", legal=False))
def test_a_cast_never_goes(before, after, clock):
    assert ways("cast", before, after, clock) == set()


@pytest.mark.parametrize("status", CastStatus.values)
def test_a_cast_stays(status, clock):
    assert ways("cast", status, status, clock)


@pytest.mark.parametrize(("before", "after"), pairs("generation", legal=True))
def test_a_generation_goes(before, after, clock):
    assert ways("generation", before, after, clock)


@pytest.mark.parametrize(("before", "after"), pairs("generation", legal=False))
def test_a_generation_never_goes(before, after, clock):
    assert ways("generation", before, after, clock) == set()


@pytest.mark.parametrize("status", GenerationStatus.values)
def test_a_generation_stays(status, clock):
    assert ways("generation", status, status, clock)


@pytest.mark.parametrize("place", PLACES)
def test_no_act_changes_what_has_ended_or_writes_when_it_is_refused_or_loses_a_wakeup(place, clock):
    assert seen_in(place, clock).wrong == []


@pytest.mark.parametrize("place", PLACES)
def test_the_status_of_a_cast_says_which_verbs_are_refused(place, clock):
    refused = seen_in(place, clock).refused
    status = PLACES[place].cast
    verbs = {"pause": {"queued", "running"}, "resume": {"paused"}, "cancel": LIVE, "retry": {"failed", "cancelled"}}
    assert {verb for verb in verbs if verb in refused} == {verb for verb, allowed in verbs.items() if status not in allowed}


@pytest.mark.parametrize("place", [name for name, place in PLACES.items() if place.generation != NOTHING])
def test_only_what_is_unknown_can_be_resolved(place, clock):
    resolved = {name for name in FEW if name.startswith("resolve")}
    assert seen_in(place, clock).refused & resolved == (set() if PLACES[place].generation == "unknown" else resolved)


def test_the_acts_are_all_that_the_engine_can_do():
    functions = {name for name in engine.__all__ if inspect.isfunction(getattr(engine, name))}
    used = {
        node.attr
        for module in (acts, scenes)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "engine"
    }
    verbs = {name.split()[0].strip(":,") for name in ACTS}
    assert functions - used - verbs == ASIDE
