"""What the database really has after all migrations, read from its own catalogue."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.models import BaseConstraint, CheckConstraint, Index, Model, UniqueConstraint
from django.db.models import ForeignKey as ForeignKeyField

from spells import triggers
from spells.constraints import CompositeForeignKey

APPS = ("spells", "generations", "casts")


@dataclass(frozen=True, slots=True)
class ForeignKey:
    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartialIndex:
    """`words` are the literals and the columns of its condition, and `columns` the words of its expressions, where it has such."""

    table: str
    columns: tuple[str, ...]
    unique: bool
    words: frozenset[str]


COMPOSITE_FOREIGN_KEYS = {
    "stepdependency_step_belongs_to_its_version": ForeignKey(
        "spells_stepdependency", ("step_id", "version_id"), "spells_step", ("id", "version_id")
    ),
    "stepdependency_depends_on_a_step_of_its_version": ForeignKey(
        "spells_stepdependency", ("depends_on_id", "version_id"), "spells_step", ("id", "version_id")
    ),
    "fanout_cast_pins_its_version": ForeignKey("casts_fanout", ("cast_id", "version_id"), "casts_cast", ("id", "version_id")),
    "fanout_step_belongs_to_its_version": ForeignKey("casts_fanout", ("step_id", "version_id"), "spells_step", ("id", "version_id")),
    "generation_cast_pins_its_version": ForeignKey("generations_generation", ("cast_id", "version_id"), "casts_cast", ("id", "version_id")),
    "generation_tool_is_its_steps": ForeignKey("generations_generation", ("step_id", "tool_id"), "spells_step", ("id", "tool_id")),
    "generation_step_belongs_to_its_version": ForeignKey(
        "generations_generation", ("step_id", "version_id"), "spells_step", ("id", "version_id")
    ),
    "cook_is_of_its_collections_version": ForeignKey(
        "casts_cook", ("collection_id", "version_id"), "casts_collection", ("id", "version_id")
    ),
    "cook_is_of_its_collections_owner": ForeignKey("casts_cook", ("collection_id", "initiator_id"), "casts_collection", ("id", "owner_id")),
    "pieceattempt_is_of_its_pieces_cook": ForeignKey("casts_pieceattempt", ("piece_id", "cook_id"), "casts_piece", ("id", "cook_id")),
    "pieceattempt_is_of_its_cooks_version": ForeignKey("casts_pieceattempt", ("cook_id", "version_id"), "casts_cook", ("id", "version_id")),
    "pieceattempt_is_of_its_casts_version": ForeignKey("casts_pieceattempt", ("cast_id", "version_id"), "casts_cast", ("id", "version_id")),
}

PARTIAL_INDEXES = {
    "alert_one_open_per_kind_and_subject": PartialIndex("casts_alert", ("kind", "subject"), unique=True, words=frozenset({"IS NULL"})),
    "alertmail_due": PartialIndex("casts_alertmail", ("due_at",), unique=False, words=frozenset({"due_at", "IS NOT NULL"})),
    "collection_idempotency_key_is_unique_per_owner": PartialIndex(
        "casts_collection", ("owner_id", "idempotency_key"), unique=True, words=frozenset({"idempotency_key", "IS NOT NULL"})
    ),
    "cook_due": PartialIndex("casts_cook", ("due_at",), unique=False, words=frozenset({"due_at", "IS NOT NULL"})),
    "cook_idempotency_key_is_unique_per_initiator": PartialIndex(
        "casts_cook", ("initiator_id", "idempotency_key"), unique=True, words=frozenset({"idempotency_key", "IS NOT NULL"})
    ),
    "export_idempotency_key_is_unique_per_requester": PartialIndex(
        "casts_export", ("requested_by_id", "idempotency_key"), unique=True, words=frozenset({"idempotency_key", "IS NOT NULL"})
    ),
    "export_due": PartialIndex("casts_export", ("due_at",), unique=False, words=frozenset({"due_at", "IS NOT NULL"})),
    "export_one_published_per_cook": PartialIndex(
        "casts_export", ("cook_id",), unique=True, words=frozenset({"published_at", "IS NOT NULL"})
    ),
    "piece_settled": PartialIndex("casts_piece", ("cook_id", "settled_at"), unique=False, words=frozenset({"IS NOT NULL"})),
    "piece_traits_are_unique_per_cook": PartialIndex("casts_piece", ("cook_id", "trait_hash"), unique=True, words=frozenset({""})),
    "pieceattempt_live": PartialIndex("casts_pieceattempt", ("cook_id",), unique=False, words=frozenset({"status", "live"})),
    "pieceattempt_one_standing_per_piece": PartialIndex(
        "casts_pieceattempt", ("piece_id",), unique=True, words=frozenset({"status", "live", "made"})
    ),
    "castevent_of_actor": PartialIndex("casts_castevent", ("actor_id",), unique=False, words=frozenset({"IS NOT NULL"})),
    "castevent_reaped": PartialIndex("casts_castevent", ("at",), unique=False, words=frozenset({"reaped"})),
    "gate_to_ring": PartialIndex("casts_gate", ("ring_at",), unique=False, words=frozenset({"ring_at", "IS NOT NULL"})),
    "waiter_rung": PartialIndex("casts_waiter", ("gate_id", "rung_at"), unique=False, words=frozenset({"rung_at", "IS NOT NULL"})),
    "generation_in_flight": PartialIndex(
        "generations_generation", ("tool_id",), unique=False, words=frozenset({"status", "running", "submitted"})
    ),
    "generation_by_job": PartialIndex("generations_generation", ("job_id",), unique=False, words=frozenset({""})),
    "generation_costs_of_tool": PartialIndex(
        "generations_generation", ("tool_id", "id"), unique=False, words=frozenset({"status", "succeeded", "cost_usd"})
    ),
    "spellversion_one_draft_per_spell": PartialIndex(
        "spells_spellversion", ("spell_id",), unique=True, words=frozenset({"published_at", "IS NULL"})
    ),
    "cast_by_end": PartialIndex("casts_cast", ("finished_at",), unique=False, words=frozenset({"IS NOT NULL"})),
    "cast_live": PartialIndex("casts_cast", ("status",), unique=False, words=frozenset({"status", "queued", "running", "paused"})),
    "cast_idempotency_key_is_unique_per_initiator": PartialIndex(
        "casts_cast", ("initiator_id", "idempotency_key"), unique=True, words=frozenset({"idempotency_key", "IS NOT NULL"})
    ),
    "cancellation_due": PartialIndex("generations_cancellation", ("due_at",), unique=False, words=frozenset({"due_at", "IS NOT NULL"})),
    "callback_due": PartialIndex("generations_callback", ("due_at",), unique=False, words=frozenset({"due_at", "IS NOT NULL"})),
    "notification_due": PartialIndex("casts_notification", ("due_at",), unique=False, words=frozenset({"due_at", "IS NOT NULL"})),
    "notification_of_subscription": PartialIndex(
        "casts_notification", ("subscription_id",), unique=False, words=frozenset({"IS NOT NULL"})
    ),
    "notification_unread": PartialIndex(
        "casts_notification", ("recipient_id",), unique=False, words=frozenset({"channel", "inbox", "read_at", "IS NULL"})
    ),
    "notification_message_id_is_unique": PartialIndex("casts_notification", ("message_id",), unique=True, words=frozenset({"IS NOT NULL"})),
    "notification_of_a_generation_is_sent_once": PartialIndex(
        "casts_notification",
        ("generation_id", "kind", "channel", "target"),
        unique=True,
        words=frozenset({"generation_id", "IS NOT NULL"}),
    ),
    "subscription_to_email_is_one_per_owner": PartialIndex(
        "casts_subscription", ("owner_id",), unique=True, words=frozenset({"channel", "email"})
    ),
    "generation_one_live_per_step_item": PartialIndex(
        "generations_generation",
        ("cast_id", "step_id", "item"),
        unique=True,
        words=frozenset({"status", "pending", "running", "submitted", "unknown"}),
    ),
    "generation_one_success_per_step_item": PartialIndex(
        "generations_generation", ("cast_id", "step_id", "2147483648", "item"), unique=True, words=frozenset({"status", "succeeded"})
    ),
    "wakeup_suspects": PartialIndex("casts_wakeup", ("due_at",), unique=False, words=frozenset({"IS NOT NULL"})),
}

# Those of all rows: the words of what they are of.
INDEXES_OF_EXPRESSIONS = {
    "notification_is_sent_once_per_round_and_generation": ("cast_id", "round", "kind", "channel", "target", "coalesce", "generation_id"),
}


def models() -> Iterator[type[Model]]:
    for app in APPS:
        yield from apps.get_app_config(app).get_models()


def declared(kind: type[BaseConstraint] | type[Index]) -> dict[str, tuple[type[Model], Any]]:
    """Return the constraints or indexes of one kind that the models declare, by name."""
    return {
        each.name: (model, each)
        for model in models()
        for each in [*model._meta.constraints, *model._meta.indexes]
        if isinstance(each, kind)
    }


def rows(sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or [])
        return list(cursor.fetchall())


def sqlite_table(name: str) -> str:
    [(text,)] = rows("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = %s", [name])
    return str(text)


def sqlite_foreign_keys() -> dict[str, ForeignKey]:
    """Return the named foreign keys. SQLite's catalogue knows no names: they stand in the text of the table."""
    found: dict[str, ForeignKey] = {}
    for model in models():
        table = model._meta.db_table
        parts: dict[int, list[tuple[str, str, str]]] = {}
        for number, _, target, here, there, *_ in rows(f"PRAGMA foreign_key_list('{table}')"):
            parts.setdefault(number, []).append((target, here, there))
        known = {
            ForeignKey(table, tuple(here for _, here, _ in columns), columns[0][0], tuple(there for *_, there in columns))
            for columns in parts.values()
        }
        pattern = r'CONSTRAINT "(\w+)" FOREIGN KEY \(([^)]*)\) REFERENCES "(\w+)" \(([^)]*)\) DEFERRABLE INITIALLY DEFERRED'
        for name, here, target, there in re.findall(pattern, sqlite_table(table)):
            key = ForeignKey(table, tuple(re.findall(r"\w+", here)), target, tuple(re.findall(r"\w+", there)))
            if key in known:
                found[name] = key
    return found


