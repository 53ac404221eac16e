"""Analytics: rarities as asked, made and accepted, what reviews say of each trait, what a piece cost and how long it took."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from xml.etree import ElementTree as ET

import pytest

from casts.cooks import reviewing
from casts.cooks.analytics import TraitFigures, figures_of
from casts.cooks.chart import MAX_ROWS, rarity_chart
from casts.cooks.rarity import Rarity
from casts.cooks.selecting import Selection
from casts.models import AttemptStatus, Cook, Decision
from tests.api import client_of, get, people
from tests.casts.factories import NOON, PieceAttemptFactory

from .pieces import finished_cook, made_piece
from .trees import category

pytestmark = pytest.mark.django_db

TREE = {"categories": [category("Sea", Calm=3, Storm=1), category("Hat", "Cap", "<Crown> & co")]}
ONE, NONE = Fraction(1), Fraction(0)
SVG = "{http://www.w3.org/2000/svg}"


def reviewed_cook(**values) -> Cook:
    """Four pieces at 0.25 dollars each: two calm ones are accepted, a stormy one is rejected, one is open; and an attempt that failed."""
    cook = finished_cook(tree=TREE, **values)
    for index, sea in enumerate(["Calm", "Calm", "Storm", "Calm"]):
        made_piece(
            cook,
            index=index,
            traits={"Sea": sea, "Hat": "Cap"},
            cost_usd=Decimal("0.25"),
            started_at=NOON,
            finished_at=NOON + timedelta(seconds=index + 1),
        )
    PieceAttemptFactory.create(piece=cook.pieces.get(index=0), number=2, status=AttemptStatus.FAILED, traits={"Sea": "Calm"})
    for last, decision in ((1, Decision.ACCEPTED), (2, Decision.REJECTED)):
        reviewing.decide_many(cook_id=cook.pk, chosen=Selection(last=last), decision=decision, actor_id=cook.initiator_id, reason="So.")
    return cook


def test_what_came_of_a_cook_is_counted():
    figures = figures_of(reviewed_cook())
    assert figures.reviews == {"accepted": 2, "rejected": 1, "": 1}
    assert (figures.made, figures.attempts, figures.cost_usd) == (4, 5, Decimal(1))
    assert (figures.cost_per(figures.made), figures.cost_per(figures.accepted), figures.cost_per(0)) == (
        Decimal("0.25"),
        Decimal("0.5"),
        None,
    )
    assert (figures.mean_seconds, figures.median_seconds) == (2.5, 2.5)
    calm, storm, cap, crown = figures.traits
    assert (calm.made.asked, calm.made.share, calm.accepted.share, calm.acceptance) == (Fraction(3, 4), Fraction(3, 4), ONE, ONE)
    assert (storm.made.drawn, storm.accepted.drawn, storm.accepted.share, storm.acceptance) == (1, 0, NONE, NONE)
    assert (cap.decided, cap.in_favour, crown.made.share) == (3, 2, NONE)
    assert crown.acceptance is None


def test_a_cook_of_which_nothing_is_made_has_no_figures_and_no_fault():
    figures = figures_of(finished_cook(tree=TREE))
    assert (figures.mean_seconds, figures.cost_per(figures.accepted), figures.traits[0].made.share) == (None, None, None)
    assert figures_of(finished_cook()).traits == []


def test_a_rejected_attempt_still_counts_for_its_traits_after_another_was_made():
    cook = reviewed_cook()
    attempt = cook.piece_attempts.get(piece__index=2)
    attempt.status = AttemptStatus.SUPERSEDED
    attempt.save()
    figures = figures_of(cook)
    storm = figures.traits[1]
    assert (storm.made.drawn, storm.decided, storm.acceptance) == (0, 1, NONE)
    assert figures.reviews == {"accepted": 2, "": 1}


@pytest.mark.parametrize(("who", "status"), [("anonymous", 401), ("stranger", 404), ("owner", 200), ("staff", 200)])
def test_only_the_owner_of_a_cook_and_the_staff_see_what_came_of_it(who: str, status: int):
    crowd = people()
    cook = reviewed_cook(owner=crowd["owner"])
    client = client_of(crowd[who])
    told = get(client, f"/cooks/{cook.pk}/analytics/")
    picture = get(client, f"/cooks/{cook.pk}/analytics/picture/")
    assert (told.status_code, picture.status_code) == (status, status)
    if status == 200:
        assert told.json()["cost"] == {"total_usd": "1", "per_made_usd": "0.25", "per_accepted_usd": "0.5"}
        assert told.json()["reviews"] == {"open": 1, "accepted": 2, "rejected": 1, "culled": 0}
        assert told.json()["traits"][1] == {
            "category": "Sea",
            "value": "Storm",
            "asked": 0.25,
            "made": 1,
            "made_share": 0.25,
            "accepted": 0,
            "accepted_share": 0,
            "decided": 1,
            "acceptance": 0,
        }
        assert picture.headers["Content-Type"] == "image/svg+xml"
        assert "sandbox" in picture.headers["Content-Security-Policy"]


def test_the_picture_shows_each_trait_and_takes_no_text_for_markup():
    picture = ET.fromstring(rarity_chart(figures_of(reviewed_cook()).traits, title="<script>alert(1)</script>"))
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    assert texts[0] == "<script>alert(1)</script>"
    assert {"Sea", "Calm", "Storm", "Hat", "Cap", "<Crown> & co"} <= set(texts)
    assert "75.0% / 75.0%" in texts
    assert not list(picture.iter(f"{SVG}script"))


def test_a_picture_of_thousands_of_traits_is_cut_and_says_so():
    row = Rarity("Sea", "x" * 200, None, 0, 0)
    many = [TraitFigures(made=row, accepted=row, decided=0, in_favour=0)] * 3_000
    texts = [text.text for text in ET.fromstring(rarity_chart(many, title="Many")).iter(f"{SVG}text")]
    assert texts[-1] == f"and {3_000 - MAX_ROWS:,} more"
    assert max(map(len, texts)) <= 30
