"""Reviews of many at once, of everything that can be done: what is written down of it leads to what is so."""

from collections import defaultdict
from random import Random
from typing import Any

import pytest
from django.db import connection

from casts.clock import database_now
from casts.cooks import dealing, reviewing, verbs
from casts.cooks.culling import cull
from casts.cooks.refusals import CookRefusedError
from casts.cooks.reviewing import ReviewRefusedError
from casts.cooks.selecting import Selection
from casts.models import AttemptStatus, Cook, CookStatus, Decision, PieceAttempt, PieceReview, PieceStatus, ReviewEvent
from tests.casts.test_api_parallel import at_once
from tests.factories import UserFactory

from .pieces import finished_cook, made_piece
from .trees import category

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 12
ACTS = 15
PIECES = 8
TREE = {"categories": [category("Sea", "Calm", "Storm"), category("Hat", *(f"hat {n}" for n in range(99)))]}


def act(random: Random, cook: Cook, pieces: list[int], actor: int) -> None:
    piece = random.choice(pieces)
    match random.randrange(8):
        case 0:
            reviewing.hand_out(cook_id=cook.pk, reviewer_id=actor, limit=2)
        case 1 | 2:
            reviewing.decide(piece_id=piece, decision=Decision.ACCEPTED, actor_id=actor)
        case 3:
            reviewing.decide(piece_id=piece, decision=Decision.REJECTED, actor_id=actor, reason="No.")
        case 4:
            again: reviewing.Again = random.choice(["same", "redraw"])
            reviewing.decide(piece_id=piece, decision=Decision.REJECTED, actor_id=actor, reason="No.", again=again)
        case 5:
            reviewing.undo(piece_id=piece, actor_id=actor)
        case 6:
            cull(cook_id=cook.pk, target=PIECES // 2, actor_id=actor)
        case _:
            chosen = Selection(piece_ids={piece, random.choice(pieces)})
            reviewing.decide_many(cook_id=cook.pk, chosen=chosen, decision=Decision.ACCEPTED, actor_id=actor)


def test_whatever_many_do_at_once_the_history_of_each_attempt_leads_to_how_it_stands():
    cook = finished_cook(tree=TREE)
    pieces = [made_piece(cook, index=index, traits={"Sea": "Calm", "Hat": f"hat {index}"}).piece_id for index in range(PIECES)]
    people = [UserFactory.create().pk for _ in range(CROWD)]

    def work(number: int) -> int:
        random, done = Random(number), 0
        for _ in range(ACTS):
            try:
                act(random, cook, pieces, people[number])
                done += 1
            except (ReviewRefusedError, CookRefusedError):
                continue
        return done

    assert sum(at_once(work, crowd=CROWD)) > CROWD
    histories: dict[int, list[str]] = defaultdict(list)
    for attempt_id, word in ReviewEvent.objects.order_by("pk").values_list("attempt", "act"):
        histories[attempt_id].append(word)
    for attempt in PieceAttempt.objects.filter(cook=cook).select_related("piece"):
        decision = PieceReview.objects.filter(attempt=attempt).values_list("decision", flat=True).first()
        assert led_to(histories[attempt.pk]) == (decision or "")
        was_cast_again = "regenerated" in histories[attempt.pk]
        assert was_cast_again == (attempt.status == AttemptStatus.SUPERSEDED) == (attempt.piece.status == PieceStatus.PENDING)


@pytest.mark.parametrize("rejected", [False, True])
def test_others_may_steer_a_cook_while_other_traits_are_drawn_for_a_piece_of_it(rejected, monkeypatch):
    cook = finished_cook(tree=TREE)
    piece = made_piece(cook, traits={"Sea": "Calm", "Hat": "hat 1"}).piece
    Cook.objects.filter(pk=cook.pk).update(status=CookStatus.RUNNING, finished_at=None, due_at=database_now())
    redraw = dealing.redraw

    def drawn_at_length(*args: Any, **values: Any) -> None:
        assert not connection.in_atomic_block, "nothing is locked"
        at_once(lambda _: verbs.pause(cook_id=cook.pk, now=database_now()), crowd=1)
        redraw(*args, **values)

    monkeypatch.setattr(dealing, "redraw", drawn_at_length)
    if rejected:
        reviewing.decide(piece_id=piece.pk, decision=Decision.REJECTED, actor_id=cook.initiator_id, reason="No.", again="redraw")
    else:
        verbs.regenerate(piece_id=piece.pk, actor_id=cook.initiator_id, now=database_now(), redraw=True)
    cook.refresh_from_db()
    assert (cook.status, cook.pieces.get().status) == (CookStatus.PAUSED, PieceStatus.PENDING)
    assert cook.pieces.get().traits != piece.traits


def led_to(history: list[str]) -> str:
    """Return what is decided after these acts, each of which must be possible after those before it."""
    decision = ""
    for word in history:
        match word, decision:
            case "accepted" | "rejected", "":
                decision = word
            case "culled", "accepted":
                decision = word
            case "undone", "culled":
                decision = "accepted"
            case "undone", "accepted" | "rejected":
                decision = ""
            case "regenerated", "rejected":
                pass
            case impossible:
                pytest.fail(f"{impossible} in {history}")
    return decision
