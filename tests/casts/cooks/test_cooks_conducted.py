"""Cooks beside real conductors, and many who look at once."""

from collections import Counter

import pytest
from django.db import connection

from casts.clock import database_now
from casts.cooks import scheduling, verbs
from casts.cooks.beginning import Wish, begin, extend
from casts.cooks.collecting import Plan, keep
from casts.models import Cast, Cook, CookStatus, Piece, PieceAttempt, PieceStatus
from generations.tools import registry
from spells.models import Spell, Visibility
from tests.casts import adapters
from tests.casts.scenes import tool, user, version
from tests.casts.test_api_parallel import at_once
from tests.casts.test_conductor import conduct, conducting, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def gate(monkeypatch):
    for each in adapters.ALL:
        monkeypatch.setitem(registry.BUILT_IN, each.key, f"{each.__module__}:{each.__name__}")
    registry.forget()
    yield adapters.reset()
    registry.forget()


def cook(items: int, *, name: str = "ada", **wish) -> Cook:
    step = {"key": "one", "tool": tool(adapters.AsyncEcho.key), "params": {"n": "{{ inputs.n | default(0) }}"}}
    slug = f"numbers-of-{name}"
    version(step, inputs={"n": {"type": "integer"}}, outputs={"n": "{{ steps.one.echo.n }}"}, slug=slug)
    Spell.objects.filter(slug=slug).update(visibility=Visibility.LISTED)
    plan = Plan(name=name, spell=slug, inputs={"n": "{{ item }}"}, items=list(range(items)))
    owner = user(name)
    collection = keep(plan=plan, owner=owner, now=database_now()).collection
    return begin(collection=collection, wish=Wish(**wish), now=database_now()).cook


def has_ended(row: Cook) -> bool:
    row.refresh_from_db()
    return row.status == CookStatus.FINISHED


def test_a_conductor_sees_a_cook_through_and_each_piece_has_what_is_its_own():
    row = cook(30, max_parallel=5)
    conduct()
    assert has_ended(row)
    assert Counter(row.pieces.values_list("status", flat=True)) == {PieceStatus.MADE: 30}
    made = Cast.objects.filter(piece_attempt__cook=row).order_by("piece_attempt__piece__index")
    assert [cast.outputs["n"] for cast in made] == list(range(30))


def test_two_conductors_make_each_piece_once():
    row = cook(40, max_parallel=8)
    with conducting(), conducting():
        wait_for(lambda: has_ended(row), what="the end of the cook")
    assert (Cast.objects.count(), PieceAttempt.objects.count()) == (40, 40)


def test_of_many_who_look_at_once_each_piece_is_cast_by_one():
    row = cook(40, max_parallel=40)
    at_once(lambda _: scheduling.tend(cook_id=row.pk), crowd=8)
    assert PieceAttempt.objects.count() == Cast.objects.count() == 40
    assert PieceAttempt.objects.values("piece").distinct().count() == 40


def test_a_look_that_is_broken_off_leaves_nothing_half_done(monkeypatch):
    row = cook(10, max_parallel=4)
    monkeypatch.setattr(scheduling, "_conclude", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scheduling.tend(cook_id=row.pk)
    assert (Cast.objects.count(), PieceAttempt.objects.count()) == (0, 0)
    assert set(Piece.objects.values_list("status", flat=True)) == {PieceStatus.PENDING}


def test_a_cook_that_is_stopped_while_it_is_conducted_ends():
    row = cook(500, max_parallel=10)
    with conducting():
        wait_for(lambda: row.pieces.filter(status=PieceStatus.MADE).count() > 10, what="some pieces")
        verbs.stop(cook_id=row.pk, now=database_now())
        wait_for(lambda: Cook.objects.get(pk=row.pk).status == CookStatus.STOPPED, what="the end of a stopped cook")
    assert not PieceAttempt.objects.filter(status="live").exists()
    assert not Cast.objects.live().exists()
    connection.close()


def made(row: Cook) -> int:
    return row.pieces.filter(status=PieceStatus.MADE).count()


def test_two_cooks_of_two_users_side_by_side_each_get_their_share():
    one, other = cook(60, name="ada", max_parallel=4), cook(60, name="bob", max_parallel=4)
    with conducting(coroutines=4):
        wait_for(lambda: has_ended(one) or has_ended(other), what="the end of one of two cooks")
        behind = min(made(one), made(other))
        wait_for(lambda: has_ended(one) and has_ended(other), what="the end of both")
    assert behind >= 40


def test_a_cook_that_cannot_be_looked_at_is_paused_and_told_whatever_its_error_says(monkeypatch: pytest.MonkeyPatch):
    broken = cook(2, name="ada")
    look = scheduling.tend

    def tend(*, cook_id: int):
        if cook_id == broken.pk:
            raise KeyError("\ud800\0")
        return look(cook_id=cook_id)

    monkeypatch.setattr(scheduling, "tend", tend)
    conduct()
    broken.refresh_from_db()
    assert (broken.status, broken.reason) == (CookStatus.PAUSED, "It cannot go on: KeyError: '\\ud800\\x00'")


def test_a_fault_of_ours_while_a_cook_is_paused_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch):
    broken, well = cook(2, name="ada"), cook(3, name="bob")
    look, tried = scheduling.tend, []

    def tend(*, cook_id: int):
        if cook_id == broken.pk:
            raise ValueError("It broke.")
        return look(cook_id=cook_id)

    def pause(**asked):
        tried.append(asked["reason"])
        raise TypeError("It broke, too.")

    monkeypatch.setattr(scheduling, "tend", tend)
    monkeypatch.setattr(verbs, "pause", pause)
    with conducting():
        wait_for(lambda: has_ended(well), what="the end of the other cook")
        assert tried == ["It cannot go on: ValueError: It broke."], "it is due again when its lease ends"
    broken.refresh_from_db()
    assert broken.status == CookStatus.RUNNING
    assert broken.due_at > database_now()


def test_a_small_cook_is_not_kept_waiting_by_a_large_one_of_somebody_else():
    large, small = cook(600, name="ada", max_parallel=100), cook(20, name="bob", max_parallel=4)
    with conducting(coroutines=4):
        wait_for(lambda: has_ended(small), what="the end of the small cook")
        assert made(large) < 600
        verbs.stop(cook_id=large.pk, now=database_now())
        wait_for(lambda: Cook.objects.get(pk=large.pk).status == CookStatus.STOPPED, what="the end of the large one")


def test_a_cook_that_many_extend_at_once_has_as_many_pieces_as_were_asked_for():
    row = cook(50, max_parallel=1, pieces=10)
    at_once(lambda _: extend(cook_id=row.pk, pieces=50, now=database_now()), crowd=8)
    row.refresh_from_db()
    assert row.wanted == row.pieces.count() == 50
