from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from casts import engine, watching
from casts.clock import database_now
from casts.management import display
from casts.watching import StepLine, Watched
from casts.words import dollars
from generations.tools.contract import Cost, Result, ToolError
from tests.casts import scenes
from tests.casts.scenes import Hand
from tests.conftest import Clock

LIST_AND_EACH = (
    {"key": "list"},
    {"key": "each", "for_each": "{{ steps.list.items }}", "params": {"x": "{{ item }}"}},
    {"key": "last", "params": {"all": "{{ steps.each | length }}"}},
)


def lines(hand: Hand) -> dict[str, StepLine]:
    return {line.key: line for line in watching.look(cast_id=hand.cast.pk).steps}


def states(hand: Hand) -> list[tuple[str, str, int, int | None]]:
    return [(line.key, line.state, line.done, line.total) for line in watching.look(cast_id=hand.cast.pk).steps]


@pytest.mark.django_db
def test_a_cast_is_watched_from_its_start_to_its_end():
    hand = Hand(scenes.cast(*LIST_AND_EACH, outputs={"n": "{{ steps.last.n }}"}))
    assert states(hand) == [("list", "waiting", 0, 1), ("each", "waiting", 0, None), ("last", "waiting", 0, 1)]
    hand.look()
    assert states(hand)[0] == ("list", "running", 0, 1)
    hand.answer("list", {"items": ["a", "b"]})
    assert states(hand) == [("list", "succeeded", 1, 1), ("each", "running", 0, 2), ("last", "waiting", 0, 1)]
    hand.answer("each", {}, item=0)
    assert states(hand)[1] == ("each", "running", 1, 2)
    hand.answer("each", {}, item=1)
    assert states(hand)[1:] == [("each", "succeeded", 2, 2), ("last", "running", 0, 1)]
    hand.answer("last", {"n": 2})
    watched = watching.look(cast_id=hand.cast.pk)
    assert watched.has_ended
    assert (watched.spell, watched.status, watched.outputs) == ("scene@1", "succeeded", {"n": 2})


@pytest.mark.django_db
def test_a_step_without_items_and_one_whose_condition_is_false_have_an_end():
    nothing = {"key": "each", "for_each": "{{ [] }}"}
    never = {"key": "never", "when": "{{ false }}"}
    hand = Hand(scenes.cast(nothing, never))
    hand.look()
    assert states(hand) == [("each", "succeeded", 0, 0), ("never", "skipped", 1, 1)]


@pytest.mark.django_db
def test_a_retry_is_told_with_the_words_of_the_failure(clock: Clock):
    hand = Hand(scenes.cast({"key": "only"}))
    hand.look()
    hand.answer("only", ToolError("The kiln is cold.", retry_after=60))
    line = lines(hand)["only"]
    assert (line.state, line.note) == ("retrying", "The kiln is cold.")
    assert watching.look(cast_id=hand.cast.pk).status == "waiting"
    clock.advance(seconds=120)
    hand.look()
    assert lines(hand)["only"].state == "running"
    hand.answer("only", ToolError("The kiln is broken.", permanent=True))
    line = lines(hand)["only"]
    assert (line.state, line.note) == ("failed", "The kiln is broken.")
    assert watching.look(cast_id=hand.cast.pk).status == "failed"


@pytest.mark.django_db
def test_costs_are_summed_over_all_attempts(clock: Clock):
    hand = Hand(scenes.cast({"key": "paid", "tool": scenes.billed(), "max_attempts": 2}))
    hand.look()
    hand.answer("paid", ToolError("Not this time.", cost=Cost(usd=Decimal("0.25")), retry_after=1))
    clock.advance(seconds=5)
    hand.look()
    hand.answer("paid", Result(output={}, cost=Cost(usd=Decimal("0.50"))))
    assert lines(hand)["paid"].cost_usd == watching.look(cast_id=hand.cast.pk).cost_usd == Decimal("0.75")


@pytest.mark.django_db
def test_the_time_of_a_step_stands_still_once_it_is_done(clock: Clock):
    hand = Hand(scenes.cast({"key": "first"}, {"key": "second", "params": {"x": "{{ steps.first.x }}"}}))
    hand.look()
    clock.advance(seconds=3)
    took = lines(hand)["first"].took
    assert took
    assert took >= timedelta(seconds=3)
    hand.answer("first", {"x": 1})
    clock.advance(seconds=60)
    assert lines(hand)["first"].took < timedelta(seconds=30)
    assert lines(hand)["second"].took >= timedelta(seconds=60)


@pytest.mark.django_db
def test_looking_asks_as_many_queries_for_many_items_as_for_one(django_assert_num_queries):
    hand = Hand(scenes.cast(*LIST_AND_EACH))
    hand.look()
    hand.answer("list", {"items": list(range(30))})
    with django_assert_num_queries(9):
        watching.look(cast_id=hand.cast.pk)


def playing(*acts: Callable[[], object]) -> Callable[[float], None]:
    """Return a pause in which the next act is played."""
    left = list(acts)

    def pause(_seconds: float) -> None:
        left.pop(0)()

    return pause