def postgresql_foreign_keys() -> dict[str, ForeignKey]:
    columns = "(SELECT array_agg(attname::text ORDER BY n) FROM unnest({keys}) WITH ORDINALITY AS k(num, n) JOIN pg_attribute ON attrelid = {table} AND attnum = num)"
    found = rows(
        f"""
        SELECT conname, conrelid::regclass::text, {columns.format(keys="conkey", table="conrelid")},
               confrelid::regclass::text, {columns.format(keys="confkey", table="confrelid")}
        FROM pg_constraint WHERE contype = 'f' AND condeferrable AND condeferred AND convalidated
        """
    )
    return {name: ForeignKey(table, tuple(here), target, tuple(there)) for name, table, here, target, there in found}


def foreign_keys() -> dict[str, ForeignKey]:
    return sqlite_foreign_keys() if connection.vendor == "sqlite" else postgresql_foreign_keys()


COLUMNS = {"status", "published_at", "idempotency_key", "ring_at", "rung_at", "due_at", "cost_usd", "channel", "read_at", "generation_id"}


def words_of(condition: str) -> frozenset[str]:
    columns = {name for name in re.findall(r"\b[a-z_]+\b", re.sub(r"'[^']*'", "", condition)) if name in COLUMNS}
    quoted = {word for word in re.findall(r"'([^']*)'", condition) if not word.isdigit()}  # SQLite quotes decimals
    return frozenset({*columns, *quoted, *re.findall(r"IS NOT NULL|IS NULL", condition)})


