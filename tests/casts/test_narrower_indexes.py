"""The migration to narrower indexes, back and forth, on tables with rows in them."""

import pytest
from django.core.management import call_command
from django.db import connection

from casts.models import Cast, Notification

from .factories import CastFactory, NotificationFactory

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = {"cast_list_of_initiator", "casts_cast_initiator_id_c971e47d"}
AFTER = {"cast_of_initiator"}
MESSAGES_BEFORE = {"notification_of_recipient", "casts_notification_subscription_id_dd69f31a"}
MESSAGES_AFTER = {"notification_to_recipient", "notification_of_subscription"}


def indexes(model: type[Cast | Notification]) -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, model._meta.db_table))


def test_the_indexes_change_back_and_forth_and_the_rows_stay():
    casts = {cast.pk for cast in CastFactory.create_batch(3)}
    NotificationFactory.create(channel="webhook")
    try:
        call_command("migrate", "casts", "0017", verbosity=0)
        assert indexes(Cast) & (BEFORE | AFTER) == BEFORE
        assert indexes(Notification) & (MESSAGES_BEFORE | MESSAGES_AFTER) == MESSAGES_BEFORE
    finally:
        call_command("migrate", "casts", verbosity=0)
    assert indexes(Cast) & (BEFORE | AFTER) == AFTER
    assert indexes(Notification) & (MESSAGES_BEFORE | MESSAGES_AFTER) == MESSAGES_AFTER
    assert casts <= set(Cast.objects.values_list("pk", flat=True))
    assert Notification.objects.count() == 1
