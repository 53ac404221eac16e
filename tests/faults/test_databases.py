"""Databases that lose connections, restart, refuse and are busy (faults 8 to 10, 16 and 28)."""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import httpx2
import pytest
from knox.models import AuthToken
from pytest_django import DjangoDbBlocker

from generations.models import Generation
from spells.models import Recovery
from tests.casts import scenes
from tests.fakes import Serving
from tests.functional.site import own_database
from tests.postgres import PostgresServer
from tests.processes import wait_for
from tests.template import acting_at

from .conftest import copy_of
from .proxy import losing_commits
from .stage import LONG, Stage
from .test_webhooks import outcomes, statuses, submitted

CASTS = 15
WRITERS = 8
BUSY_SECONDS = 60.0
# Writers begin together and then pause: they must meet, and not find out how many requests a machine bears.
PAUSE_SECONDS = 0.6


def publish(stage: Stage) -> dict[str, str]:
    """Publish the spell of the load, and return the headers of somebody who may cast it."""
    ask = stage.ask_tool(recovery=Recovery.RESEND)
    scenes.version(
        {"key": "ask", "tool": ask, "params": {"prompt": "Lamp {{ inputs.number | default(0) }}."}},
        {"key": "paint", "tool": stage.job_tool(), "params": {"input": {"prompt": "{{ steps.ask.text }}"}}},
        {"key": "end", "tool": stage.step_tool(), "params": {"name": "end", "make": "{{ steps.paint.output | string | length | string }}"}},
        inputs={"number": {"type": "integer"}},
        slug="load",
    )
    _, key = AuthToken.objects.create(scenes.user())
    return {"Authorization": f"Bearer {key}"}


def order(stage: Stage, headers: dict[str, str], number: int) -> str:
    """Ask for a cast as a client does who takes no error for an answer, and return its id."""

    def ask() -> str:
        try:
            asked = {"spell": "load", "inputs": {"number": number}}
            answer = stage.post("/api/v1/casts/", json=asked, headers={**headers, "Idempotency-Key": f"order-{number}"})
        except httpx2.HTTPError:
            return ""
        assert answer.is_success or answer.is_server_error, answer.text
        return str(answer.json()["id"]) if answer.is_success else ""

    return wait_for("the cast is taken", ask, seconds=LONG)


def wait_for_all(stage: Stage, count: int) -> None:
    seen: list[Counter[str]] = []

    def have_ended() -> bool:
        seen.append(stage.account().casts)
        return seen[-1] == Counter({"succeeded": count})

    try:
        wait_for("all have ended", have_ended, seconds=2 * LONG)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{seen[-1]}\n{stage.outputs()}") from error


@pytest.mark.lasting
@pytest.mark.postgresql
def test_a_commit_whose_answer_is_lost_with_the_connection_is_neither_lost_nor_made_twice(stage: Stage):
    headers = publish(stage)
    parts = urlsplit(stage.environment["DATABASE_URL"])
    with losing_commits(Path(unquote(parts.hostname or "")) / ".s.PGSQL.5432", share=0.2, seed=8) as proxy:
        through = {"DATABASE_URL": f"postgresql://postgres@127.0.0.1:{proxy.port}{parts.path}"}
        web = stage.web(**through)
        worker = stage.conduct(**through)
        ids = [order(stage, headers, number) for number in range(CASTS)]
        assert len(set(ids)) == CASTS
        wait_for_all(stage, CASTS)
        assert proxy.lost.total() > CASTS / 2
        assert all(proxy.lost[kind] > 0 for kind in ("start", "claim", "store", "errand")), proxy.lost
        assert stage.check(seconds=LONG).unknown == []
        stage.stop(worker, web)


@pytest.mark.sqlite
def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_made_twice_on_sqlite(stage: Stage):
    points = [
        {"name": f"lost-{number}", "when": "after", "do": "lose", "wrote": wrote}
        for number, wrote in enumerate(
            ["INSERT INTO generations_generation", '"status": "succeeded"', '"status": "submitted"', "DELETE FROM casts_wakeup"]
        )
    ]
    headers, web, worker = publish(stage), stage.web(), stage.conduct(*points)
    order(stage, headers, 1)
    wait_for_all(stage, 1)
    assert sorted(path.name for path in stage.folder.glob("point-*")) == [f"point-lost-{number}" for number in range(4)]
    assert stage.check().unknown == []
    stage.stop(worker, web)


