"""Errands: rows that any conductor may take, one at a time and never twice at once."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from casts import errands
from casts.clock import database_now
from casts.conductor.callbacks import Callbacks
from casts.conductor.cooks import Cooks
from casts.conductor.database import DatabaseThread
from casts.conductor.errands import BATCH, Errands, Kind
from casts.conductor.exports import Exports
from casts.conductor.threads import Threads
from casts.models import Cook
from generations.models import Callback, GenerationStatus
from generations.models.callback import CallbackOutcome
from generations.tools import registry

from .factories import CallbackFactory, CookFactory, GenerationFactory
from .locks import open_transaction
from .providers import Provider, register
from .test_api_parallel import at_once

pytestmark = pytest.mark.django_db

HINT = {"status": "hint"}


@pytest.fixture(autouse=True)
def provider(monkeypatch):
    register(monkeypatch)
    yield
    registry.forget()


def due(count: int = 1, *, seconds: float = 0.0) -> list[Callback]:
    generation = GenerationFactory.create()
    when = database_now() + timedelta(seconds=seconds)
    return CallbackFactory.create_batch(count, generation=generation, due_at=when)


def claim(limit: int = 10) -> list[errands.Errand]:
    return errands.claim(Callback, limit=limit)


def test_an_errand_that_is_due_is_taken_once_and_counted():
    (row,) = due()
    assert claim() == [errands.Errand(id=row.pk, attempts=1)]
    assert claim() == []
    row.refresh_from_db()
    assert row.due_at > database_now()


def test_one_that_is_not_due_or_done_is_not_taken():
    due(seconds=60)
    CallbackFactory.create(outcome=CallbackOutcome.APPLIED)
    assert claim() == []
    assert not errands.is_any_due()
    assert errands.is_any_due(within_seconds=120)


def test_the_longest_due_are_taken_first_and_no_more_than_asked_for():
    late = due(3, seconds=-60)
    due(3, seconds=-1)
    assert [errand.id for errand in claim(3)] == [row.pk for row in late]
    assert claim(0) == []


def test_an_errand_whose_taker_vanished_comes_due_again_and_the_count_fences_the_first(clock):
    due()
    (zombie,) = claim()
    clock.advance(seconds=errands.LEASE_SECONDS + 1)
    (second,) = claim()
    assert second.attempts == 2
    assert errands.put_off(Callback, [zombie], seconds=0) == 0
    assert claim() == []
    assert errands.put_off(Callback, [second], seconds=0) == 1
    assert claim()


def test_an_errand_that_is_renewed_is_not_taken_by_another(clock):
    due()
    taken = claim()
    clock.advance(seconds=errands.LEASE_SECONDS - 5)
    errands.renew(Callback, taken)
    clock.advance(seconds=10)
    assert claim() == []


def test_an_errand_that_is_done_is_not_made_due_by_its_taker():
    (row,) = due()
    taken = claim()
    Callback.objects.filter(pk=row.pk).update(outcome=CallbackOutcome.APPLIED, applied_at=database_now(), due_at=None)
    assert errands.put_off(Callback, taken, seconds=0) == 0


def test_the_waits_before_tries_grow_to_a_bound():
    waits = {tries: max(errands.wait_before_retry(errands.Errand(id=1, attempts=tries)) for _ in range(200)) for tries in (1, 4, 50)}
    assert waits[1] <= 3
    assert waits[1] < waits[4] <= 17
    assert waits[50] <= errands.LONGEST_WAIT_SECONDS + 1


@pytest.mark.django_db(transaction=True)
def test_takers_that_race_get_each_errand_once():
    rows = due(40)
    taken = at_once(lambda _: claim(7), crowd=8)
    counts = Counter(errand.id for some in taken for errand in some)
    assert set(counts.values()) == {1}
    assert sum(counts.values()) == len(rows)


@pytest.mark.django_db(transaction=True)
def test_all_that_was_done_is_noted_before_the_rest_is_handed_back():
    """More than one transaction notes."""
    generation = GenerationFactory.create(status=GenerationStatus.SUBMITTED, job_id="job-7")
    done = CallbackFactory.create_batch(2 * BATCH, generation=generation, adapter=Provider.key, due_at=database_now(), payload=HINT)
    database = DatabaseThread()

    async def do_and_leave() -> None:
        threads, wake = Threads(each=1), asyncio.Event()
        doing = Errands(kinds=[Callbacks(threads=threads)], database=database, pause_seconds=0, wake=wake.set, rang=lambda _: None)
        (line,) = doing._lines
        for _ in range(2):
            await doing._begin(line)
        while line.at_work:
            await wake.wait()
            wake.clear()
        assert len(line.done) == len(done)
        await doing.hand_back()
        threads.shut_down()

    asyncio.run(do_and_leave())
    database.close()
    assert not Callback.objects.filter(due_at__isnull=False).exists()


@pytest.mark.django_db(transaction=True)
def test_what_takes_long_to_note_is_noted_one_by_one():
    """Claims are renewed, and results settled, between two."""
    generation = GenerationFactory.create(status=GenerationStatus.SUBMITTED, job_id="job-7")
    CallbackFactory.create_batch(3, generation=generation, adapter=Provider.key, due_at=database_now(), payload=HINT)
    noted: list[int] = []

    class Slow(Callbacks):
        noted_at_once = 1

        def note(self, done):
            noted.append(len(done))
            return super().note(done)

    async def do() -> None:
        threads, wake = Threads(each=1), asyncio.Event()
        doing = Errands(kinds=[Slow(threads=threads)], database=database, pause_seconds=60, wake=wake.set, rang=lambda _: None)
        await doing.go_on(may_begin=True)
        while doing.is_busy:
            await wake.wait()
            wake.clear()
            before = len(noted)
            await doing.go_on(may_begin=False)
            assert len(noted) <= before + 1
        threads.shut_down()

    database = DatabaseThread()
    asyncio.run(do())
    database.close()
    assert noted == [1, 1, 1]
    assert (Cooks.noted_at_once, Exports.noted_at_once) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_errands_that_cannot_be_taken_keep_no_others_from_it(monkeypatch):
    (row,) = due()
    database = DatabaseThread()
    claim_any = errands.claim

    def refuse_cooks(model, **given):
        if model is Cook:
            raise OperationalError("this table is locked")
        return claim_any(model, **given)

    async def do() -> None:
        kinds: list[Kind] = [Callbacks(threads=Threads(each=1)), Cooks()]
        doing = Errands(kinds=kinds, database=database, pause_seconds=600, wake=lambda: None, rang=lambda _: None)
        doing.begin_look()
        doing.expect(Cook)
        doing.expect(Callback)
        with pytest.raises(OperationalError):
            await doing.go_on(may_begin=True)
        assert doing.go_on_at() == 0.0
        await doing.go_on(may_begin=True)
        assert list(doing._lines[0].at_work) == [row.pk]
        assert doing.go_on_at() > 0
        await doing.hand_back()

    monkeypatch.setattr(errands, "claim", refuse_cooks)
    asyncio.run(do())
    database.close()


@pytest.mark.postgresql
@pytest.mark.parametrize(("model", "waits"), [(Callback, "off"), (Cook, "on")])
@pytest.mark.django_db(transaction=True)
def test_only_a_claim_that_may_be_forgotten_does_not_wait_for_the_disk(model, waits):
    """It asks for that as it is written; else the setting of the server stands."""
    due()
    CookFactory.create(due_at=database_now())
    with CaptureQueriesContext(connection) as made:
        assert errands.claim(model, limit=1)
    (claim,) = [query["sql"] for query in made if "UPDATE" in query["sql"]]
    assert ("set_config('synchronous_commit', 'off', true)" in claim) == (waits == "off")


@pytest.mark.postgresql
def test_a_claim_within_a_transaction_has_all_of_it_wait_for_the_disk():
    due()
    with transaction.atomic():
        assert errands.claim(Callback, limit=1)
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("on",)


@pytest.mark.django_db(transaction=True)
def test_what_is_told_of_while_others_look_is_taken_without_another_look(monkeypatch):
    """Neither the end of that look nor a poll that is far away keeps it waiting."""
    (row,) = due()
    database = DatabaseThread()

    async def hear() -> None:
        threads = Threads(each=1)
        doing = Errands(kinds=[Callbacks(threads=threads)], database=database, pause_seconds=600, wake=lambda: None, rang=lambda _: None)
        doing.begin_look()
        doing.expect(Callback)
        doing.see((), None)
        monkeypatch.setattr(errands, "due", None)
        await doing.go_on(may_begin=True)
        (line,) = doing._lines
        assert list(line.at_work) == [row.pk]
        await doing.hand_back()
        threads.shut_down()

    asyncio.run(hear())
    database.close()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_taker_passes_over_an_errand_that_another_is_taking():
    first, second = due(2)
    with open_transaction(lambda: Callback.objects.select_for_update().get(pk=first.pk)):
        assert [errand.id for errand in claim()] == [second.pk]