def columns_of(definition: str) -> tuple[str, ...]:
    """Return the columns of an index, or the words of its expressions, in which the databases name types differently."""
    types = {"bigint", "character", "varying", "text", "cast", "as"}
    return tuple(word for word in re.findall(r"\w+", definition.partition("(")[2].lower()) if word not in types)


def partial_indexes() -> dict[str, PartialIndex]:
    if connection.vendor == "sqlite":
        texts = rows("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '%% WHERE %%'")
    else:
        texts = rows("SELECT indexname, tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '%% WHERE %%'")
    found: dict[str, PartialIndex] = {}
    for name, table, text in texts:
        head, condition = text.split(" WHERE ", 1)
        found[name] = PartialIndex(table, columns_of(head), unique=head.startswith("CREATE UNIQUE"), words=words_of(condition))
    return found


def check_composite_foreign_keys() -> None:
    assert {name: key for name, key in foreign_keys().items() if len(key.columns) > 1} == COMPOSITE_FOREIGN_KEYS


def check_partial_indexes() -> None:
    ours = {model._meta.db_table for model in models()}
    assert {name: index for name, index in partial_indexes().items() if index.table in ours} == PARTIAL_INDEXES


def check_indexes_of_expressions() -> None:
    if connection.vendor == "sqlite":
        texts = rows("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT LIKE '%% WHERE %%'")
    else:
        texts = rows("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef NOT LIKE '%% WHERE %%'")
    found = {name: text for name, text in texts if name in INDEXES_OF_EXPRESSIONS}
    assert {name: columns_of(text) for name, text in found.items()} == INDEXES_OF_EXPRESSIONS
    assert all(text.startswith("CREATE UNIQUE") for text in found.values())


