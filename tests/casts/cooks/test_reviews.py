"""Reviews: what is handed out to whom, what is decided once, and what a decision can be followed by."""

from collections import Counter
from datetime import timedelta

import pytest

from casts.cooks import culling, reviewing
from casts.cooks.culling import Candidate, cull, surplus
from casts.cooks.refusals import CookRefusedError
from casts.cooks.reviewing import ReviewRefusedError
from casts.cooks.selecting import Selection
from casts.models import AttemptStatus, CookStatus, Decision, PieceReview, PieceStatus, ReviewEvent
from tests.conftest import Clock
from tests.factories import UserFactory

from .pieces import finished_cook, made_piece, made_pieces
from .trees import category, tree_of

pytestmark = pytest.mark.django_db

TREE = {"categories": [category("Sea", Calm=3, Storm=1), category("Hat", *(f"hat {n}" for n in range(60)))]}


def pieces_of(reviews):
    return [review.attempt.piece.index for review in reviews]


def acts(attempt):
    return list(ReviewEvent.objects.filter(piece=attempt.piece_id).order_by("pk").values_list("act", "actor__username", "reason"))


def test_pieces_are_handed_out_once_and_in_their_order():
    cook = finished_cook()
    made_pieces(cook, 5)
    ada, bob = UserFactory.create(), UserFactory.create()
    assert pieces_of(reviewing.hand_out(cook_id=cook.pk, reviewer_id=ada.pk, limit=2)) == [0, 1]
    assert pieces_of(reviewing.hand_out(cook_id=cook.pk, reviewer_id=bob.pk, limit=2)) == [2, 3]
    assert pieces_of(reviewing.hand_out(cook_id=cook.pk, reviewer_id=ada.pk, limit=9)) == [4]
    assert reviewing.hand_out(cook_id=cook.pk, reviewer_id=bob.pk) == []


def test_only_what_is_made_of_this_cook_is_handed_out():
    cook = finished_cook()
    first, second = made_pieces(cook, 2)
    made_piece(finished_cook())
    first.status = AttemptStatus.SUPERSEDED
    first.save()
    assert pieces_of(reviewing.hand_out(cook_id=cook.pk, reviewer_id=cook.initiator_id, limit=9)) == [1]
    assert second.status == AttemptStatus.MADE


def test_a_lease_that_has_ended_gives_the_piece_to_the_next(clock: Clock):
    cook = finished_cook()
    (attempt,) = made_pieces(cook, 1)
    ada, bob = UserFactory.create(), UserFactory.create()
    reviewing.hand_out(cook_id=cook.pk, reviewer_id=ada.pk, lease_seconds=60)
    clock.advance(seconds=59)
    assert reviewing.hand_out(cook_id=cook.pk, reviewer_id=bob.pk) == []
    with pytest.raises(ReviewRefusedError, match=f"in the hands of {ada.username} until"):
        reviewing.decide(piece_id=attempt.piece_id, decision=Decision.ACCEPTED, actor_id=bob.pk)
    clock.advance(seconds=2)
    assert pieces_of(reviewing.hand_out(cook_id=cook.pk, reviewer_id=bob.pk)) == [0]
    with pytest.raises(ReviewRefusedError, match=f"in the hands of {bob.username}"):
        reviewing.decide(piece_id=attempt.piece_id, decision=Decision.ACCEPTED, actor_id=ada.pk)


def test_what_is_given_back_is_handed_out_again():
    cook = finished_cook()
    (attempt,) = made_pieces(cook, 1)
    ada, bob = UserFactory.create(), UserFactory.create()
    reviewing.hand_out(cook_id=cook.pk, reviewer_id=ada.pk)
    with pytest.raises(ReviewRefusedError, match="not in your hands"):
        reviewing.give_back(piece_id=attempt.piece_id, reviewer_id=bob.pk)
    reviewing.give_back(piece_id=attempt.piece_id, reviewer_id=ada.pk)
    assert pieces_of(reviewing.hand_out(cook_id=cook.pk, reviewer_id=bob.pk)) == [0]


def test_a_piece_is_decided_once_and_repeating_it_changes_nothing():
    (attempt,) = made_pieces(finished_cook(), 1)
    ada, bob = UserFactory.create(username="ada"), UserFactory.create(username="bob")
    first = reviewing.decide(piece_id=attempt.piece_id, decision=Decision.ACCEPTED, actor_id=ada.pk)
    again = reviewing.decide(piece_id=attempt.piece_id, decision=Decision.ACCEPTED, actor_id=ada.pk)
    assert (again.decision, again.decided_at) == ("accepted", first.decided_at)
    for actor, decision in ((ada, Decision.REJECTED), (bob, Decision.ACCEPTED)):
        with pytest.raises(ReviewRefusedError, match="was accepted by ada already"):
            reviewing.decide(piece_id=attempt.piece_id, decision=decision, actor_id=actor.pk, reason="no")
    assert acts(attempt) == [("accepted", "ada", "")]


