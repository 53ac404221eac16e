"""The migration by which notifications go out, on tables with rows in them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from casts.models import Cast, Notification

from .factories import NOON, CastFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def casts() -> list[Cast]:
    return CastFactory.create_batch(3, status="succeeded")


@pytest.fixture
def old_tables(casts: list[Cast]) -> Iterator[None]:
    """Undo the migration while the test runs. The casts were there before it."""
    call_command("migrate", "casts", "0005", verbosity=0)
    yield
    call_command("migrate", "casts", verbosity=0)


def test_notifications_that_are_there_get_their_recipients(casts: list[Cast], old_tables: None):
    old = MigrationExecutor(connection).loader.project_state([("casts", "0005_gates")]).apps.get_model("casts", "Notification")
    for number, cast in enumerate(casts):
        target = str(cast.initiator_id)
        is_due = number == 2
        old.objects.create(
            cast_id=cast.pk,
            round=number,
            kind="cast.succeeded",
            channel="inbox",
            target=target,
            created_at=NOON,
            due_at=NOON + timedelta(hours=1) if is_due else None,
            delivered_at=None if is_due else NOON,
        )
    call_command("migrate", "casts", verbosity=0)
    rows = list(Notification.objects.order_by("round"))
    assert [(row.cast, row.recipient, row.round) for row in rows] == [(cast, cast.initiator, place) for place, cast in enumerate(casts)]
    assert {(row.status, row.delivered_at, row.read_at, row.said) for row in rows} == {("delivered", NOON, None, "")}
    connection.check_constraints()
