"""What a conductor remembers is trusted only as far as it goes: what fails by it is read, and another connection ends it."""

import asyncio
from contextlib import suppress

import pytest
from django.db import OperationalError, connection

from casts import errands
from casts.conductor.database import DatabaseThread
from casts.conductor.due import claim_due
from casts.conductor.lanes import Lanes
from casts.conductor.settling import Settled, settle
from casts.engine import Claim, Known, Report, Via, changes
from casts.engine.loading import load
from casts.engine.retrying import LostUpdateError
from casts.engine.verdicts import Change
from casts.models import Cast
from generations.models import Callback, Generation
from generations.tools.contract import Result

from .scenes import cast

pytestmark = pytest.mark.django_db(transaction=True)


def look(claims: list[Claim], *, reports: list[Report] | None = None, known: Known | None = None) -> Settled:
    lanes = Lanes(coroutines=10, threads=1, processes=1)
    return settle(reports=reports or [], claimed=claims, known=known, lanes=lanes, in_flight=())


def reports_of(settled: Settled) -> list[Report]:
    return [
        Report(generation_id=order.request.generation_id, claim=order.turn.state.claim, via=Via.RUN, news=Result(output={"n": 1}))
        for order in settled.orders
    ]


@pytest.mark.parametrize("casts", [1, 3])
def test_a_cast_that_fails_as_it_is_remembered_is_read_and_goes_on(casts):
    for _ in range(casts):
        cast({"key": "one"}, {"key": "two", "params": {"after": "{{ steps.one.n }}"}})
    first = look(claim_due(limit=10, lease_seconds=30.0).claims)
    assert len(first.orders) == casts
    for state in first.left.values():
        state.attempts.clear()
        state.latest.clear()
        state.begun.clear()  # its first step was never begun, it says
    second = look([state.claim for state in first.left.values()], reports=reports_of(first), known=Known(first.left))
    assert sorted(Cast.objects.values_list("status", flat=True)) == ["running"] * casts
    assert not second.gone
    third = look([state.claim for state in second.left.values()], reports=reports_of(second), known=Known(second.left))
    look([state.claim for state in third.left.values()], reports=reports_of(third), known=Known(third.left))
    assert {(row.status, row.generations.count()) for row in Cast.objects.all()} == {("succeeded", 2)}


def test_a_guard_that_fails_is_told_before_what_would_follow_is_refused():
    """A row that is still live refuses the next attempt at its item. That is no fault of the attempt: all starts over."""
    held = cast({"key": "one"})
    (claim,) = claim_due(limit=1, lease_seconds=30.0).claims
    look([claim])
    (state,) = load(held={held.pk: claim}).states.values()
    (attempt,) = state.attempts.values()
    attempt.status = "submitted"  # it is not
    change = Change(attempt=attempt, status="failed", error={"code": "x", "message": "x"})
    after = Generation.objects.get()
    after.pk, after.attempt = None, 2
    with pytest.raises(LostUpdateError):
        changes.apply(changes=[change], inserts=[after], now=after.created_at)


def test_casts_are_claimed_though_errands_cannot_be_read(monkeypatch):
    held = cast({"key": "one"})
    monkeypatch.setattr(errands, "is_due", lambda _: "EXISTS (SELECT 1 FROM a_table_that_is_not_there_yet)")
    found = claim_due(limit=1, lease_seconds=30.0, kinds=[Callback])
    assert [claim.cast_id for claim in found.claims] == [held.pk]
    assert found.errands == [Callback]  # whoever takes them finds out


def test_connections_of_the_database_thread_are_counted_whichever_way_they_were_lost():
    database = DatabaseThread()

    async def lose_some() -> list[int]:
        counted = []
        for act in (connect, connect, lose, connect, fail):
            with suppress(OperationalError):
                await database.run(act)
            counted.append(database.connections)
        return counted

    # `connection` is another one on each thread
    def connect() -> None:
        connection.ensure_connection()

    def lose() -> None:
        connection.close()

    def fail() -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    try:
        one, still_one, *others = asyncio.run(lose_some())
    finally:
        database.close()
    assert one == still_one
    assert one < others[0] < others[1] < others[2]