def test_what_is_not_made_cannot_be_decided_on():
    (attempt,) = made_pieces(finished_cook(), 1)
    attempt.status = AttemptStatus.SUPERSEDED
    attempt.save()
    attempt.piece.status, attempt.piece.settled_at = PieceStatus.PENDING, None
    attempt.piece.save()
    with pytest.raises(ReviewRefusedError, match="The piece is pending"):
        reviewing.decide(piece_id=attempt.piece_id, decision=Decision.ACCEPTED, actor_id=attempt.cook.initiator_id)


def test_a_piece_that_is_cast_again_this_moment_is_not_decided_on(monkeypatch: pytest.MonkeyPatch):
    (attempt,) = made_pieces(finished_cook(), 1)
    seen = reviewing._made(attempt.piece_id)
    attempt.status = AttemptStatus.SUPERSEDED
    attempt.save()
    monkeypatch.setattr(reviewing, "_made", lambda _piece_id: seen)
    with pytest.raises(ReviewRefusedError, match="being made anew"):
        reviewing.decide(piece_id=attempt.piece_id, decision=Decision.ACCEPTED, actor_id=attempt.cook.initiator_id)


def test_a_decision_that_is_undone_leaves_the_piece_open_and_its_history_whole():
    (attempt,) = made_pieces(finished_cook(), 1)
    ada = UserFactory.create(username="ada")
    with pytest.raises(ReviewRefusedError, match="Nothing is decided"):
        reviewing.undo(piece_id=attempt.piece_id, actor_id=ada.pk)
    reviewing.decide(piece_id=attempt.piece_id, decision=Decision.REJECTED, actor_id=ada.pk, reason="Blurred.")
    review = reviewing.undo(piece_id=attempt.piece_id, actor_id=ada.pk)
    assert (review.decision, review.reason, review.reviewer, review.decided_at) == ("", "", None, None)
    assert pieces_of(reviewing.hand_out(cook_id=attempt.cook_id, reviewer_id=ada.pk)) == [0]
    reviewing.decide(piece_id=attempt.piece_id, decision=Decision.ACCEPTED, actor_id=ada.pk)
    assert acts(attempt) == [("rejected", "ada", "Blurred."), ("undone", "ada", ""), ("accepted", "ada", "")]


@pytest.mark.parametrize("again", ["same", "redraw"])
def test_a_rejected_piece_is_cast_again_with_the_same_traits_or_with_others(again):
    cook = finished_cook(tree=TREE)
    attempt = made_piece(cook, traits={"Sea": "Calm", "Hat": "hat 1"})
    ada = UserFactory.create(username="ada")
    reviewing.decide(piece_id=attempt.piece_id, decision=Decision.REJECTED, actor_id=ada.pk, reason="Blurred.", again=again)
    attempt.refresh_from_db()
    cook.refresh_from_db()
    piece = attempt.piece
    assert (attempt.status, piece.status, cook.status) == (AttemptStatus.SUPERSEDED, PieceStatus.PENDING, CookStatus.RUNNING)
    assert (piece.traits == attempt.traits) == (again == "same")
    assert acts(attempt) == [("rejected", "ada", "Blurred."), ("regenerated", "ada", again)]
    assert reviewing.hand_out(cook_id=cook.pk, reviewer_id=ada.pk) == []


def test_a_piece_that_cannot_be_cast_again_is_not_rejected_either():
    cook = finished_cook()
    cook.status, cook.reason = CookStatus.STOPPED, "By hand."
    cook.save()
    (attempt,) = made_pieces(cook, 1)
    with pytest.raises(CookRefusedError):
        reviewing.decide(piece_id=attempt.piece_id, decision=Decision.REJECTED, actor_id=cook.initiator_id, reason="No.", again="same")
    assert acts(attempt) == []
    assert pieces_of(reviewing.hand_out(cook_id=cook.pk, reviewer_id=cook.initiator_id)) == [0]


def test_many_are_decided_by_their_traits_and_places():
    cook = finished_cook()
    for index in range(8):
        made_piece(cook, index=index, traits={"Sea": "Calm" if index % 2 else "Storm", "2": "x"} if index else {})
    ada, bob = UserFactory.create(), UserFactory.create()

    def decide(decision, **chosen):
        return reviewing.decide_many(cook_id=cook.pk, chosen=Selection(**chosen), decision=decision, actor_id=ada.pk, reason="So.")

    reviewing.hand_out(cook_id=cook.pk, reviewer_id=bob.pk, limit=2)  # 0 and 1
    assert (decide(Decision.REJECTED, traits={"Sea": {"Storm"}}).decided, decide(Decision.ACCEPTED, first=5, last=5).decided) == (3, 1)
    done = decide(Decision.ACCEPTED, traits={"Sea": {"Calm", "Storm"}, "2": None})
    assert (done.decided, done.left) == (2, 5)
    assert decide(Decision.ACCEPTED, piece_ids=set()).decided == 0
    assert (decide(Decision.ACCEPTED).decided, ReviewEvent.objects.count()) == (0, 6)


