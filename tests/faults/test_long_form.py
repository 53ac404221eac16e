"""The long form: thousands of casts while everything is killed and restarted at random. Runs with `--long` alone."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from knox.models import AuthToken
from pytest_django import DjangoDbBlocker

from casts import engine
from casts.clock import database_now
from generations.models import Generation, GenerationStatus
from spells.models import Recovery
from tests.casts import scenes
from tests.databases import database_under_test
from tests.functional.site import own_database
from tests.postgres import PostgresServer
from tests.processes import wait_for
from tests.template import acting_at

from . import report
from .conftest import copy_of
from .havoc import Havoc, MortalFake, patient
from .invariants import OVER
from .stage import Stage

CLIENTS = 8
LEASE_SECONDS = "8"
ENDS = ", ".join(f"'{status}'" for status in OVER)
QUIET_SECONDS = 900.0


@pytest.fixture
def fake_of_its_own(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[MortalFake]:
    fake = MortalFake(tmp_path / "provider", seed=pytestconfig.getoption("--seed"))
    yield fake
    fake.close()


@pytest.fixture
def doomed(
    *, tmp_path: Path, template: str, offered: Path, fake_of_its_own: MortalFake, django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[Stage, PostgresServer | None]]:
    """A Grimoire with a provider of its own, and on PostgreSQL with a server of its own, which writes through to the disk."""
    folder = tmp_path / "stage"
    folder.mkdir()
    with ExitStack() as stack:
        postgres = None
        if database_under_test() == "postgresql":
            postgres = stack.enter_context(PostgresServer(fsync=True))
            url = stack.enter_context(own_database(postgres.url(), name="doomed"))
        else:
            url = f"sqlite:///{folder}/grimoire.sqlite3"
        copy_of(template, url)
        stack.enter_context(django_db_blocker.unblock())
        stack.enter_context(acting_at(url))
        fake = fake_of_its_own
        stage = Stage(folder, database_url=url, offered=offered, fake=fake.serving, log=fake.log)
        stage.environment["GRIMOIRE_LEASE_SECONDS"] = LEASE_SECONDS
        stack.callback(stage.close)
        yield stage, postgres


def publish(stage: Stage) -> dict[str, str]:
    """Publish two spells, one of whose calls cannot be asked for again, and return the headers of somebody who may cast them."""
    number = {"number": {"type": "integer"}}
    painted = {
        "key": "paint",
        "tool": stage.job_tool(retry_lost_jobs=True, max_attempts=10, poll_seconds=2),
        "params": {"input": {"prompt": "{{ steps.ask.text }}", "width": 64, "height": 64}},
    }
    end = {
        "key": "end",
        "tool": stage.step_tool(),
        "params": {"name": "end", "make": "{{ steps.paint.output | string | length | string }}"},
    }
    for slug, recovery in (("safe", Recovery.RESEND), ("unsafe", Recovery.NONE)):
        tool = stage.ask_tool(slug=f"{slug}.ask", recovery=recovery, max_attempts=10)
        scenes.version(
            {"key": "ask", "tool": tool, "params": {"prompt": "Lamp {{ inputs.number | default(0) }}."}},
            painted,
            end,
            inputs=number,
            slug=slug,
        )
    _, key = AuthToken.objects.create(scenes.user())
    return {"Authorization": f"Bearer {key}"}


def ended(stage: Stage) -> int:
    return int(stage.books.ask(f"SELECT count(*) AS number FROM casts_cast WHERE status IN ({ENDS})")[0]["number"])


def resolve_unknown(stage: Stage) -> Counter[str]:
    """Do as an operator does: look up in the provider's log what became of each call of which nobody knows. Returns what was found."""
    bill = {(entry["metadata"] or {}).get("generation") or entry["generation_id"]: Decimal(entry["usd"]) for entry in stage.bill()}
    found: Counter[str] = Counter()
    for id_, error in Generation.objects.filter(status=GenerationStatus.UNKNOWN).values_list("pk", "error"):
        usd = bill.get(str(id_))
        found[f"{error['code']}, {'not billed' if usd is None else 'billed'}"] += 1
        if usd is None:
            engine.resolve(generation_id=id_, now=database_now(), again=True)
        else:
            output = {"text": "As its provider says.", "output": []}
            engine.resolve(generation_id=id_, now=database_now(), output=output, cost_usd=usd)
    return found


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_thousands_of_casts_under_kills_and_restarts_lose_nothing_and_call_nothing_twice(
    doomed: tuple[Stage, PostgresServer | None],
    fake_of_its_own: MortalFake,
    pytestconfig: pytest.Config,
    capsys: pytest.CaptureFixture[str],
):
    (stage, postgres), casts, seed = doomed, pytestconfig.getoption("--casts"), pytestconfig.getoption("--seed")
    headers, began = publish(stage), time.monotonic()
    stage.serve("--conductors", "3", "--workers", "2")
    havoc = Havoc(stage, fake=fake_of_its_own, postgres=postgres, seed=seed)

    def order(number: int) -> UUID:
        spell = "unsafe" if number % 10 == 0 else "safe"
        asked: dict[str, Any] = {
            "json": {"spell": spell, "inputs": {"number": number}},
            "headers": {**headers, "Idempotency-Key": str(number)},
        }
        return UUID(patient(lambda: stage.post("/api/v1/casts/", **asked)).raise_for_status().json()["id"])

    with ThreadPoolExecutor(CLIENTS) as clients:
        orders = [clients.submit(order, number) for number in range(casts)]
        try:
            havoc.rage(until=lambda: ended(stage) >= 0.95 * casts or (all(each.done() for each in orders) and _is_stuck(stage, casts)))
            ids = {each.result() for each in orders}
        finally:
            clients.shutdown(wait=False, cancel_futures=True)  # after a Ctrl-C nobody waits for what was not ordered yet
    connection.close()  # of before the last restart
    unknown: Counter[str] = Counter()

    def over() -> bool:
        unknown.update(resolve_unknown(stage))
        return bool(ended(stage) == casts)

    wait_for("all casts have ended", over, seconds=QUIET_SECONDS)
    account = stage.check(seconds=QUIET_SECONDS)
    there = {UUID(str(row["id"])) for row in stage.books.ask("SELECT id FROM casts_cast")}
    figures = report.Figures(
        database=database_under_test(),
        seed=seed,
        casts=casts,
        ends=account.casts,
        blows=havoc.blows,
        lost=len(ids - there),
        twice=account.twice,
        unknown=unknown,
        orphaned=account.orphaned,
        billed_calls=account.billed_calls,
        seconds=time.monotonic() - began,
    )
    with capsys.disabled():
        print(f"\n{figures.told()}")  # noqa: T201 - what the long form is for
    if path := pytestconfig.getoption("--report"):
        report.write(figures, pytestconfig.rootpath / path)
    assert ids == there
    assert (figures.lost, figures.twice) == (0, 0)


def _is_stuck(stage: Stage, casts: int) -> bool:
    """Tell whether all that has not ended waits for an operator."""
    waiting = stage.books.ask("SELECT count(DISTINCT cast_id) AS number FROM generations_generation WHERE status = 'unknown'")[0]["number"]
    return ended(stage) + int(waiting) >= casts
