"""Migrations back and forth, on tables with rows in them: those to narrower indexes and rows, and that by which notifications go out.

Django makes the models anew at each step of a migration, which takes seconds. So they are undone once, for all that is looked at.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.migration import Migration
from django.db.migrations.state import ProjectState
from django.db.models import Model
from django.utils import translation
from pytest_django import DjangoDbBlocker

from casts.models import Cast, CastEvent, Notification
from generations.models import Generation
from spells import triggers
from tests.template import acting_at, copied

from .factories import NOON, CastEventFactory, CastFactory, GenerationFactory, NotificationFactory

pytestmark = pytest.mark.each_database

Place = tuple[str, str]

# From which migration to which, and what each table has before and after it alone. The numbers are Django's own, on both databases.
STAGES: list[tuple[Place, Place, dict[type[Model], tuple[set[str], set[str]]]]] = [
    (
        ("casts", "0017_told_cooks_and_reviewers"),
        ("casts", "0019_fewer_indexes"),
        {
            Cast: ({"cast_list_of_initiator", "casts_cast_initiator_id_c971e47d"}, {"cast_of_initiator"}),
            Notification: (
                {"notification_of_recipient", "casts_notification_subscription_id_dd69f31a"},
                {"notification_to_recipient", "notification_of_subscription"},
            ),
        },
    ),
    (
        ("casts", "0019_fewer_indexes"),
        ("casts", "0021_without_their_wider_indexes"),
        {
            Cast: ({"cast_ended"}, {"cast_by_end"}),
            CastEvent: ({"casts_castevent_actor_id_b6e2bf31"}, {"castevent_of_actor"}),
            Notification: (
                {"notification_is_sent_once_per_round", "casts_notification_cast_id_1d034acc"},
                {"notification_is_sent_once_per_round_and_generation", "notification_message_id_is_unique"},
            ),
        },
    ),
    (
        ("generations", "0010_generations_of_a_cast_by_one_index"),
        ("generations", "0013_one_index_of_successes"),
        {Generation: ({"generation_one_succeeded_per_step_item"}, {"generation_one_success_per_step_item"})},
    ),
]


def indexes(model: type[Model]) -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, model._meta.db_table))


class Indexes:
    """Looks, at the first and the last migration of each stage, whether the tables have the indexes of then."""

    def __init__(self) -> None:
        self.looked_at: list[Place] = []

    def check(self, place: Place) -> None:
        for first, last, tables in STAGES:
            if place not in (first, last):
                continue
            self.looked_at.append(place)
            for model, (before, after) in tables.items():
                assert indexes(model) & (before | after) == (after if place == last else before), (place, model)


def asked(query: str) -> list[object]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [value for (value,) in cursor.fetchall()]


def walk(*targets: Place, at: Callable[[Place], None]) -> ProjectState:
    """Migrate as `migrate` does, to the last migrations if none is told, and stop at each place for a look: also on the way back."""
    executor = MigrationExecutor(connection)
    graph = executor.loader.graph

    def look(action: str, migration: Migration | None = None, _: bool = False) -> None:
        if action not in ("apply_success", "unapply_success"):
            return
        place = (migration.app_label, migration.name)
        if action == "unapply_success":
            (place,) = [parent.key for parent in graph.node_map[place].parents if parent.key[0] == migration.app_label]
        at(place)

    executor.progress_callback = look
    triggers.lift(using="default")
    with translation.override(None):
        state = executor.migrate(list(targets or graph.leaf_nodes()))
    triggers.install(using="default")
    return state


@contextmanager
def inside_a_copy(url: str, *, folder: Path) -> Iterator[str]:
    folder.mkdir()
    connection.close()  # PostgreSQL copies no database to which somebody is connected
    with copied(url, folder=folder) as copy, acting_at(copy):
        yield copy


@pytest.mark.lasting
def test_migrations_back_and_forth_on_tables_with_rows_in_them(template: str, tmp_path: Path, django_db_blocker: DjangoDbBlocker):
    with django_db_blocker.unblock(), inside_a_copy(template, folder=tmp_path / "back") as url:
        casts = CastFactory.create_batch(3, status="succeeded")
        sent = NotificationFactory.create(channel="webhook")
        without_data = CastEventFactory.create(data=None), NotificationFactory.create(data=None)
        attempts = GenerationFactory.create(), GenerationFactory.create(owed_key=UUID(int=7))
        all_casts = set(Cast.objects.values_list("pk", flat=True))

        go_back_to_wider_indexes(*attempts)
        with inside_a_copy(url, folder=tmp_path / "forth"):
            go_forth_to_narrower_indexes()
            assert set(Cast.objects.values_list("pk", flat=True)) == all_casts
            assert set(Notification.objects.values_list("pk", flat=True)) == {sent.pk, without_data[1].pk}
            check_rows_are_as_narrow_as_before(*without_data, *attempts)

        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM casts_notification")  # those by webhook cannot be, before it
        check_notifications_that_are_there_get_their_recipients(casts)


def go_back_to_wider_indexes(new: Generation, again: Generation) -> None:
    places = Indexes()

    def look(place: Place) -> None:
        places.check(place)
        if place == ("casts", "0019_fewer_indexes"):
            for table in ("casts_castevent", "casts_notification"):
                assert asked(f"SELECT count(*) FROM {table} WHERE data IS NULL") == [0]

    walk(*(first for first, _, _ in STAGES if first != ("casts", "0019_fewer_indexes")), at=look)
    # 0019 twice: the end of one stage and the beginning of the next
    assert sorted(places.looked_at) == sorted([*(first for first, _, _ in STAGES), ("casts", "0019_fewer_indexes")])
    kept = asked("SELECT idempotency_key FROM generations_generation ORDER BY id")
    assert [UUID(str(key)) for key in kept] == [new.pk, UUID(int=7)]
    assert again.pk > new.pk


def go_forth_to_narrower_indexes() -> None:
    places = Indexes()
    walk(at=places.check)
    assert sorted(places.looked_at) == sorted([*(last for _, last, _ in STAGES), ("casts", "0019_fewer_indexes")])


def check_rows_are_as_narrow_as_before(event: CastEvent, notification: Notification, new: Generation, again: Generation) -> None:
    event.refresh_from_db()
    notification.refresh_from_db()
    assert (event.told, notification.told["status"]) == ({}, "succeeded")
    keys = [(each.pk, each.owed_key, each.idempotency_key) for each in Generation.objects.order_by("pk")]
    assert keys == [(new.pk, new.pk, new.pk), (again.pk, UUID(int=7), UUID(int=7))]


def check_notifications_that_are_there_get_their_recipients(casts: list[Cast]) -> None:
    old = walk(("casts", "0005_gates"), at=lambda _: None).apps.get_model("casts", "Notification").objects
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
    new = walk(("casts", "0006_notifications"), at=lambda _: None).apps.get_model("casts", "Notification").objects
    rows = new.order_by("round")
    told = [(row.cast_id, row.recipient_id, row.round) for row in rows]
    assert told == [(cast.pk, cast.initiator_id, place) for place, cast in enumerate(casts)]
    assert {(row.delivered_at, row.due_at, row.read_at, row.said) for row in rows} == {(NOON, None, None, "")}
    connection.check_constraints()
