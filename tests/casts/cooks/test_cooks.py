"""Cooks: what holds of their pieces whatever becomes of casts, and whoever looks when."""

import tracemalloc
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from casts import engine, errands
from casts.clock import database_now
from casts.conductor.cooks import Cooks, Look
from casts.cooks import collecting, dealing, scheduling, verbs
from casts.cooks.beginning import Wish, begin, extend
from casts.cooks.collecting import Plan, keep
from casts.cooks.dealing import SupplyError
from casts.cooks.funds import spent_by
from casts.cooks.progress import progress_of
from casts.cooks.refusals import CookRefusedError
from casts.engine import pieces
from casts.models import (
    LIVE,
    AttemptStatus,
    Cast,
    CastStatus,
    Cook,
    CookStatus,
    Notification,
    OnPieceFailure,
    Piece,
    PieceAttempt,
    PieceStatus,
    Priority,
    SubscriptionChannel,
)
from casts.notifications.words import summary
from casts.repeats import IdempotencyKeyReusedError
from generations.tools.contract import Result, ToolError
from spells.problems import ProblemsError
from tests.casts.factories import ArtifactFactory, SubscriptionFactory
from tests.casts.scenes import Hand, billed, cost, tool, user, version

pytestmark = pytest.mark.django_db

TREE = {
    "categories": [
        {"name": "Background", "traits": [{"value": "Red", "weight": 1}, {"value": "Blue", "weight": 3}]},
        {"name": "Hat", "traits": [{"value": "None"}, {"value": "Crown", "prompt": "a golden crown"}]},
        {"name": "Number", "range": {"start": 1, "end": 500, "unique": True, "shuffle_seed": 4, "zero_pad": 3}},
    ]
}


def spell(**values):
    return version({"key": "one", **values}, inputs={"prompt": {"type": "string"}}, outputs={"made": "{{ steps.one }}"}, slug="portrait")


def collection(**values):
    spell()
    plan = {
        "name": "Portraits",
        "spell": "portrait",
        "inputs": {"prompt": "{{ traits.Background }}, {{ prompts.Hat }}"},
        "trait_tree": TREE,
        "seed": 7,
    }
    return keep(plan=Plan(**{**plan, **values}), owner=user(), now=database_now()).collection


def cook(pieces: int = 6, *, of=None, **wish) -> Cook:
    return begin(collection=of or collection(), wish=Wish(pieces=pieces, **wish), now=database_now()).cook


def look(row: Cook) -> Cook:
    scheduling.tend(cook_id=row.pk)
    row.refresh_from_db()
    return row


def live(row: Cook) -> list[Cast]:
    return list(Cast.objects.filter(piece_attempt__cook=row, piece_attempt__status=AttemptStatus.LIVE).order_by("pk"))


def statuses(row: Cook) -> "Counter[str]":
    return Counter(row.pieces.values_list("status", flat=True))


def take(cast: Cast) -> Hand:
    """Claim this cast alone, and look at it."""
    claims = {claim.cast_id: claim for claim in engine.claim(limit=100)}
    hand = Hand(cast, claim=claims.pop(cast.pk))
    engine.hand_back(claims=list(claims.values()))
    hand.look()
    return hand


def finish(cast: Cast, news=None) -> None:
    """Conduct a cast to its end, with one answer of its one call."""
    hand = take(cast)
    hand.answer("one", news if news is not None else {"image": "x"})
    assert hand.status() in ("succeeded", "failed", "cancelled")


BROKEN = ToolError("It broke.", permanent=True)


def test_a_cook_casts_each_of_its_pieces_once_and_never_more_at_a_time_than_it_may():
    row = cook(6, max_parallel=4)
    assert statuses(row) == {PieceStatus.PENDING: 6}
    seen: set[Any] = set()
    while look(row).status == CookStatus.RUNNING:
        casts = live(row)
        assert 0 < len(casts) <= 4
        seen.update(each.pk for each in casts)
        finish(casts[0])
    assert (row.status, statuses(row)) == (CookStatus.FINISHED, {PieceStatus.MADE: 6})
    assert (row.due_at, len(seen), Cast.objects.count()) == (None, 6, 6)


