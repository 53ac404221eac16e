"""The migration by which notifications go out, on tables with rows in them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from pytest_django import DjangoDbBlocker

from casts.models import Cast
from tests.template import acting_at, copied

from .factories import NOON, CastFactory

pytestmark = pytest.mark.each_database


@pytest.fixture
def casts(template: str, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[list[Cast]]:
    """Casts that were there before the migration, in a database of their own in which it is undone."""
    with copied(template, folder=tmp_path) as url, django_db_blocker.unblock(), acting_at(url):
        made = CastFactory.create_batch(3, status="succeeded")
        call_command("migrate", "casts", "0005", verbosity=0)
        yield made


def notifications(migration: str) -> Any:
    """Return the notifications as they were at a migration."""
    return MigrationExecutor(connection).loader.project_state([("casts", migration)]).apps.get_model("casts", "Notification").objects


def test_notifications_that_are_there_get_their_recipients(casts: list[Cast]):
    old = notifications("0005_gates")
    for number, cast in enumerate(casts):
        is_due = number == 2
        old.create(
            cast_id=cast.pk,
            round=number,
            kind="cast.succeeded",
            channel="inbox",
            target=str(cast.initiator_id),
            created_at=NOON,
            due_at=NOON + timedelta(hours=1) if is_due else None,
            delivered_at=None if is_due else NOON,
        )
    call_command("migrate", "casts", "0006", verbosity=0)
    rows = notifications("0006_notifications").order_by("round")
    told = [(row.cast_id, row.recipient_id, row.round) for row in rows]
    assert told == [(cast.pk, cast.initiator_id, place) for place, cast in enumerate(casts)]
    assert {(row.delivered_at, row.due_at, row.read_at, row.said) for row in rows} == {(NOON, None, None, "")}
    connection.check_constraints()
