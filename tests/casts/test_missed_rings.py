"""A ring that finds no wakeup, since the cast had ended, while a retry gives it a new one: its writer starts over, and is heard."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from casts import engine
from casts.clock import database_now
from casts.engine import Report, Via
from casts.engine import claims as leases
from casts.models import Wakeup
from generations.tools.contract import Result

from . import scenes
from .scenes import Hand, billed, cost, refusal, tool

# SQLite has one writer: nobody comes between.
pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


def fall_between(monkeypatch, name: str, act) -> list[bool]:
    """Have `act` committed by another connection right after the next ring. Returns whether each ring found a wakeup."""
    ring, heard = getattr(leases, name), list[bool]()

    def beside() -> None:
        try:
            act()
        finally:
            connection.close()

    def rings(**given):
        rang = ring(**given)
        heard.append(not rang.missing if isinstance(rang, leases.Rung) else rang)
        if len(heard) == 1:
            with ThreadPoolExecutor(1) as threads:
                threads.submit(beside).result(timeout=60)
        return rang

    monkeypatch.setattr(leases, name, rings)
    return heard


@pytest.fixture
def failed() -> Hand:
    hand = Hand(
        scenes.cast({"key": "a", "tool": tool("plain.tool", max_attempts=1)}, {"key": "b", "tool": billed("dear.tool", max_attempts=1)})
    )
    hand.look()
    return hand


def retry_and_look(hand: Hand):
    def act() -> None:
        engine.retry(cast_id=hand.cast.pk, actor_id=None, now=database_now())
        hand.look()

    return act


def test_a_cancel_is_heard(monkeypatch, failed):
    failed.answer_all({("a", 0): refusal(permanent=True), ("b", 0): refusal(permanent=True)})
    assert failed.status() == "failed"
    heard = fall_between(monkeypatch, "ring", retry_and_look(failed))
    engine.cancel(cast_id=failed.cast.pk, actor_id=None, now=database_now())
    assert heard == [False, True]
    for key, _ in failed.called():
        failed.answer(key, {"n": 1})
    assert failed.status() == "cancelled"
    assert not Wakeup.objects.exists()


@pytest.mark.parametrize("receive", [engine.take_late, engine.receive], ids=["late", "by callback"])
def test_news_of_a_call_is_heard(monkeypatch, failed, receive):
    unanswered = failed.report("b", 0, refusal("gone", ambiguous=True))
    failed.answer_all({("a", 0): refusal(permanent=True), ("b", 0): refusal("gone", ambiguous=True)})
    assert (failed.status(), scenes.statuses(failed.cast)["b"]) == ("failed", ["unknown"])
    late = Report(
        generation_id=unanswered.generation_id,
        claim=unanswered.claim,
        via=Via.CALLBACK,
        news=Result(output={"n": 1}, cost=cost("0.25")),
    )
    heard = fall_between(monkeypatch, "ring" if receive is engine.take_late else "ring_all", retry_and_look(failed))
    receive(report=late)
    assert heard[:2] == [False, True]
    failed.answer("a", {"n": 1})
    assert failed.status() == "succeeded"


def test_a_live_cast_that_lost_its_wakeup_can_be_cancelled_all_the_same(failed):
    failed.answer_all({("a", 0): {"n": 1}})
    Wakeup.objects.all().delete()
    engine.cancel(cast_id=failed.cast.pk, actor_id=None, now=database_now())
    assert failed.status() == "running"
    failed.cast.refresh_from_db()
    assert failed.cast.cancel_requested_at is not None