def check_all_constraints() -> None:
    """Fail unless each table of ours has each constraint and index that its model declares."""
    for model in models():
        with connection.cursor() as cursor:
            present = connection.introspection.get_constraints(cursor, model._meta.db_table)
        for constraint in model._meta.constraints:
            if isinstance(constraint, CheckConstraint):
                assert present[constraint.name]["check"], constraint.name
            if isinstance(constraint, UniqueConstraint):
                assert present[constraint.name]["unique"], constraint.name
                columns = [model._meta.get_field(name).column for name in constraint.fields]  # type: ignore[union-attr]
                # of expressions the catalogue tells no columns: `check_indexes_of_expressions` does
                assert constraint.expressions or present[constraint.name]["columns"] == columns, constraint.name
        for index in model._meta.indexes:
            assert present[index.name]["index"], index.name


CHECKS = [check_composite_foreign_keys, check_partial_indexes, check_indexes_of_expressions, check_all_constraints]


def test_each_composite_foreign_key_and_partial_index_of_the_models_is_looked_for():
    assert set(declared(CompositeForeignKey)) == set(COMPOSITE_FOREIGN_KEYS)
    conditional = {name for kind in (UniqueConstraint, Index) for name, (_, each) in declared(kind).items() if each.condition is not None}
    assert conditional == set(PARTIAL_INDEXES)
    of_expressions = {name for name, (_, each) in declared(UniqueConstraint).items() if each.expressions and each.condition is None}
    assert of_expressions == set(INDEXES_OF_EXPRESSIONS)


@pytest.mark.django_db
@pytest.mark.parametrize("check", CHECKS)
def test_migrations_make_what_the_models_declare(check: Callable[[], None]):
    check()


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
def test_a_table_that_is_rebuilt_keeps_it_all():
    # As `migrate` would: with the models of a state of its own, and the triggers out of the way.
    state = MigrationLoader(connection).project_state()
    # The texts of triggers, too; a table may be written anew in another order of its parts.
    catalogue = "SELECT type, name, CASE type WHEN 'trigger' THEN sql END FROM sqlite_master ORDER BY name"
    before = rows(catalogue)
    triggers.lift(using="default")
    for model in models():
        with connection.schema_editor() as editor:
            editor._remake_table(state.apps.get_model(model._meta.app_label, model.__name__))  # type: ignore[attr-defined]
    triggers.install(using="default")
    for check in CHECKS:
        check()
    assert rows(catalogue) == before


def column_types(model: type[Model]) -> dict[str, str]:
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, model._meta.db_table)
    # SQLite's keys that count are INTEGER by name, and 64 bits wide like the bigint that points at them.
    return {column.name: str(column.type_code).lower().replace("bigint", "integer") for column in described}


@pytest.mark.django_db
def test_a_foreign_key_has_the_type_of_what_it_points_at():
    for model in models():
        for field in model._meta.concrete_fields:
            if isinstance(field, ForeignKeyField):
                target = field.remote_field.model
                assert column_types(model)[field.column] == column_types(target)[str(target._meta.pk.column)], field
