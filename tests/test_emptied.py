import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, connection, transaction
from django_q.models import Schedule

from casts.schedules import sync_schedules
from spells.models import Spell, SpellVersion
from tests.emptied import MANY_BYTES, Database
from tests.factories import published

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_was_committed_is_gone_and_what_a_migration_made_stays():
    stays = [list(model.objects.order_by("pk").values()) for model in (ContentType, Permission, Schedule)]
    assert all(stays)
    database = Database()
    published()
    assert database.empty()
    assert not SpellVersion.objects.exists()
    assert not Spell.objects.exists()
    assert not User.objects.exists()
    assert [list(model.objects.order_by("pk").values()) for model in (ContentType, Permission, Schedule)] == stays


def test_triggers_and_foreign_keys_hold_when_it_is_empty():
    database = Database()
    published()
    assert database.empty()
    version = published()
    with pytest.raises(IntegrityError), transaction.atomic():
        version.delete()
    with pytest.raises(IntegrityError):
        Spell.objects.filter(pk=version.spell_id).update(owner_id=4711)


def test_rows_of_the_migrated_database_that_have_changed_are_left_to_django():
    database = Database()
    published()
    Schedule.objects.all().delete()
    assert not database.empty()
    assert Spell.objects.exists()
    sync_schedules()
    assert not database.empty(), "they have other keys"
    database.remember()
    assert Schedule.objects.exists()


@pytest.mark.postgresql
def test_room_that_was_taken_and_rolled_back_is_given_back():
    def size() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_relation_size('spells_spell')")
            return int(cursor.fetchone()[0])

    spell = published().spell
    columns = ", ".join(f'"{field.column}"' for field in Spell._meta.concrete_fields if field.column not in {"id", "slug"})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO spells_spell (slug, {columns}) SELECT 's' || n, {columns} FROM spells_spell, generate_series(1, 20000) AS n WHERE id = %s",
            [spell.pk],
        )
        transaction.set_rollback(True)
    assert size() > MANY_BYTES
    Database().give_room_back()
    assert size() < MANY_BYTES
    assert Spell.objects.get() == spell