def test_culling_leaves_as_many_as_are_wanted_once_and_can_be_undone():
    cook = finished_cook(tree=TREE)
    ada = UserFactory.create()
    for index in range(12):
        made_piece(cook, index=index, traits={"Sea": "Calm" if index < 6 else "Storm", "Hat": f"hat {index}"})
    reviewing.decide_many(cook_id=cook.pk, chosen=Selection(last=9), decision=Decision.ACCEPTED, actor_id=ada.pk)
    assert cull(cook_id=cook.pk, target=8, actor_id=ada.pk) == 2
    assert cull(cook_id=cook.pk, target=8, actor_id=ada.pk) == 0
    culled = reviewing.in_full().filter(decision=Decision.CULLED)
    assert {review.attempt.traits["Sea"] for review in culled} == {"Storm"}, "of which there are more than was asked for"
    review = reviewing.undo(piece_id=culled[0].attempt.piece_id, actor_id=ada.pk)
    assert review.decision == Decision.ACCEPTED
    assert acts(review.attempt)[-2:] == [("culled", ada.username, ""), ("undone", ada.username, "")]


def test_what_is_accepted_or_undone_while_others_are_chosen_is_culled_by_the_next_look_or_left(monkeypatch: pytest.MonkeyPatch):
    cook = finished_cook(tree=TREE)
    made = [made_piece(cook, index=index, traits={"Sea": "Calm", "Hat": f"hat {index}"}) for index in range(10)]
    me = cook.initiator_id
    reviewing.decide_many(cook_id=cook.pk, chosen=Selection(last=7), decision=Decision.ACCEPTED, actor_id=me)
    choose = culling.surplus
    seen: list[int] = []

    def surplus(candidates, **asked):
        chosen = choose(candidates, **asked)
        if not seen:
            reviewing.undo(piece_id=made[chosen[0].index].piece_id, actor_id=me)
            reviewing.decide_many(cook_id=cook.pk, chosen=Selection(first=8), decision=Decision.ACCEPTED, actor_id=me)
        seen.append(len(chosen))
        return chosen

    monkeypatch.setattr(culling, "surplus", surplus)
    assert cull(cook_id=cook.pk, target=5, actor_id=me) == 4, "9 were accepted in the end"
    assert seen == [3, 2, 0]
    assert Counter(PieceReview.objects.values_list("decision", flat=True)) == {"accepted": 5, "culled": 4, "": 1}


def test_a_cull_that_is_undone_leaves_the_decision_of_who_accepted():
    (attempt,) = made_pieces(finished_cook(), 1)
    ada, bob = UserFactory.create(), UserFactory.create()
    accepted = reviewing.decide(piece_id=attempt.piece_id, decision=Decision.ACCEPTED, actor_id=ada.pk, reason="Fine.")
    for _ in range(2):
        assert cull(cook_id=attempt.cook_id, target=0, actor_id=bob.pk) == 1
        review = reviewing.undo(piece_id=attempt.piece_id, actor_id=bob.pk)
        assert (review.decision, review.reviewer, review.reason) == (Decision.ACCEPTED, ada, "Fine.")
        assert abs(review.decided_at - accepted.decided_at) < timedelta(seconds=1)


def test_culling_many_takes_no_more_statements_than_culling_a_few(django_assert_max_num_queries):
    cook = finished_cook()
    made_pieces(cook, 40)
    reviewing.decide_many(cook_id=cook.pk, chosen=Selection(), decision=Decision.ACCEPTED, actor_id=cook.initiator_id)
    with django_assert_max_num_queries(12):
        assert cull(cook_id=cook.pk, target=5, actor_id=cook.initiator_id) == 35
    assert ReviewEvent.objects.filter(act="culled").count() == 35


def test_what_is_culled_brings_rarities_closer_to_what_was_asked_for():
    tree = tree_of(category("Sea", Calm=3, Storm=1), category("Hat", "a", "b"))
    candidates = [Candidate(id=n, index=n, traits={"Sea": "Storm" if n % 2 else "Calm", "Hat": "a" if n % 3 else "b"}) for n in range(120)]
    gone = surplus(candidates, target=60, tree=tree)
    left = Counter(pair for candidate in candidates if candidate not in gone for pair in candidate.traits.items())
    assert len(gone) == 60
    assert abs(left["Sea", "Calm"] - 45) <= 1
    assert abs(left["Hat", "a"] - 30) <= 3
    assert surplus(list(reversed(candidates)), target=60, tree=tree) == gone


def test_without_traits_the_last_ones_are_culled():
    candidates = [Candidate(id=n, index=n, traits={}) for n in range(10)]
    assert sorted(candidate.index for candidate in surplus(candidates, target=7, tree=None)) == [7, 8, 9]
    assert surplus(candidates, target=10, tree=None) == []