@pytest.fixture
def server(
    *, tmp_path: Path, template: str, offered: Path, fake: Serving, provider: Any, django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[Stage, PostgresServer]]:
    """A Grimoire on a PostgreSQL of its own, which writes through to the disk and may be ended in any way."""
    folder = tmp_path / "stage"
    folder.mkdir()
    with PostgresServer(fsync=True) as server, own_database(server.url(), name="own") as url:
        copy_of(template, url)
        with django_db_blocker.unblock(), acting_at(url):
            stage = Stage(folder, database_url=url, offered=offered, fake=fake, log=provider[1])
            yield stage, server
            stage.close()


@pytest.mark.postgresql
def test_postgresql_that_restarts_in_the_middle_of_load_and_of_a_reaper_costs_time_alone(server: tuple[Stage, PostgresServer]):
    stage, postgres = server
    headers = publish(stage)
    web, workers = stage.web(), [stage.conduct(), stage.conduct()]
    with ThreadPoolExecutor(4) as clients:
        orders = [clients.submit(order, stage, headers, number) for number in range(2 * CASTS)]
        for end in (lambda: postgres.stop("fast"), lambda: postgres.stop("immediate"), postgres.kill):
            before = stage.account()
            wait_for("some casts are made", lambda: stage.account().generations > before.generations, seconds=LONG)  # noqa: B023 - called at once
            stage.books.tell("DELETE FROM casts_wakeup WHERE claimed_until IS NULL")
            reaper = stage.command("reap")
            end()
            stage.books.close()
            postgres.start()
            reaper.end()
        for each in orders:
            each.result()
    assert stage.command("reap").end() == 0
    wait_for_all(stage, 2 * CASTS)
    assert stage.check().unknown == []
    stage.stop(*workers, web)


# Each eleventh statement is refused: whatever a transaction writes, it comes through when it is made again often enough.
EACH = 11
REFUSE = f"""
    CREATE SEQUENCE faults;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE number bigint := nextval('faults');
    BEGIN
        IF number % {EACH} = 0 THEN
            RAISE EXCEPTION 'refused by a test' USING ERRCODE = CASE WHEN number % 2 = 0 THEN '40001' ELSE '40P01' END;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER refuse AFTER UPDATE OR DELETE ON casts_wakeup FOR EACH STATEMENT EXECUTE FUNCTION refuse();
    CREATE TRIGGER refuse AFTER INSERT OR UPDATE ON generations_generation FOR EACH STATEMENT EXECUTE FUNCTION refuse();
    CREATE TRIGGER refuse AFTER UPDATE ON casts_cast FOR EACH STATEMENT EXECUTE FUNCTION refuse();
    """


@pytest.mark.postgresql
def test_transactions_that_cannot_be_serialized_or_deadlock_are_made_again_as_a_whole(stage: Stage):
    headers = publish(stage)
    stage.books.tell(REFUSE)
    web, workers = stage.web(), [stage.conduct(), stage.conduct()]
    for number in range(CASTS):
        order(stage, headers, number)
    wait_for_all(stage, CASTS)
    [refused] = stage.books.ask(f"SELECT last_value / {EACH} AS times FROM faults")
    assert refused["times"] > CASTS / 2
    assert stage.check().unknown == []
    stage.stop(*workers, web)


@contextmanager
def locked(stage: Stage, *, seconds: float, free: float) -> Iterator[None]:
    """Hold SQLite's write lock for so many seconds, again and again, with short pauses in which it is free."""
    over = threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(stage.books.path, timeout=30, isolation_level=None)
        while not over.is_set():
            connection.execute("BEGIN IMMEDIATE")
            over.wait(seconds)
            connection.execute("ROLLBACK")
            over.wait(free)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.sqlite
