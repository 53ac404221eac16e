"""Triggers that keep a published version as it was published, on both databases; beside them, those of `price_triggers`.

A version's row cannot be changed or removed once `published_at` is set; nor can its steps and their edges be added,
changed or removed. `TRUNCATE` on PostgreSQL, and a flush on SQLite, are not asked: they empty a whole database.

Installed after each `migrate`, again and again with the same result, so that new columns are covered, and lifted on
SQLite before it: SQLite rebuilds a table by dropping it, and refuses to rename another one to its name while a trigger
elsewhere speaks of it.
"""

import sqlite3
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from spells import price_triggers
from spells.models import SpellVersion, Step, StepDependency

_VERSION = SpellVersion._meta.db_table
_PARTS: tuple[type[Model], ...] = (Step, StepDependency)

# The names begin so: a flush on SQLite finds them by it.
_PREFIX = "spells_"

_NAMED = f"FROM {_VERSION} v JOIN spells_spell s ON s.id = v.spell_id WHERE v.id"

# Before 3.47 the message of RAISE had to be a literal, which cannot name the version.
_RAISE_TAKES_EXPRESSIONS = sqlite3.sqlite_version_info >= (3, 47)


def install(*, using: str, **_signal: Any) -> None:
    """Create or renew the triggers in one database. Called by `post_migrate`."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    if not {_VERSION, price_triggers.TABLE, *(part._meta.db_table for part in _PARTS)} <= tables:
        return  # migrated back to nothing
    published = _postgresql() if connection.vendor == "postgresql" else [*_lifting(connection), *_sqlite()]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        price_triggers.catch_up(cursor)
        for statement in (*published, *price_triggers.statements(connection.vendor)):
            cursor.execute(statement)


def lift(*, using: str, **_signal: Any) -> None:
    """Drop the triggers on SQLite before tables are rebuilt. Called by `pre_migrate`; `install` puts them back."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        with transaction.atomic(using=using), connection.cursor() as cursor:
            for statement in _lifting(connection):
                cursor.execute(statement)


def _lifting(connection: BaseDatabaseWrapper) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        return [f'DROP TRIGGER "{name}"' for (name,) in cursor.fetchall() if name.startswith(_PREFIX)]


def _sqlite() -> list[str]:
    columns = [field.column for field in SpellVersion._meta.concrete_fields]
    changed = " OR ".join(f'NEW."{column}" IS NOT OLD."{column}"' for column in columns)
    statements = [
        _sqlite_trigger(_VERSION, "UPDATE", f"OLD.published_at IS NOT NULL AND ({changed})", "OLD.id"),
        _sqlite_trigger(_VERSION, "DELETE", "OLD.published_at IS NOT NULL", "OLD.id"),
    ]
    for part in _PARTS:
        table = part._meta.db_table
        statements += [
            _sqlite_trigger(table, "INSERT", _is_published("NEW.version_id"), "NEW.version_id"),
            _sqlite_trigger(table, "UPDATE", _is_published("OLD.version_id"), "OLD.version_id"),
            _sqlite_trigger(table, "UPDATE", _is_published("NEW.version_id"), "NEW.version_id", "to"),
            _sqlite_trigger(table, "DELETE", _is_published("OLD.version_id"), "OLD.version_id"),
        ]
    return statements


def _is_published(version: str) -> str:
    return f"EXISTS (SELECT 1 FROM {_VERSION} WHERE id = {version} AND published_at IS NOT NULL)"  # noqa: S608 - our own words


def _sqlite_trigger(table: str, event: str, condition: str, version: str, suffix: str = "") -> str:
    name = "_".join(filter(None, (table, "keeps_published", event.lower(), suffix)))
    message = f"'a published version cannot change, nor can its steps ({table}): publish a new version'"
    if _RAISE_TAKES_EXPRESSIONS:
        named = f"(SELECT 'version ' || v.number || ' of ' || s.slug {_NAMED} = {version})"
        message = f"coalesce({named}, '') || ' is published: ' || {message}"
    return f'CREATE TRIGGER "{name}" BEFORE {event} ON "{table}" WHEN {condition} BEGIN SELECT RAISE(ABORT, {message}); END'


_REFUSE = f"""
CREATE OR REPLACE FUNCTION spells_refuse_change(version bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', (
        SELECT format('version %s of %s is published and cannot change, nor can its steps', v.number, s.slug)
        {_NAMED} = version
    ) USING ERRCODE = 'integrity_constraint_violation', HINT = 'Publish a new version.';
END $$
"""

_KEEP_VERSION = """
CREATE OR REPLACE FUNCTION spells_keep_published_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.published_at IS NOT NULL AND (TG_OP = 'DELETE' OR NEW IS DISTINCT FROM OLD) THEN
        PERFORM spells_refuse_change(OLD.id);
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$
"""

# FOR SHARE waits for whoever is publishing the version, and makes whoever would publish it wait for us: otherwise
# a step could slip in between the check and the mark.
_KEEP_PARTS = """
CREATE OR REPLACE FUNCTION spells_keep_published_parts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    version bigint;
BEGIN
    FOR version IN
        SELECT id FROM spells_spellversion
        WHERE id = ANY (ARRAY[CASE WHEN TG_OP <> 'INSERT' THEN OLD.version_id END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.version_id END])
        FOR SHARE
    LOOP
        IF EXISTS (SELECT 1 FROM spells_spellversion WHERE id = version AND published_at IS NOT NULL) THEN
            PERFORM spells_refuse_change(version);
        END IF;
    END LOOP;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$
"""


def _postgresql() -> list[str]:
    statements = [_REFUSE, _KEEP_VERSION, _KEEP_PARTS]
    for table, events, function in (
        (_VERSION, "UPDATE OR DELETE", "spells_keep_published_version"),
        *((part._meta.db_table, "INSERT OR UPDATE OR DELETE", "spells_keep_published_parts") for part in _PARTS),
    ):
        statements.append(
            f'CREATE OR REPLACE TRIGGER {table}_keeps_published BEFORE {events} ON "{table}" FOR EACH ROW EXECUTE FUNCTION {function}()'
        )
    return statements
