import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from casts import engine
from casts.engine import reads, starts

from .scenes import Hand, Unlimited, cast, statuses

pytestmark = pytest.mark.django_db

EACH = {"key": "each", "for_each": "{{ [1, 2, 3] }}", "params": {"n": "{{ item }}"}}
ALL = {"key": "all", "params": {"texts": "{{ steps.each | map(attribute='text') | list }}"}}


@pytest.fixture(autouse=True)
def little(monkeypatch):
    monkeypatch.setattr(reads, "MAX_READ_BYTES", 1_000)


def conducted(*steps, characters: int, **options) -> Hand:
    """Conduct a cast until its fan-out is done."""
    hand = Hand(cast(EACH, *steps, **options))
    hand.look()
    for item in range(3):
        hand.answer("each", {"text": "x" * characters}, item=item)
    return hand


def test_a_step_that_would_read_too_much_fails_with_the_reason_and_before_anything_is_read():
    hand = conducted(ALL, characters=400)
    assert hand.status() == "failed"
    assert hand.cast.error["code"] == "inputs_too_large"
    assert (hand.cast.error["step"], hand.cast.error["attempt"]) == ("all", 1)
    assert "each" in hand.cast.error["message"]
    assert "1,000 bytes" in hand.cast.error["message"]


def test_a_step_that_reads_less_is_called():
    hand = conducted(ALL, characters=100)
    assert hand.called() == [("all", 0)]


def test_one_that_may_fail_lets_the_cast_go_on():
    after = {"key": "after", "params": {"none": "{{ steps.all is none }}"}}
    hand = conducted({**ALL, "on_failure": "continue"}, after, characters=400)
    assert hand.called() == [("after", 0)]
    assert statuses(hand.cast)["all"] == ["failed"]


def test_items_that_would_be_made_of_too_much_are_none():
    spread = {"key": "spread", "for_each": "{{ steps.each }}", "params": {"n": "{{ item_index }}"}, "on_failure": "continue"}
    hand = conducted(spread, {"key": "after", "params": {"n": "{{ steps.spread | length }}"}}, characters=400)
    assert hand.called() == [("after", 0)]
    assert hand.generation("after").inputs == {"n": 0}


def test_a_cast_whose_outputs_would_read_too_much_fails_with_the_reason():
    hand = conducted(characters=400, outputs={"texts": "{{ steps.each }}"})
    assert hand.status() == "failed"
    assert (hand.cast.error["code"], hand.cast.error["step"]) == ("inputs_too_large", None)


def test_neighbours_are_not_affected():
    large = Hand(cast(EACH, ALL, slug="large"))
    large.look()
    small = Hand(cast({"key": "one"}, {"key": "two", "params": {"n": "{{ steps.one.n }}"}}))
    small.look()
    reports = [large.report("each", item, {"text": "x" * 400}) for item in range(3)]
    advanced = engine.settle(reports=[*reports, small.report("one", 0, {"n": 1})], slots=Unlimited())
    assert [(turn.end is not None, len(turn.calls)) for turn in sorted(advanced.turns, key=lambda turn: turn.state.cast.pk)] == [
        (True, 0),
        (False, 1),
    ]
    assert (large.status(), small.status()) == ("failed", "running")


def test_what_cannot_be_too_much_is_not_measured(monkeypatch):
    monkeypatch.undo()
    hand = Hand(cast({"key": "one"}, {"key": "two", "params": {"n": "{{ steps.one.n }}"}}))
    hand.look()
    with CaptureQueriesContext(connection) as queries:
        hand.answer("one", {"n": 1})
    assert not [query for query in queries if "length(" in query["sql"]]


@pytest.mark.parametrize("ends", [False, True], ids=["step", "outputs"])
def test_casts_for_which_a_look_has_nothing_left_go_on_with_the_next(monkeypatch, ends):
    monkeypatch.setattr(reads, "MAX_LOOK_BYTES", 1_000)
    wanted = {"outputs": {"texts": "{{ steps.each }}"}} if ends else {}
    hands = []
    for number in range(3):
        last = {"key": "last", "params": {"n": "{{ steps.each | length }}"}}
        hands.append(Hand(cast(EACH, *([] if ends else [ALL, last]), slug=f"cast{number}", **wanted)))
        hands[-1].look()
        for item in range(2):
            hands[-1].answer("each", {"text": "x" * 200}, item=item)
    reports = [hand.report("each", 2, {"text": "x" * 200}) for hand in hands]
    advanced = engine.settle(reports=reports, slots=Unlimited())
    gone_on = [hand.status() == "succeeded" if ends else bool(statuses(hand.cast).get("all")) for hand in hands]
    assert sum(gone_on) == 2
    (later,) = [turn for turn in advanced.turns if turn.again]
    assert later.due_at() == later.now
    (hand,) = [hand for hand, done in zip(hands, gone_on, strict=True) if not done]
    hand.claim = None
    hand.look()
    assert hand.status() == "succeeded" if ends else {"all", "last"} <= statuses(hand.cast).keys()


def test_the_outputs_of_which_items_were_made_are_not_read_again_for_each_window(monkeypatch):
    spread = {"key": "spread", "for_each": "{{ steps.each }}", "params": {"n": "{{ item_index }}"}}
    monkeypatch.setattr(starts, "WINDOW", 1)
    hand = Hand(cast({**EACH, "for_each": "{{ [1, 2] }}"}, spread))
    hand.look()
    for item in range(2):
        hand.answer("each", {}, item=item)
    with CaptureQueriesContext(connection) as queries:
        hand.answer("spread", {}, item=0)
    assert statuses(hand.cast)["spread"] == ["succeeded", "running"]
    assert not [query for query in queries if '"output" FROM' in query["sql"]]