@pytest.mark.django_db
def test_watch_shows_a_cast_until_it_has_ended_in_plain_lines():
    hand = Hand(scenes.cast({"key": "one"}, {"key": "two", "params": {"x": "{{ steps.one.x }}"}}))
    out = StringIO()
    script = playing(hand.look, lambda: hand.answer("one", {"x": 1}), lambda: hand.answer("two", {}))
    watched = display.watch(cast_id=hand.cast.pk, console=Console(file=out), pause=script)
    assert watched.status == "succeeded"
    told = out.getvalue().splitlines()
    assert [line.split(", ")[0] for line in told] == [
        "one (pure.tool): running",
        "one (pure.tool): succeeded",
        "two (pure.tool): running",
        "two (pure.tool): succeeded",
    ]


@pytest.mark.django_db
def test_watch_moves_a_table_where_there_is_a_terminal():
    hand = Hand(scenes.cast({"key": "one"}))
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=120, legacy_windows=False)
    display.watch(cast_id=hand.cast.pk, console=console, pause=playing(hand.look, lambda: hand.answer("one", {})))
    assert "pure.tool" in out.getvalue()
    assert "succeeded" in out.getvalue()
    assert out.getvalue().endswith("\x1b[?25h")  # the cursor is back


def painting(hand: Hand, percent: float | None, stage: str) -> Callable[[], object]:
    return lambda: hand.cast.generations.filter(status="running").update(progress={"percent": percent, "stage": stage})


@pytest.mark.django_db
def test_watch_shows_how_far_a_call_is_and_what_it_is_at():
    hand = Hand(scenes.cast({"key": "one"}))
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=120, legacy_windows=False)
    script = playing(hand.look, painting(hand, 42.4, "step 11\nof 25\x1b[2J"), lambda: hand.answer("one", {}))
    display.watch(cast_id=hand.cast.pk, console=console, pause=script)
    assert "42 %" in out.getvalue()
    assert "step 11 of 25[2J" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


@pytest.mark.django_db
def test_plain_lines_tell_of_a_call_each_quarter():
    hand = Hand(scenes.cast({"key": "one"}))
    out = StringIO()
    told = [painting(hand, percent, "painting") for percent in (3, 24.9, 25, 30, 80)]
    script = playing(hand.look, *told, lambda: hand.answer("one", {}))
    display.watch(cast_id=hand.cast.pk, console=Console(file=out), pause=script)
    lines = [line for line in out.getvalue().splitlines() if "painting" in line]
    assert [line.split(", ")[2] for line in lines] == ["25 %", "80 %"]


@pytest.mark.django_db
def test_a_step_is_as_far_as_its_calls_at_work_are_on_average():
    hand = Hand(scenes.cast(*LIST_AND_EACH))
    hand.look()
    hand.answer("list", {"items": ["a", "b", "c"]})
    assert lines(hand)["each"].percent is None
    each = hand.cast.generations.filter(step__key="each")
    each.filter(item=0).update(progress={"percent": 20, "stage": ""})
    each.filter(item=1).update(progress={"percent": 60, "stage": "upscaling"})
    each.filter(item=2).update(progress={"percent": None, "stage": ""})
    assert (lines(hand)["each"].percent, lines(hand)["each"].stage) == (40, "upscaling")
    assert watching.look(cast_id=hand.cast.pk).percent == int(100 / 3 + 100 / 3 * 0.8 / 3)
    hand.answer("each", {}, item=1)
    assert lines(hand)["each"].percent == 20


@pytest.mark.django_db
def test_whoever_stops_watching_gets_the_terminal_back():
    hand = Hand(scenes.cast({"key": "one"}))
    out = StringIO()

    def leave(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        display.watch(cast_id=hand.cast.pk, console=Console(file=out, force_terminal=True, width=120), pause=leave)
    assert out.getvalue().endswith("\x1b[?25h")


def ended(status: str, **values: object) -> Watched:
    given = {"outputs": None, "error": None, "reason": "", "steps": (), "cost_usd": Decimal("0.125")}
    given |= {"took": timedelta(seconds=83.2), "percent": 100}
    return Watched(id=None, spell="story@1", status=status, **{**given, **values})  # type: ignore[arg-type]


def test_an_end_is_told_in_words():
    error = {"message": "The model was overloaded.", "step": "art", "item": 1, "attempt": 3, "code": "busy"}
    assert display.verdict(ended("succeeded")) == "The cast succeeded (1:23, $0.1250)."
    assert display.verdict(ended("failed", error=error)) == "The cast failed at step art (1:23, $0.1250): The model was overloaded."
    assert display.verdict(ended("cancelled", reason="By ada.")) == "The cast was cancelled (1:23, $0.1250): By ada."


@pytest.mark.parametrize(
    ("cost", "told"),
    [("0", "$0.00"), ("0.5", "$0.50"), ("12.3456", "$12.3456"), ("0.00001", "$0.00"), ("1E-10", "$0.00"), ("1000", "$1000.00")],
)
def test_dollars_have_the_places_that_they_need(cost: str, told: str):
    assert dollars(Decimal(cost)) == told


@pytest.mark.parametrize(("seconds", "told"), [(0, "0.0 s"), (-1, "0.0 s"), (9.96, "10.0 s"), (59.99, "1:00"), (3600, "60:00")])
def test_times_are_told_in_tenths_and_then_in_minutes(seconds: float, told: str):
    assert display.seconds(timedelta(seconds=seconds)) == told


@pytest.mark.django_db
def test_a_cancelled_cast_has_ended():
    hand = Hand(scenes.cast({"key": "one"}))
    hand.look()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.answer("one", {})
    assert watching.look(cast_id=hand.cast.pk).has_ended
