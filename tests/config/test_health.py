from collections.abc import Iterator

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from config import health
from tests.casts.factories import WakeupFactory


@pytest.fixture(autouse=True)
def ask_again() -> Iterator[None]:
    """Forget that migrations were once seen to be applied."""
    health.require_migrations.cache_clear()
    yield
    health.require_migrations.cache_clear()


def test_a_process_is_healthy_without_its_database(client: Client):
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response.headers["Cache-Control"]


def test_a_process_is_ready_when_its_database_is_up_to_date(client: Client, db: None):
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "database": "ok", "migrations": "ok", "casts": "ok"})


def test_a_process_is_not_ready_before_all_migrations_are_applied(client: Client, db: None):
    [last] = MigrationLoader(connection).graph.leaf_nodes("casts")
    MigrationRecorder(connection).record_unapplied(*last)
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "unavailable", "database": "ok", "migrations": "missing"})
    MigrationRecorder(connection).record_applied(*last)
    assert client.get("/readyz").status_code == 200


def test_a_ready_process_does_not_read_its_migrations_again(client: Client, db: None, django_assert_num_queries):
    client.get("/readyz")
    with django_assert_num_queries(2):  # the clock, and the oldest due wakeup
        assert client.get("/readyz").status_code == 200


def test_a_process_is_not_ready_while_its_database_cannot_be_reached(client: Client, db: None, caplog: pytest.LogCaptureFixture):
    def refuse(*arguments: object) -> None:
        raise OperationalError("could not connect to server at 10.0.0.7")

    with connection.execute_wrapper(refuse):
        response = client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "unavailable", "database": "unreachable"})
    assert "10.0.0.7" not in response.text
    assert "readiness.database_unreachable" in caplog.text


def test_a_process_is_not_ready_when_its_connection_broke(client: Client, db: None):
    def refuse(*arguments: object) -> None:
        raise InterfaceError("connection already closed")

    with connection.execute_wrapper(refuse):
        assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_health_is_only_read(client: Client, address: str):
    assert client.post(address).status_code == 405


def test_health_answers_without_tls(client: Client, db: None, settings):
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_a_process_is_not_ready_while_nobody_conducts(client: Client, clock, settings):
    settings.GRIMOIRE_MAX_WAKEUP_LAG_SECONDS = 60
    WakeupFactory.create(due_at=clock.now())
    assert client.get("/readyz").status_code == 200
    clock.advance(seconds=61)
    response = client.get("/readyz")
    assert (response.status_code, response.json()["casts"]) == (503, "waiting")