def test_a_cook_with_room_for_more_than_it_has_left_is_not_looked_at_again_and_again(clock):
    row = look(cook(30, max_parallel=100))
    assert (len(live(row)), row.due_at <= clock.now()) == (scheduling.BATCH, True), "the next look comes at once"
    for _ in range(2):
        row = look(row)
        assert len(live(row)) == 30
        assert row.due_at > clock.now()


def test_its_casts_are_a_batch_of_its_owner_with_the_traits_of_their_pieces_put_in():
    row = look(cook(1))
    (attempt,) = PieceAttempt.objects.select_related("cast__wakeup", "piece")
    piece, cast = attempt.piece, attempt.cast
    assert (cast.priority, cast.wakeup.priority, cast.initiator_id) == (Priority.BATCH, Priority.BATCH, row.initiator_id)
    assert cast.inputs == {"prompt": f"{piece.traits['Background']}, {piece.prompts['Hat']}"}
    assert (piece.status, attempt.number, attempt.traits) == (PieceStatus.COOKING, 1, piece.traits)


def test_looking_again_changes_nothing():
    row = look(cook(6, max_parallel=2))
    before = {each.pk for each in live(row)}
    for _ in range(3):
        look(row)
    assert {each.pk for each in live(row)} == before


def test_pieces_have_distinct_traits_and_the_same_again_for_the_same_seed():
    of = collection()
    first, second = cook(30, of=of), cook(30, of=of)
    drawn = [list(row.pieces.order_by("index").values_list("trait_hash", flat=True)) for row in (first, second)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 30


def test_more_than_the_tree_can_supply_is_refused_before_anything_is_written():
    with pytest.raises(SupplyError, match="at most 500"):
        cook(501)
    assert not Cook.objects.exists()


def test_pieces_that_say_more_in_all_than_a_request_may_write_are_refused_before_anything_is_written():
    numbers = {"name": "Number", "range": {"start": 1, "end": 500, "unique": True}}
    wordy = [{"name": f"C{n}", "traits": [{"value": "a", "prompt": "p" * 3_800}]} for n in range(40)]
    of = collection(trait_tree={"categories": [*wordy, numbers]}, inputs={"prompt": "{{ traits.Number }}"})
    with pytest.raises(SupplyError, match=r"more than 67,108,864 bytes of traits and prompts .* shorter prompts"):
        cook(500, of=of)
    assert not Cook.objects.exists()
    assert cook(10, of=of).pieces.count() == 10


def test_a_list_that_is_too_large_is_refused_before_it_is_written_out(monkeypatch):
    monkeypatch.setattr(collecting, "digest_of", lambda **_: pytest.fail("it was written out"))
    row = {"n" * 100_000: "a"}
    with pytest.raises(ProblemsError, match="items: is larger than"):
        collection(trait_tree=None, items=[row] * 2_000)


def test_inputs_that_do_not_fit_the_spell_are_refused_with_the_piece_and_the_place():
    of = collection(trait_tree=None, items=[{"prompt": "a fox"}, {"prompt": 7}], inputs={})
    with pytest.raises(ProblemsError) as refused:
        cook(2, of=of)
    assert [problem.path for problem in refused.value.problems] == ["pieces[1].inputs.prompt"]
    assert not Cook.objects.exists()


def test_inputs_that_refer_to_what_is_somebody_elses_are_refused_with_the_piece():
    mine, theirs = ArtifactFactory.create(owner=user()), ArtifactFactory.create()
    version({"key": "one"}, inputs={"image": {"type": "object"}}, slug="retouched")
    items = [{"artifact": str(mine.pk)}, {"artifact": str(theirs.pk)}]
    plan = Plan(name="R", spell="retouched", inputs={"image": "{{ item }}"}, items=items)
    of = keep(plan=plan, owner=user(), now=database_now()).collection
    with pytest.raises(ProblemsError) as refused:
        cook(2, of=of)
    assert [problem.path for problem in refused.value.problems] == ["pieces[1].inputs.image"]
    assert live(look(cook(1, of=of)))[0].inputs["image"]["artifact"] == str(mine.pk)


def test_the_inputs_of_a_long_list_are_tried_without_keeping_them():
    row = collection(trait_tree=None, items=list(range(1_000)), inputs={"prompt": "x" * 60_000 + "{{ item }}"})
    tracemalloc.start()
    try:
        cook(1_000, of=row)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 30_000_000, "those of 200 pieces at a time, of 60 kB each"


def test_a_piece_whose_inputs_are_not_what_they_were_any_more_fails_and_leaves_its_room_to_others():
    mine = ArtifactFactory.create_batch(3, owner=user())
    version({"key": "one"}, inputs={"image": {"type": "object"}}, slug="retouched")
    plan = Plan(name="R", spell="retouched", inputs={"image": "{{ item }}"}, items=[{"artifact": str(each.pk)} for each in mine])
    row = cook(3, of=keep(plan=plan, owner=user(), now=database_now()).collection, max_parallel=1)
    row.collection.artifacts.remove(mine[0])  # which keeps it, but for an operator with SQL
    mine[0].delete()
    look(row)
    assert row.due_at <= database_now()
    look(row)
    assert list(row.pieces.order_by("index").values_list("status", flat=True)) == ["failed", "cooking", "pending"]
    assert row.pieces.get(index=0).error["code"] == "bad_inputs"


def test_pieces_are_inserted_as_django_would():
    items = ["a fox", 'a "quoted" % \u00e9 owl', 7, 0.5, True, False, [], {"who": None}, "null", ""]
    listed = cook(10, of=collection(trait_tree=None, items=items, inputs={"prompt": "piece {{ number }}"}))
    drawn = cook(10, of=collection())
    assert list(listed.pieces.order_by("index").values_list("item", flat=True)) == items
    for row in (listed, drawn):
        ours = list(row.pieces.order_by("index").values())
        again = [Piece(**{name: value for name, value in each.items() if name != "id"}) for each in ours]
        row.pieces.all().delete()
        Piece.objects.bulk_create(again)
        assert [{**each, "id": 0} for each in row.pieces.order_by("index").values()] == [{**each, "id": 0} for each in ours]


def test_a_list_gives_each_piece_its_item():
    of = collection(trait_tree=None, items=["a fox", "an owl"], inputs={"prompt": "{{ number }}: {{ item }}"})
    row = look(cook(2, of=of))
    assert [each.inputs["prompt"] for each in live(row)] == ["1: a fox", "2: an owl"]


def test_the_same_request_under_the_same_key_begins_one_cook():
    of, now = collection(), database_now()
    first = begin(collection=of, wish=Wish(pieces=3), now=now, idempotency_key="k")
    again = begin(collection=of, wish=Wish(pieces=3), now=now, idempotency_key="k")
    assert (first.created, again.created, again.cook) == (True, False, first.cook)
    with pytest.raises(IdempotencyKeyReusedError):
        begin(collection=of, wish=Wish(pieces=4), now=now, idempotency_key="k")
    assert Piece.objects.count() == 3


# What a failure does


def test_replace_casts_a_piece_again_after_all_others_and_gives_up_after_so_many():
    row = look(cook(2, max_parallel=1, max_attempts=2))
    first = PieceAttempt.objects.get().piece
    finish(live(row)[0], BROKEN)
    look(row)
    assert PieceAttempt.objects.get(status=AttemptStatus.LIVE).piece != first
    finish(live(row)[0])
    look(row)
    assert PieceAttempt.objects.get(status=AttemptStatus.LIVE).piece == first
    finish(live(row)[0], BROKEN)
    look(row)
    first.refresh_from_db()
    assert (row.status, first.status, first.error["message"]) == (CookStatus.FINISHED, PieceStatus.FAILED, "It broke.")
    assert list(first.attempts.order_by("number").values_list("number", "status")) == [(1, "failed"), (2, "failed")]


def test_skip_leaves_a_failed_piece_behind():
    row = look(cook(2, max_parallel=1, on_failure=OnPieceFailure.SKIP))
    finish(live(row)[0], BROKEN)
    look(row)
    finish(live(row)[0])
    assert look(row).status == CookStatus.FINISHED
    assert statuses(row) == {PieceStatus.FAILED: 1, PieceStatus.MADE: 1}


def test_stop_pauses_after_so_many_failures_in_a_row_and_says_why():
    row = look(cook(6, max_parallel=1, on_failure=OnPieceFailure.STOP, failures_to_stop=2))
    for news in (BROKEN, None, BROKEN, BROKEN):
        assert row.status == CookStatus.RUNNING
        finish(live(row)[0], news)
        look(row)
    assert (row.status, row.due_at, live(row)) == (CookStatus.PAUSED, None, [])
    assert row.reason == "2 casts in a row failed, the last one with: It broke."
    verbs.resume(cook_id=row.pk, now=database_now())
    assert len(live(look(row))) == 1


def test_a_cast_that_was_cancelled_by_hand_is_not_made_again():
    row = look(cook(1))
    engine.cancel(cast_id=live(row)[0].pk, actor_id=None, now=database_now(), reason="Not this one.")
    take(live(row)[0])
    assert look(row).status == CookStatus.FINISHED
    assert Piece.objects.get().error == {"code": "cancelled", "message": "Not this one."}


def test_a_failed_cast_that_is_retried_by_hand_makes_its_piece_after_all():
    row = look(cook(1, on_failure=OnPieceFailure.SKIP))
    (cast,) = live(row)
    finish(cast, BROKEN)
    assert look(row).status == CookStatus.FINISHED
    engine.retry(cast_id=cast.pk, actor_id=None, now=database_now())
    finish(cast)
    look(row)
    assert (Piece.objects.get().status, row.status) == (PieceStatus.MADE, CookStatus.FINISHED)


def test_a_piece_is_not_cast_again_while_an_old_cast_of_it_was_retried_by_hand():
    row = look(cook(1, max_attempts=3))
    (cast,) = live(row)
    finish(cast, BROKEN)
    engine.retry(cast_id=cast.pk, actor_id=None, now=database_now())
    look(row)
    assert Cast.objects.count() == 1
    finish(cast)
    assert look(row).status == CookStatus.FINISHED


@pytest.mark.parametrize("max_attempts", [2, 3])
def test_what_a_retried_cast_has_made_is_taken_when_the_attempt_after_it_fails(max_attempts):
    row = look(cook(1, max_attempts=max_attempts))
    (old,) = live(row)
    finish(old, BROKEN)
    (new,) = live(look(row))
    engine.retry(cast_id=old.pk, actor_id=None, now=database_now())
    finish(old)
    assert live(look(row)) == [new], "one attempt at a time stands"
    finish(new, BROKEN)
    look(row)
    assert (row.status, statuses(row), Cast.objects.count()) == (CookStatus.FINISHED, {PieceStatus.MADE: 1}, 2)
    assert list(PieceAttempt.objects.order_by("number").values_list("status", flat=True)) == ["made", "failed"]
    assert Piece.objects.get().error is None


def retried(row: Cook) -> Cast:
    """Have the first live cast of a cook fail, and somebody retry it by hand once the cook has taken note."""
    cast = live(row)[0]
    finish(cast, BROKEN)
    look(row)
    return engine.retry(cast_id=cast.pk, actor_id=None, now=database_now())


def test_a_cook_does_not_finish_before_a_cast_that_was_retried_by_hand_and_takes_what_it_made():
    row = look(cook(2, max_parallel=2, on_failure=OnPieceFailure.SKIP))
    old = retried(row)
    finish(live(row)[0])
    assert (look(row).status, statuses(row)) == (CookStatus.RUNNING, {PieceStatus.FAILED: 1, PieceStatus.MADE: 1})
    finish(old)
    assert (look(row).status, statuses(row)) == (CookStatus.FINISHED, {PieceStatus.MADE: 2})


def test_a_cook_that_is_stopped_cancels_a_cast_that_was_retried_by_hand_and_waits_for_its_end():
    row = look(cook(2, max_parallel=1, on_failure=OnPieceFailure.STOP, failures_to_stop=1))
    old = retried(row)
    assert row.status == CookStatus.PAUSED
    verbs.stop(cook_id=row.pk, now=database_now())
    assert scheduling.tend(cook_id=row.pk) == [old.pk]
    assert look(row).status == CookStatus.STOPPING
    take(old)
    assert (look(row).status, row.due_at) == (CookStatus.STOPPED, None)
    assert Cast.objects.get().status == CastStatus.CANCELLED


def test_a_cast_that_was_retried_by_hand_takes_the_room_of_another():
    row = look(cook(4, max_parallel=2, on_failure=OnPieceFailure.SKIP))
    for cast in live(row):
        finish(cast, BROKEN)
    verbs.pause(cook_id=row.pk, now=database_now())
    look(row)
    old = PieceAttempt.objects.earliest("number", "pk").cast
    engine.retry(cast_id=old.pk, actor_id=None, now=database_now())
    verbs.resume(cook_id=row.pk, now=database_now())
    assert len(live(look(row))) == 1
    assert Cast.objects.filter(status__in=LIVE).count() == 2


def test_a_tool_that_is_disabled_meanwhile_pauses_the_cook():
    row = cook(2)
    tool(enabled=False)
    look(row)
    assert (row.status, row.reason) == (CookStatus.PAUSED, "The tool pure.tool is disabled.")


# Pause, resume, stop, extend, regenerate


def test_a_paused_cook_starts_nothing_and_takes_what_comes_to_its_end():
    row = look(cook(4, max_parallel=2))
    verbs.pause(cook_id=row.pk, now=database_now())
    for each in live(row):
        finish(each)
    assert look(row).due_at is None
    assert statuses(row) == {PieceStatus.MADE: 2, PieceStatus.PENDING: 2}
    verbs.resume(cook_id=row.pk, now=database_now())
    assert len(live(look(row))) == 2


def test_a_stopped_cook_cancels_its_casts_and_starts_no_more():
    row = look(cook(4, max_parallel=2))
    verbs.stop(cook_id=row.pk, now=database_now(), reason="Enough.")
    assert look(row).status == CookStatus.STOPPING
    for each in live(row):
        take(each)
    assert (look(row).status, row.reason, row.due_at) == (CookStatus.STOPPED, "Enough.", None)
    assert statuses(row) == {PieceStatus.PENDING: 4}
    assert set(Cast.objects.values_list("status", flat=True)) == {CastStatus.CANCELLED}
    with pytest.raises(CookRefusedError):
        verbs.resume(cook_id=row.pk, now=database_now())


def test_a_finished_cook_goes_on_when_it_is_extended_and_extending_again_changes_nothing():
    row = look(cook(1))
    finish(live(row)[0])
    assert look(row).status == CookStatus.FINISHED
    for _ in range(2):
        extend(cook_id=row.pk, pieces=3, now=database_now())
    row.refresh_from_db()
    assert (row.status, row.wanted) == (CookStatus.RUNNING, 3)
    assert list(row.pieces.order_by("index").values_list("index", "status")) == [(0, "made"), (1, "pending"), (2, "pending")]
    assert len(live(look(row))) == 2


def test_pieces_that_came_later_are_those_that_would_have_come_at_once():
    of = collection()
    at_once, later = cook(8, of=of), cook(3, of=of)
    extend(cook_id=later.pk, pieces=8, now=database_now())
    drawn = [list(row.pieces.order_by("index").values_list("trait_hash", flat=True)) for row in (at_once, later)]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("redraw", [False, True])
def test_a_piece_is_made_anew_and_what_was_made_before_is_kept(redraw):
    row = look(cook(1))
    finish(live(row)[0])
    look(row)
    before = Piece.objects.get()
    verbs.regenerate(piece_id=before.pk, actor_id=user().pk, now=database_now(), redraw=redraw)
    finish(live(look(row))[0])
    assert look(row).status == CookStatus.FINISHED
    after = Piece.objects.get()
    assert (after.trait_hash == before.trait_hash) is not redraw
    assert list(after.attempts.order_by("number").values_list("status", "traits")) == [
        ("superseded", before.traits),
        ("made", after.traits),
    ]


@pytest.mark.parametrize("redraw", [False, True])
def test_what_a_cast_of_before_makes_after_all_is_not_taken_for_a_piece_that_is_made_anew(redraw):
    row = look(cook(1, max_attempts=2))
    (old,) = live(row)
    finish(old, BROKEN)
    finish(live(look(row))[0])
    look(row)
    engine.retry(cast_id=old.pk, actor_id=None, now=database_now())
    finish(old)
    verbs.regenerate(piece_id=Piece.objects.get().pk, actor_id=user().pk, now=database_now(), redraw=redraw)
    look(row)
    assert list(PieceAttempt.objects.order_by("number").values_list("status", flat=True)) == ["failed", "superseded", "live"]


@pytest.mark.parametrize("times", [1, 99])
def test_traits_that_another_piece_gets_while_they_are_drawn_are_not_given_twice(times, monkeypatch):
    row = cook(2)
    for cast in live(look(row)):
        finish(cast)
    look(row)
    piece, other = row.pieces.order_by("index")
    draw, drawn = dealing.redraw, []

    def drawn_beside_others(mine: Piece, **values: Any) -> None:
        draw(mine, **values)
        drawn.append(mine.trait_hash)
        if len(drawn) <= times:
            Piece.objects.filter(pk=other.pk).update(trait_hash=mine.trait_hash)

    monkeypatch.setattr(dealing, "redraw", drawn_beside_others)
    if times == 1:
        assert verbs.regenerate(piece_id=piece.pk, actor_id=user().pk, now=database_now(), redraw=True).trait_hash == drawn[1] != drawn[0]
    else:
        with pytest.raises(ProblemsError, match="Try again"):
            verbs.regenerate(piece_id=piece.pk, actor_id=user().pk, now=database_now(), redraw=True)
        assert as_it_shows(row.pieces.get(pk=piece.pk)) == as_it_shows(piece)


def test_a_piece_at_work_is_not_made_anew():
    look(cook(1))
    with pytest.raises(CookRefusedError, match="A piece that is cooking"):
        verbs.regenerate(piece_id=Piece.objects.get().pk, actor_id=user().pk, now=database_now())


def made_once(row: Cook) -> Piece:
    """Have the only piece of a cook made."""
    finish(live(look(row))[0])
    assert look(row).status == CookStatus.FINISHED
    return row.pieces.get()


def as_it_shows(piece: Piece) -> tuple[Any, ...]:
    return piece.status, piece.error, piece.traits, piece.prompts, piece.trait_hash


@pytest.mark.parametrize("redraw", [False, True])
@pytest.mark.parametrize("at_work", [False, True])
def test_a_piece_that_is_not_made_anew_because_its_cook_is_stopped_shows_what_was_made_before(redraw, at_work):
    row = cook(1)
    before = made_once(row)
    verbs.regenerate(piece_id=before.pk, actor_id=user().pk, now=database_now(), redraw=redraw)
    if at_work:
        look(row)
    verbs.stop(cook_id=row.pk, now=database_now())
    look(row)
    if at_work:
        take(live(row)[0])
    assert look(row).status == CookStatus.STOPPED
    assert as_it_shows(row.pieces.get()) == as_it_shows(before)
    first = PieceAttempt.objects.earliest("number")
    assert (first.status, first.traits) == (AttemptStatus.MADE, before.traits)


@pytest.mark.parametrize("redraw", [False, True])
def test_a_piece_that_fails_for_good_when_it_is_made_anew_shows_what_was_made_last(redraw):
    row = cook(1, max_attempts=2)
    made_once(row)
    verbs.regenerate(piece_id=row.pieces.get().pk, actor_id=user().pk, now=database_now(), redraw=redraw)
    before = made_once(row)
    verbs.regenerate(piece_id=before.pk, actor_id=user().pk, now=database_now(), redraw=redraw)
    for _ in range(2):
        finish(live(look(row))[0], BROKEN)
    assert look(row).status == CookStatus.FINISHED
    assert as_it_shows(row.pieces.get()) == as_it_shows(before)
    assert list(PieceAttempt.objects.order_by("number").values_list("status", flat=True)) == ["superseded", "made", "failed", "failed"]


def test_a_piece_does_not_get_traits_back_that_another_one_has_by_now():
    tree = {"categories": [{"name": "Hat", "traits": [{"value": "None"}, {"value": "Crown"}]}]}
    row = cook(1, of=collection(trait_tree=tree, inputs={"prompt": "{{ traits.Hat }}"}), max_attempts=1)
    before = made_once(row)
    verbs.regenerate(piece_id=before.pk, actor_id=user().pk, now=database_now(), redraw=True)
    extend(cook_id=row.pk, pieces=2, now=database_now())
    assert row.pieces.get(index=1).traits == before.traits
    for cast in live(look(row)):
        finish(cast, BROKEN)
    assert (look(row).status, statuses(row)) == (CookStatus.FINISHED, {PieceStatus.FAILED: 2})


# Money


AFTER = {"two": "{{ steps.one.n }}", "three": "{{ steps.two.n }}"}


def bill_each(hand: Hand, usd: str) -> None:
    """Answer each call of a cast in turn, at this price, as long as it makes some."""
    while called := hand.called():
        hand.answer(called[0][0], Result(output={"n": 1}, cost=cost(usd)))


def bill(cast: Cast, usd: str) -> None:
    finish(cast, Result(output={"image": "x"}, cost=cost(usd)))


def test_a_budget_that_is_spent_pauses_the_cook_and_more_of_it_lets_it_go_on():
    spell(tool=billed())
    of = keep(plan=Plan(name="P", spell="portrait", inputs={}, trait_tree=TREE), owner=user(), now=database_now()).collection
    row = look(cook(10, of=of, budget_usd=Decimal("1.00"), max_parallel=4))
    assert len(live(row)) == 1, row.reason  # nobody knows yet what a piece costs
    bill(live(row)[0], "0.30")
    assert len(live(look(row))) == 2
    for each in live(row):
        bill(each, "0.30")
    look(row)
    assert (row.status, row.reason) == (CookStatus.PAUSED, "The cook has spent 0.9 of its 1 US dollars. A piece costs about 0.3.")
    verbs.resume(cook_id=row.pk, now=database_now(), budget_usd=Decimal("1.60"))
    assert len(live(look(row))) == 2


def test_a_cast_that_was_retried_by_hand_is_reckoned_with_in_the_budget():
    spell(tool=billed())
    of = keep(plan=Plan(name="P", spell="portrait", inputs={}, trait_tree=TREE), owner=user(), now=database_now()).collection
    row = look(cook(10, of=of, budget_usd=Decimal("0.90"), max_parallel=4, on_failure=OnPieceFailure.SKIP))
    bill(live(row)[0], "0.30")
    first, second = live(look(row))
    verbs.pause(cook_id=row.pk, now=database_now())
    finish(first, BROKEN)
    bill(second, "0.30")
    look(row)
    engine.retry(cast_id=first.pk, actor_id=None, now=database_now())
    verbs.resume(cook_id=row.pk, now=database_now())
    assert (live(look(row)), row.status) == ([], CookStatus.RUNNING), "0.30 are left, which the retried cast may take"


def test_casts_at_work_together_exceed_the_budget_by_no_more_than_the_call_that_each_is_at():
    steps = [{"key": "one", "tool": billed()}, *({"key": key, "tool": billed(), "params": {"x": x}} for key, x in AFTER.items())]
    version(*steps, slug="triptych")
    of = keep(plan=Plan(name="T", spell="triptych", inputs={}, trait_tree=TREE), owner=user(), now=database_now()).collection
    row = look(cook(10, of=of, budget_usd=Decimal("3.00"), max_parallel=4))
    bill_each(take(live(row)[0]), "0.10")
    hands = [take(each) for each in live(look(row))]
    assert len(hands) == 4
    assert sum(hand.cast.max_cost_usd or 0 for hand in hands) <= Decimal("2.7000000004"), "what was left, and no more"
    for hand in hands:
        bill_each(hand, "1.00")  # ten times what was expected
    look(row)
    assert row.status == CookStatus.PAUSED
    assert spent_by(row) == Decimal("4.30"), "one call of each"
    verbs.resume(cook_id=row.pk, now=database_now(), budget_usd=Decimal("10.00"))
    (again,) = live(look(row))
    assert again.max_cost_usd == Decimal("5.70"), "what wanted more than its share has all that is left, and no other beside it"
    assert again.piece_attempt.piece.index == 1


def test_a_cast_may_cost_as_much_as_there_is_when_no_other_is_to_come_and_money_comes_back_from_those_that_ended():
    spell(tool=billed())
    of = keep(plan=Plan(name="P", spell="portrait", inputs={}, trait_tree=TREE), owner=user(), now=database_now()).collection
    row = look(cook(4, of=of, budget_usd=Decimal("2.00"), max_parallel=2))
    assert [each.max_cost_usd for each in live(row)] == [Decimal(2)]
    bill(live(row)[0], "0.20")
    first, second = live(look(row))
    assert [first.max_cost_usd, second.max_cost_usd] == [Decimal("0.9")] * 2
    bill(first, "0.20")
    assert [each.max_cost_usd for each in live(look(row))] == [Decimal("0.9"), Decimal("0.7")]


def test_a_cook_without_cost_goes_on_whatever_its_budget():
    row = look(cook(4, budget_usd=Decimal(0), max_parallel=4))
    assert len(live(row)) == 4


# Who looks, and when


def test_the_end_of_a_cast_makes_its_cook_due_at_once(django_capture_on_commit_callbacks):
    row = look(cook(2, max_parallel=1))
    assert row.due_at > database_now()
    with django_capture_on_commit_callbacks(execute=True):
        finish(live(row)[0])
    row.refresh_from_db()
    assert row.due_at <= database_now()
    assert errands.is_any_due(Cook)


def test_casts_of_no_cook_ask_for_nothing(django_assert_num_queries, django_capture_on_commit_callbacks):
    with django_assert_num_queries(0), django_capture_on_commit_callbacks(execute=True):
        pieces.tell_later(cast_ids=[])


def test_a_cook_that_nobody_was_told_of_comes_due_by_itself(clock):
    row = look(cook(2, max_parallel=1))
    finish(live(row)[0])
    clock.advance(seconds=60)
    (errand,) = errands.claim(Cook, limit=10)
    Cooks().note([Look(errand=errand)])
    assert statuses(row) == {PieceStatus.MADE: 1, PieceStatus.COOKING: 1}


def test_a_cook_that_cannot_be_looked_at_is_paused_with_the_reason():
    row = cook(2)
    (errand,) = errands.claim(Cook, limit=10)
    Cooks().fail(Look(errand=errand), why="KeyError: 'x'")
    row.refresh_from_db()
    assert (row.status, row.reason) == (CookStatus.PAUSED, "It cannot go on: KeyError: 'x'")


def told() -> list[tuple[str, str]]:
    return [(row.kind, summary(row)) for row in Notification.objects.order_by("pk")]


def test_people_are_not_told_of_each_piece_but_of_the_end_of_the_cook():
    row = look(cook(1))
    finish(live(row)[0])
    assert told() == []
    look(row)
    look(row)
    assert told() == [("cook.finished", f"The cook {row.pk} of Portraits has finished: 1 of 1 pieces are made.")]


def test_a_cook_that_pauses_by_itself_tells_its_owner_and_one_that_is_paused_by_hand_does_not():
    row = look(cook(3, max_parallel=1, on_failure=OnPieceFailure.STOP, failures_to_stop=1))
    verbs.pause(cook_id=row.pk, now=database_now())
    look(row)
    verbs.resume(cook_id=row.pk, now=database_now())
    assert told() == []
    finish(live(row)[0], BROKEN)
    look(row)
    assert told() == [("cook.paused", f"The cook {row.pk} of Portraits is paused, and waits for somebody: {row.reason}")]
    assert Notification.objects.get().recipient == row.initiator


def test_programs_are_told_of_each_piece_and_people_of_what_needs_them():
    row = look(cook(2, max_parallel=2))
    hook = SubscriptionFactory.create(owner=row.initiator)
    SubscriptionFactory.create(owner=row.initiator, channel=SubscriptionChannel.EMAIL)
    for cast in live(row):
        finish(cast)
    assert list(Notification.objects.values_list("channel", "subscription", "kind").distinct()) == [("webhook", hook.pk, "cast.succeeded")]
    assert Notification.objects.count() == 2


def test_the_progress_tells_counts_rate_and_money(clock):
    row = look(cook(8, max_parallel=4))
    for each in live(row):
        clock.advance(seconds=40)
        finish(each)
        look(row)
    told = progress_of(row, now=database_now())
    assert (told.total, told.made, told.cooking, told.pending, told.failed, told.percent) == (8, 4, 4, 0, 0, 50)
    assert told.per_minute == pytest.approx(1.5, rel=0.1)
    assert told.seconds_left == pytest.approx(160, rel=0.1)
    assert (told.cost_usd, told.quote_usd) == (Decimal(0), Decimal(0))
