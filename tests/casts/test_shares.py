import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from casts import engine, errands
from casts.clock import database_now
from casts.engine import Release, shares
from casts.models import Cast, Priority, Wakeup
from generations.models import Callback

from .factories import CallbackFactory
from .scenes import user, version

pytestmark = pytest.mark.django_db

BACKLOG = 30_000


def started_by(name: str, *, priority: Priority = Priority.INTERACTIVE, number: int = 1) -> list[Cast]:
    pinned = version({"key": "one"}, slug=f"of-{name}")
    common = {"version": pinned, "initiator_id": user(name).pk, "inputs": {}, "priority": priority}
    return [engine.start(**common, now=database_now()).cast for _ in range(number)]


def initiators(claims: list[engine.Claim]) -> list[str]:
    ids = [claim.cast_id for claim in claims]
    return sorted(Cast.objects.filter(pk__in=ids).values_list("initiator__username", flat=True))


def backlog_of(name: str, number: int) -> None:
    """Give a user so many casts that have been due for an hour, by two statements."""
    (like,) = started_by(name)
    columns = [field.column for field in Cast._meta.concrete_fields if field.column != "id"]
    numbers = (
        f"SELECT md5(n::text)::uuid AS id FROM generate_series(1, {number}) AS n"
        if connection.vendor == "postgresql"
        else f"WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {number}) SELECT printf('%032x', n) AS id FROM n"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO casts_cast (id, {', '.join(columns)}) SELECT new.id, {', '.join(f'old.{each}' for each in columns)} "
            f"FROM ({numbers}) AS new, casts_cast AS old WHERE old.id <> new.id AND old.initiator_id = {like.initiator_id}"
        )
        due = "grimoire_now() - interval '1 hour'" if connection.vendor == "postgresql" else "grimoire_now(-3600)"
        cursor.execute(
            f"INSERT INTO casts_wakeup (cast_id, due_at, epoch, bell, initiator_id, priority, lost) SELECT id, {due}, 0, 0, initiator_id, 0, 0 "
            "FROM casts_cast WHERE NOT EXISTS (SELECT 1 FROM casts_wakeup WHERE cast_id = casts_cast.id)"
        )
        cursor.execute("ANALYZE")


def test_one_users_backlog_does_not_keep_anothers_one_cast_waiting():
    backlog_of("ada", BACKLOG)
    started_by("bob")
    assert initiators(engine.claim(limit=50)) == ["ada"] * 49 + ["bob"]


def test_the_places_of_a_claim_are_dealt_out_in_turns():
    for name, number in (("ada", 60), ("bob", 8), ("eve", 2)):
        started_by(name, number=number)
    claimed = initiators(engine.claim(limit=20))
    assert [claimed.count(name) for name in ("ada", "bob", "eve")] == [10, 8, 2]


def test_what_somebody_waits_for_is_taken_before_a_batch():
    started_by("ada", priority=Priority.BATCH, number=5)
    urgent = started_by("ada", number=3) + started_by("bob", number=1)
    claimed = [claim.cast_id for claim in engine.claim(limit=4)]
    assert set(claimed) == {each.pk for each in urgent}


def test_a_batch_moves_on_however_much_is_urgent():
    batch = started_by("ada", priority=Priority.BATCH, number=5)
    started_by("bob", number=60)
    claimed = {claim.cast_id for claim in engine.claim(limit=50)}
    assert len(claimed) == 50
    assert len(claimed & {each.pk for each in batch}) == 1


def test_a_claim_is_filled_by_whoever_has_something_due():
    started_by("ada", number=30)
    waiting = started_by("bob", number=30)
    Wakeup.objects.filter(cast__in=waiting).update(due_at=database_now().replace(year=2100))
    assert initiators(engine.claim(limit=25)) == ["ada"] * 25


@pytest.mark.parametrize("lot", [0.0, 0.3, 0.999999])
def test_with_more_initiators_than_a_claim_asks_each_has_its_turn(monkeypatch, lot):
    names = [f"user{n:02}" for n in range(shares.MOST_INITIATORS + 8)]
    monkeypatch.setattr("random.random", lambda: lot)
    backlog_of("ada", 2_000)
    for name in names:
        started_by(name)
    served: set[str] = set()
    for _ in range(4):
        claims = engine.claim(limit=50)
        served |= set(initiators(claims))
        engine.release(releases=[Release(claim=claim, due_at=database_now().replace(year=2100)) for claim in claims])
        lot = (lot + 0.4) % 1
    assert served >= {"ada", *names}


def test_a_claim_takes_all_of_a_few_and_each_once():
    casts = [*started_by("ada", number=3), *started_by("bob", number=2), *started_by("bob", priority=Priority.BATCH, number=2)]
    claimed = [claim.cast_id for claim in engine.claim(limit=50)]
    assert sorted(claimed) == sorted(each.pk for each in casts)


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


@pytest.mark.postgresql
@pytest.mark.parametrize("suspects", [False, True])
def test_a_claim_reads_no_backlog(suspects):
    backlog_of("ada", BACKLOG)
    started_by("bob")
    read = reads_of(lambda: engine.claim(limit=50, suspects=suspects), table="casts_wakeup")
    assert not [node for node in read if node["Node Type"] == "Seq Scan"]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in read) < 2_000
    assert sum(node.get("Rows Removed by Filter", 0) for node in read) < 100


@pytest.mark.postgresql
@pytest.mark.parametrize("look", [engine.look, engine.is_any_due], ids=["look", "is_any_due"])
def test_a_look_reads_none_of_the_casts_that_wait(look):
    """However many do: the index tells that none is due."""
    backlog_of("ada", BACKLOG)
    Wakeup.objects.update(due_at=database_now() + timedelta(days=1))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE casts_wakeup")
    assert_reads_next_to_nothing(look, table="casts_wakeup")
    Wakeup.objects.filter(pk=Wakeup.objects.order_by("pk").values("pk")[:1]).update(due_at=database_now())
    assert engine.look().casts


@pytest.mark.postgresql
def test_a_look_reads_none_of_the_errands_that_wait():
    later = database_now() + timedelta(days=1)
    like = CallbackFactory.create(due_at=later, delivery_id="0")
    columns = [field.column for field in Callback._meta.concrete_fields if field.column not in {"id", "delivery_id"}]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO generations_callback (delivery_id, {', '.join(columns)}) "
            f"SELECT n::text, {', '.join(columns)} FROM generations_callback, generate_series(1, {BACKLOG}) AS n"
        )
        cursor.execute("ANALYZE generations_callback")
    for look in (lambda: engine.look(beside=[errands.is_due(Callback)]), errands.is_any_due):
        assert_reads_next_to_nothing(look, table="generations_callback")
    Callback.objects.filter(pk=like.pk).update(due_at=database_now())
    assert errands.due([Callback]) == [Callback]


def assert_reads_next_to_nothing(look: Callable[[], object], *, table: str) -> None:
    read = reads_of(look, table=table)
    assert read
    assert not [node for node in read if node["Node Type"] == "Seq Scan"]
    assert sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in read) == 0


def reads_of(act: Callable[[], object], *, table: str) -> list[dict[str, Any]]:
    """Return how PostgreSQL reads a table when something is done."""
    with CaptureQueriesContext(connection) as queries:
        act()
    read = []
    for statement in [query["sql"] for query in queries if table in query["sql"]]:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
            ((answer,),) = cursor.fetchall()
        (plan,) = answer if isinstance(answer, list) else json.loads(answer)
        read += [node for node in nodes(plan["Plan"]) if node.get("Relation Name") == table]
    return read
