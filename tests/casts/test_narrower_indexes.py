"""The migrations to narrower indexes and rows, back and forth, on tables with rows in them."""

from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import Model

from casts.models import Cast, CastEvent, Notification
from generations.models import Generation

from .factories import CastEventFactory, CastFactory, GenerationFactory, NotificationFactory

pytestmark = pytest.mark.django_db(transaction=True)

# From which migration to which, and what each table has before and after it alone. The numbers are Django's own, on both databases.
STAGES = [
    (
        ("casts", "0017", "0019"),
        {
            Cast: ({"cast_list_of_initiator", "casts_cast_initiator_id_c971e47d"}, {"cast_of_initiator"}),
            Notification: (
                {"notification_of_recipient", "casts_notification_subscription_id_dd69f31a"},
                {"notification_to_recipient", "notification_of_subscription"},
            ),
        },
    ),
    (
        ("casts", "0019", "0021"),
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
        ("generations", "0010", "0013"),
        {Generation: ({"generation_one_succeeded_per_step_item"}, {"generation_one_success_per_step_item"})},
    ),
]


def indexes(model: type[Model]) -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, model._meta.db_table))


def check(tables: dict[type[Model], tuple[set[str], set[str]]], *, is_after: bool) -> None:
    for model, (before, after) in tables.items():
        assert indexes(model) & (before | after) == (after if is_after else before), model


@pytest.mark.parametrize(("stage", "tables"), STAGES, ids=[f"{app}-{last}" for (app, _, last), _ in STAGES])
def test_the_indexes_change_back_and_forth_and_the_rows_stay(
    stage: tuple[str, str, str], tables: dict[type[Model], tuple[set[str], set[str]]]
):
    app, first, last = stage
    casts = {cast.pk for cast in CastFactory.create_batch(3)}
    NotificationFactory.create(channel="webhook")
    try:
        call_command("migrate", app, first, verbosity=0)
        check(tables, is_after=False)
        call_command("migrate", app, last, verbosity=0)
        check(tables, is_after=True)
    finally:
        call_command("migrate", verbosity=0)
    check(tables, is_after=True)
    assert casts <= set(Cast.objects.values_list("pk", flat=True))
    assert Notification.objects.count() == 1


def asked(query: str) -> list[object]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [value for (value,) in cursor.fetchall()]


def test_attempts_keep_the_keys_that_they_had_and_have_one_again_on_the_way_back():
    new, again = GenerationFactory.create(), GenerationFactory.create(owed_key=UUID(int=7))
    try:
        call_command("migrate", "generations", "0010", verbosity=0)
        kept = asked("SELECT idempotency_key FROM generations_generation ORDER BY id")
        assert [UUID(str(key)) for key in kept] == [new.pk, UUID(int=7)]
    finally:
        call_command("migrate", "generations", verbosity=0)
    assert [(each.owed_key, each.idempotency_key) for each in Generation.objects.order_by("pk")] == [(new.pk, new.pk), (UUID(int=7),) * 2]
    assert again.pk > new.pk


def test_what_is_without_data_has_an_object_again_on_the_way_back():
    CastEventFactory.create(data=None)
    NotificationFactory.create(data=None)
    try:
        call_command("migrate", "casts", "0019", verbosity=0)
        for table in ("casts_castevent", "casts_notification"):
            assert asked(f"SELECT count(*) FROM {table} WHERE data IS NULL") == [0]
    finally:
        call_command("migrate", "casts", verbosity=0)
    assert (CastEvent.objects.get().told, Notification.objects.get().told["status"]) == ({}, "succeeded")
