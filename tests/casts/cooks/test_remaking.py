"""Many pieces that are rejected and made anew in one request: all of them or none."""

from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from casts.clock import database_now
from casts.cooks import dealing, reviewing, verbs
from casts.cooks.refusals import CookRefusedError
from casts.cooks.selecting import Selection
from casts.models import AttemptStatus, Cook, CookStatus, Decision, Piece, PieceReview, ReviewEvent
from spells.problems import ProblemsError
from tests.factories import UserFactory

from .pieces import finished_cook, made_piece, made_pieces
from .test_reviews import acts
from .trees import SAILORS, category

pytestmark = pytest.mark.django_db


def several(count: int = 6, *, tree=SAILORS, **values):
    cook = finished_cook(tree=tree, **values)
    for piece in dealing.deal(collection=cook.collection, first=0, count=count):
        attempt = made_piece(cook, index=piece.index, traits=piece.traits)
        Piece.objects.filter(pk=attempt.piece_id).update(trait_hash=piece.trait_hash)
    return cook, list(cook.piece_attempts.order_by("piece__index"))


def remake(cook: Cook, again: reviewing.Again = "same", **selection):
    actor = cook.initiator_id
    return reviewing.reject_and_remake(cook_id=cook.pk, chosen=Selection(**selection), actor_id=actor, reason="Blurred.", again=again)


@pytest.mark.parametrize("again", ["same", "redraw"])
def test_many_are_rejected_and_cast_again_with_the_same_traits_or_with_others_of_which_no_two_are_alike(again):
    cook, attempts = several()
    reviewing.decide(piece_id=attempts[1].piece_id, decision=Decision.ACCEPTED, actor_id=cook.initiator_id)
    reviewing.hand_out(cook_id=cook.pk, reviewer_id=UserFactory.create().pk)  # the first
    done = remake(cook, again, last=4)
    assert (done.decided, done.left) == (3, 2)
    cook.refresh_from_db()
    assert (cook.status, cook.finished_at) == (CookStatus.RUNNING, None)
    assert cook.due_at is not None
    pieces = list(cook.pieces.order_by("index"))
    assert [piece.status for piece in pieces] == ["made", "made", "pending", "pending", "pending", "made"]
    assert [piece.traits == attempt.traits for piece, attempt in zip(pieces, attempts, strict=True)] == [
        again == "same" or piece.status == "made" for piece in pieces
    ]
    assert len({piece.trait_hash for piece in pieces}) == 6
    assert all(
        acts(attempt) == [("rejected", cook.initiator.username, "Blurred."), ("regenerated", cook.initiator.username, again)]
        for attempt in attempts[2:5]
    )
    assert Counter(cook.piece_attempts.values_list("status", flat=True)) == {AttemptStatus.MADE: 3, AttemptStatus.SUPERSEDED: 3}


@pytest.mark.parametrize("again", ["same", "redraw"])
def test_where_one_of_many_cannot_be_cast_again_none_is_rejected(again, monkeypatch: pytest.MonkeyPatch):
    cook, attempts = several()
    monkeypatch.setattr(reviewing, "MAX_REMADE", 5)
    with pytest.raises(ProblemsError, match="6 pieces are meant: have at most 5 made anew at once"):
        remake(cook, again)
    Cook.objects.update(status=CookStatus.STOPPED, reason="Enough.")
    with pytest.raises(CookRefusedError):
        remake(cook, again, last=2)
    assert not PieceReview.objects.exists()
    assert not ReviewEvent.objects.exists()
    assert set(cook.pieces.values_list("status", flat=True)) == {"made"}
    assert all(attempt.status == AttemptStatus.MADE for attempt in attempts)


def test_pieces_of_a_list_or_of_a_tree_that_has_no_others_are_not_rejected_when_others_are_asked_for():
    small, _ = several(2, tree={"categories": [category("Sea", "Calm", "Storm")]})
    cook = finished_cook(tree=None)
    made_pieces(cook, 2)
    for each, told in ((small, "gave only traits that pieces have already"), (cook, "have no traits to draw anew")):
        with pytest.raises(ProblemsError, match=told):
            remake(each, "redraw")
    assert not PieceReview.objects.exists()


def test_what_was_drawn_anew_meanwhile_is_drawn_once_more(monkeypatch: pytest.MonkeyPatch):
    cook, _ = several()
    drawn = verbs.redrawn_all

    def meanwhile(**asked):
        found = drawn(**asked)
        if not ReviewEvent.objects.exists():
            verbs.regenerate(piece_id=cook.pieces.get(index=0).pk, actor_id=cook.initiator_id, now=database_now(), redraw=True)
        return found

    monkeypatch.setattr(verbs, "redrawn_all", meanwhile)
    assert remake(cook, "redraw").decided == 5
    assert cook.pieces.values("trait_hash").distinct().count() == 6


def test_traits_are_written_as_django_would():
    cook, _ = several(3)
    pieces = list(cook.pieces.order_by("index"))
    for number, piece in enumerate(pieces[:2]):
        piece.traits, piece.prompts = {"Sea": f"\u00e9 '{number}' %s"}, {"Sea": "", "Hat": 'a "hat"'}
        piece.trait_hash, piece.redraw = f"{number:064d}", number + 1
    verbs._write_traits(pieces[:2])
    ours = list(cook.pieces.order_by("index").values())
    Piece.objects.bulk_update(pieces, ["traits", "prompts", "trait_hash", "redraw"])
    assert list(cook.pieces.order_by("index").values()) == ours


def test_many_are_rejected_and_cast_again_in_a_few_statements():
    counts = []
    for count in (2, 40):
        cook, _ = several(count)
        with CaptureQueriesContext(connection) as captured:
            remake(cook, "redraw")
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 25
