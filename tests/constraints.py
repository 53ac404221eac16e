"""Proof that the database itself refuses a row, and by which constraint."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import BaseConstraint, CheckConstraint, Model, UniqueConstraint

from spells.constraints import CompositeForeignKey

APPS = ("spells", "generations", "casts")

Violation = Callable[[], object]
Violations = Mapping[str, Iterable[Violation]]

# What no row can violate alone: a primary key, or what Django checks of the field itself, refuses it before.
IMPLIED = {
    "step_is_unique_with_its_version": {"spells_step_pkey", "spells_step.id"},
    "step_is_unique_with_its_tool": {"spells_step_pkey", "spells_step.id"},
    "cast_is_unique_with_its_version": {"casts_cast_pkey", "casts_cast.id"},
    "collection_is_unique_with_its_version": {"casts_collection_pkey", "casts_collection.id"},
    "collection_is_unique_with_its_owner": {"casts_collection_pkey", "casts_collection.id"},
    "cook_is_unique_with_its_version": {"casts_cook_pkey", "casts_cook.id"},
    "piece_is_unique_with_its_cook": {"casts_piece_pkey", "casts_piece.id"},
    "fanout_count_is_not_negative": {"count"},
}


def declared() -> dict[str, tuple[type[Model], BaseConstraint]]:
    """Return all constraints of our models, by name."""
    ours = (model for app in APPS for model in apps.get_app_config(app).get_models())
    return {constraint.name: (model, constraint) for model in ours for constraint in model._meta.constraints}


def cases(violations: Violations) -> list[Any]:
    """Return the parameters of a test that takes a constraint's `name` and what will `violate` it."""
    return [pytest.param(name, way, id=f"{name}-{number}") for name, ways in violations.items() for number, way in enumerate(ways, start=1)]


def assert_refused(name: str, violate: Violation) -> None:
    """Fail unless what `violate` writes is refused, by that constraint and for no other reason."""
    model, constraint = declared()[name]
    with transaction.atomic():
        if connection.vendor == "postgresql" and isinstance(constraint, CheckConstraint):
            _drop_other_checks(model, name)
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            _write_and_check(model, constraint, violate)
        if connection.vendor == "sqlite":
            assert _blamed_by_sqlite(refused.value) in _names_in_sqlite(model, constraint) | IMPLIED.get(name, set())
        else:
            assert _blamed_by_postgresql(refused.value) in {name} | IMPLIED.get(name, set())
        transaction.set_rollback(True)


def _write_and_check(model: type[Model], constraint: BaseConstraint, violate: Violation) -> None:
    violate()
    if connection.vendor == "sqlite" and isinstance(constraint, CompositeForeignKey):
        _check_foreign_key(model, constraint)
    connection.check_constraints()  # those that are deferred to the commit


def _drop_other_checks(model: type[Model], name: str) -> None:
    """Leave one check on the table, for this transaction: PostgreSQL names only the first that fails."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass AND conname <> %s", [table, name])
        for (other,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{other}"')


def _check_foreign_key(model: type[Model], constraint: CompositeForeignKey) -> None:
    """Raise as SQLite would at the commit, but with the name, which SQLite does not tell."""
    table = model._meta.db_table
    columns = [model._meta.get_field(field).column for field in constraint.fields]  # type: ignore[union-attr]
    with connection.cursor() as cursor:
        broken = {number for *_, number in cursor.execute(f"PRAGMA foreign_key_check('{table}')").fetchall()}
        keys = cursor.execute(f"PRAGMA foreign_key_list('{table}')").fetchall()
    for number in broken:
        if [here for id_, _, _, here, *_ in keys if id_ == number] == columns:
            raise IntegrityError(f"FOREIGN KEY constraint failed: {constraint.name}")


def _blamed_by_sqlite(error: BaseException) -> str:
    kind, _, blamed = str(error).partition(" constraint failed: ")
    assert kind in ("CHECK", "UNIQUE", "FOREIGN KEY"), error
    return blamed


def _names_in_sqlite(model: type[Model], constraint: BaseConstraint) -> set[str]:
    """Return what SQLite calls a constraint: a unique one is told by its columns, or by its index where these are expressions."""
    if isinstance(constraint, UniqueConstraint):
        if constraint.expressions:
            return {f"index '{constraint.name}'"}
        table = model._meta.db_table
        return {", ".join(f"{table}.{model._meta.get_field(field).column}" for field in constraint.fields)}  # type: ignore[union-attr]
    return {constraint.name}


def _blamed_by_postgresql(error: BaseException) -> str | None:
    assert isinstance(error.__cause__, psycopg.IntegrityError), error
    return error.__cause__.diag.constraint_name