def test_transactions_that_find_sqlite_locked_for_too_long_are_made_again_as_a_whole(stage: Stage):
    headers = publish(stage)
    web = stage.web(FAULT_LOCK_SECONDS="0.2")
    worker = stage.conduct(FAULT_LOCK_SECONDS="0.2")
    with locked(stage, seconds=1.0, free=0.3):
        for number in range(CASTS // 3):
            order(stage, headers, number)
        wait_for_all(stage, CASTS // 3)
    assert "database is locked" in worker.said() + web.said()
    assert stage.check().unknown == []
    stage.stop(worker, web)


def released_while_away(stage: Stage, away: Any) -> UUID:
    """Have a job end while the database is away, and return its cast once the provider was refused."""
    cast, job_id = submitted(stage)
    with away:
        stage.fake.control("release", {})
        wait_for("the provider is asked to try again", lambda: statuses(stage, job_id), seconds=LONG)
        assert all(500 <= status <= 599 for status in statuses(stage, job_id))
    return cast


@pytest.mark.postgresql
def test_a_webhook_that_finds_postgresql_down_is_to_be_sent_again_and_then_taken(server: tuple[Stage, PostgresServer]):
    stage, postgres = server
    web, worker = stage.web(), stage.conduct()

    @contextmanager
    def away() -> Iterator[None]:
        postgres.stop("fast")
        yield
        stage.books.close()
        postgres.start()

    cast = released_while_away(stage, away())
    stage.wait_for_status(cast)
    assert outcomes(stage) == Counter({"applied": 1})
    stage.check()
    stage.stop(worker, web)


@pytest.mark.sqlite
def test_a_webhook_that_finds_sqlite_locked_is_to_be_sent_again_and_then_taken(stage: Stage):
    web, worker = stage.web(FAULT_LOCK_SECONDS="0.2"), stage.conduct()
    cast = released_while_away(stage, locked(stage, seconds=LONG, free=1.0))
    stage.wait_for_status(cast)
    assert outcomes(stage) == Counter({"applied": 1})
    stage.check()
    stage.stop(worker, web)


@pytest.mark.lasting
@pytest.mark.sqlite
def test_eight_writers_at_once_for_a_minute_lose_nothing_and_no_client_sees_an_error(stage: Stage):
    tool = stage.step_tool()
    scenes.version(
        {"key": "one", "tool": tool, "params": {"name": "one"}}, {"key": "two", "tool": tool, "params": {"name": "two"}}, slug="load"
    )
    _, key = AuthToken.objects.create(scenes.user())
    headers = {"Authorization": f"Bearer {key}"}
    web, worker = stage.web(), stage.conduct()
    until, over = time.monotonic() + BUSY_SECONDS, threading.Event()

    def pause() -> None:
        if time.monotonic() > until:
            over.set()
        over.wait(PAUSE_SECONDS)

    together = threading.Barrier(WRITERS, action=pause, timeout=LONG)

    def write(number: int) -> Counter[int]:
        answers: Counter[int] = Counter()
        while not over.is_set():
            together.wait()
            key = {"Idempotency-Key": f"{number}-{answers.total()}"}
            started = stage.post("/api/v1/casts/", json={"spell": "load"}, headers={**headers, **key})
            answers[started.status_code] += 1
            verb = ("pause", "cancel", "resume")[number % 3]
            answers[stage.post(f"/api/v1/casts/{started.json()['id']}/{verb}/", headers=headers).status_code] += 1
            stage.post(f"/api/v1/casts/{started.json()['id']}/resume/", headers=headers)
        return answers

    with ThreadPoolExecutor(WRITERS) as writers:
        answers: Counter[int] = sum(writers.map(write, range(WRITERS)), Counter())
    assert {status for status in answers if status >= 500} == set(), answers
    wait_for("all have ended", lambda: not {"queued", "running", "paused"} & set(stage.account().casts), seconds=2 * LONG)
    assert stage.account().casts.total() == answers[201]
    assert Generation.objects.filter(attempt__gt=1).count() == 0
    stage.check()
    stage.stop(worker, web)
