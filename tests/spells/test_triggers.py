"""A published version stays as it was published, whoever writes and however."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from django.db.migrations.state import ProjectState
from django.utils import timezone

from spells import triggers
from spells.models import SpellVersion, Step, StepDependency
from tests.factories import SpellFactory, SpellVersionFactory, StepFactory, ToolFactory, published

pytestmark = pytest.mark.django_db

STEPS = [{"key": "a", "tool": "t.a"}, {"key": "b", "tool": "t.b", "when": "{{ steps.a }}"}, {"key": "c", "tool": "t.c"}]


@pytest.fixture
def version(db: None) -> SpellVersion:
    return published(steps=STEPS, slug="lasting")


def refused(write: Callable[[], object]) -> str:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        write()
    return str(caught.value)


def sql(statement: str, *params: Any) -> Callable[[], object]:
    def write() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, params)

    return write


COLUMNS = [field.column for field in SpellVersion._meta.concrete_fields]
OTHER_VALUES = {"id": 999, "number": 7, "input_schema": '{"x": 1}', "outputs": '{"x": 1}', "created_at": "2020-01-01", "published_at": None}


@pytest.mark.parametrize("column", COLUMNS)
def test_no_column_of_a_published_version_changes(version: SpellVersion, column: str) -> None:
    value = SpellFactory.create().pk if column == "spell_id" else OTHER_VALUES[column]
    message = refused(sql(f'UPDATE spells_spellversion SET "{column}" = %s WHERE id = %s', value, version.pk))
    assert "published" in message
    before = SpellVersion.objects.values().get(pk=version.pk)
    assert before["published_at"] == version.published_at


def test_the_message_names_the_version_where_the_database_can(version: SpellVersion) -> None:
    message = refused(version.steps.all().delete)
    assert "published version" in message or "version 1 of lasting is published" in message
    if connection.vendor == "postgresql" or triggers._RAISE_TAKES_EXPRESSIONS:
        assert "version 1 of lasting is published" in message


def test_a_published_version_is_not_deleted(version: SpellVersion) -> None:
    refused(version.delete)
    refused(version.spell.versions.all().delete)
    refused(sql("DELETE FROM spells_spellversion WHERE id = %s", version.pk))
    assert SpellVersion.objects.filter(pk=version.pk).exists()


def test_saving_a_published_version_as_it_is_changes_nothing(version: SpellVersion) -> None:
    SpellVersion.objects.get(pk=version.pk).save()
    assert SpellVersion.objects.get(pk=version.pk).published_at == version.published_at


def test_steps_of_a_published_version_are_not_changed(version: SpellVersion) -> None:
    step = version.steps.get(key="a")
    refused(lambda: StepFactory(version=version, key="late", position=9))
    refused(lambda: version.steps.filter(key="a").update(params={"x": 1}))
    refused(lambda: version.steps.update(position=models.F("position") + 10))
    refused(step.delete)
    refused(sql("UPDATE spells_step SET key = 'z' WHERE id = %s", step.pk))
    refused(sql("DELETE FROM spells_step WHERE version_id = %s", version.pk))
    assert list(version.steps.order_by("position").values_list("key", flat=True)) == ["a", "b", "c"]


def test_steps_do_not_move_between_versions(version: SpellVersion) -> None:
    elsewhere = StepFactory.create(key="elsewhere")
    refused(lambda: version.steps.filter(key="c").update(version=elsewhere.version))
    refused(lambda: Step.objects.filter(pk=elsewhere.pk).update(version=version))


def test_edges_of_a_published_version_are_not_changed(version: SpellVersion) -> None:
    a, b, c = version.steps.order_by("position")
    refused(lambda: StepDependency.objects.create(version=version, step=c, depends_on=a))
    refused(lambda: version.dependencies.update(step=c))
    refused(version.dependencies.all().delete)
    refused(sql("INSERT INTO spells_stepdependency (version_id, step_id, depends_on_id) VALUES (%s, %s, %s)", version.pk, c.pk, b.pk))
    refused(sql("DELETE FROM spells_stepdependency WHERE version_id = %s", version.pk))
    assert list(version.dependencies.values_list("step__key", "depends_on__key")) == [("b", "a")]


def test_a_draft_can_be_changed_and_deleted() -> None:
    step = StepFactory.create()
    other = StepFactory.create(version=step.version)
    StepDependency.objects.create(version=step.version, step=step, depends_on=other)
    Step.objects.filter(pk=step.pk).update(params={"x": 1})
    SpellVersion.objects.filter(pk=step.version_id).update(outputs={"x": 1}, number=5)
    step.version.delete()
    assert not Step.objects.exists()
    assert not StepDependency.objects.exists()


def test_a_draft_beside_a_published_version_can_be_changed(version: SpellVersion) -> None:
    draft = SpellVersionFactory.create(spell=version.spell, number=2)
    StepFactory(version=draft, tool=ToolFactory())
    draft.delete()
    assert list(version.spell.versions.all()) == [version]


def installed() -> set[str]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'spells%'")
        else:
            cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'spells%'")
        return {name for (name,) in cursor.fetchall()}


def test_installing_again_changes_nothing(version: SpellVersion) -> None:
    before = installed()
    assert before
    triggers.install(using="default")
    triggers.install(using="default")
    assert installed() == before
    refused(version.delete)


@pytest.mark.django_db(transaction=True)
def test_triggers_survive_a_migrate_and_a_flush() -> None:
    before = installed()
    call_command("migrate", verbosity=0)
    assert installed() == before
    version = published(steps=STEPS)
    refused(version.delete)
    call_command("flush", interactive=False, verbosity=0)
    assert not SpellVersion.objects.exists()
    assert installed() == before
    refused(published(steps=STEPS).delete)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite rebuilds tables")
def test_tables_can_be_rebuilt_between_the_signals_of_a_migrate() -> None:
    version = published(steps=STEPS)
    before = installed()
    triggers.lift(using="default")
    assert installed() == set()
    for model in (SpellVersion, Step, StepDependency):
        rebuild(model)
    triggers.install(using="default")
    assert installed() == before
    refused(version.delete)
    refused(version.steps.all().delete)
    assert list(version.dependencies.values_list("step__key", "depends_on__key")) == [("b", "a")]


def rebuild(model: type[models.Model]) -> None:
    """Have Django rebuild a table as a migration does: by a copy of it that is dropped and renamed."""
    state = ProjectState.from_apps(apps)
    field = models.TextField(default="")
    field.set_attributes_from_name("passing")
    copy = state.apps.get_model("spells", model.__name__)
    with connection.schema_editor() as editor:
        editor._remake_table(copy, create_field=field)  # type: ignore[attr-defined]  # SQLite's
    with connection.schema_editor() as editor:
        editor._remake_table(copy)  # type: ignore[attr-defined]  # SQLite's


def test_a_database_without_our_tables_gets_no_triggers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.introspection, "table_names", lambda: ["spells_spellversion"])
    triggers.lift(using="default")
    before = installed()
    triggers.install(using="default")
    assert installed() == before


def test_a_version_is_published_by_an_update_that_changes_its_mark_alone() -> None:
    step = StepFactory.create()
    assert SpellVersion.objects.drafts().filter(pk=step.version_id).update(published_at=timezone.now()) == 1
    assert "published" in refused(step.delete)
