"""Dealing: what all draws of one request may take together."""

import pytest

from casts.cooks import dealing
from casts.cooks.dealing import SupplyError, deal, redraw
from casts.cooks.traits import read_tree
from casts.models import Collection

from .trees import SAILORS, category

# Each draw tries all numbers before it takes the first choice back, and gives the same piece nearly always.
DEAR = {
    "categories": [
        category("Sea", storm=1_000_000_000, calm=0.000001),
        {"name": "Number", "when": {"Sea": "storm"}, "range": {"start": 1, "end": 5_000}},
        category("Hat", straw=1_000_000_000, cap=0.000001),
    ],
    "rules": [{"exclude": {"Sea": "storm", "Hat": ["straw", "cap"]}}],
}


def test_pieces_that_are_dear_to_draw_are_refused_when_all_of_them_take_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "MAX_WORK_OF_A_DEAL", 500_000)
    collection = Collection(trait_tree=DEAR, seed=1)
    assert len(deal(collection=collection, first=0, count=1)) == 1
    with pytest.raises(SupplyError, match="takes more work than is allowed at once") as refused:
        deal(collection=collection, first=0, count=2)
    assert [problem.path for problem in refused.value.problems] == ["pieces"]


def test_another_draw_of_a_piece_is_given_up_when_all_that_were_tried_take_too_much() -> None:
    (piece,) = deal(collection=Collection(trait_tree=DEAR, seed=1), first=0, count=1)
    before = dict(piece.traits)
    with pytest.raises(SupplyError, match="takes more work than is allowed at once"):
        redraw(piece, tree=read_tree(DEAR), seed=1, taken={piece.trait_hash})
    assert (piece.traits, piece.redraw) == (before, 0)


def test_a_common_tree_deals_far_less_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "MAX_WORK_OF_A_DEAL", dealing.MAX_WORK_OF_A_DEAL // 20)
    assert len(deal(collection=Collection(trait_tree=SAILORS, seed=1), first=0, count=500)) == 500
