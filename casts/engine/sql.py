"""The few words in which the SQL of PostgreSQL and of SQLite differ, and one way to hand a set of rows to either.

A set travels as one JSON parameter: PostgreSQL reads it by `jsonb_to_recordset`, SQLite by `json_each`. So a statement
over a set is one text, prepared once, whatever the size of the set.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection, models

Row = dict[str, Any]

# Characters of JSON in one insert. PostgreSQL takes no value of more than 256 MiB.
MOST_INSERTED = 32 * 2**20


def is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def now_plus(parameter: str) -> str:
    """Return SQL for the clock's reading plus so many seconds as the named parameter says."""
    if is_postgresql():
        return f"grimoire_now() + make_interval(secs => %({parameter})s)"
    return f"grimoire_now(%({parameter})s)"


def least(one: str, other: str) -> str:
    return f"LEAST({one}, {other})" if is_postgresql() else f"MIN({one}, {other})"


def json_number(column: str, name: str) -> str:
    """Return SQL for a number that stands under `name` in a JSON object; null when none does."""
    return f"({column} ->> '{name}')::float8" if is_postgresql() else f"json_extract({column}, '$.{name}')"


def on_postgresql(words: str) -> str:
    """Return `words` where PostgreSQL needs them; SQLite's write transactions are alone anyway."""
    return words if is_postgresql() else ""


def recordset(alias: str, columns: Mapping[str, str], *, parameter: str = "rows") -> str:
    """Return SQL for a JSON parameter as a table of `columns`, each with its PostgreSQL type."""
    if is_postgresql():
        typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        return f"jsonb_to_recordset(%({parameter})s::jsonb) AS {alias}({typed})"
    picked = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    return f"(SELECT {picked} FROM json_each(%({parameter})s)) AS {alias}"


def insert(rows: Sequence[models.Model], *, unless_there: bool = False) -> None:
    """Insert new rows of one model; `unless_there` leaves out those that a constraint refuses as repeats.

    One statement, or more where the rows are very large. A tenth of the work of `bulk_create`, which prepares each value by its field. So all values must be set and of the
    types that rows have when they are read; a key that the database gives is left to it, and the objects do not learn it.
    """
    if rows:
        names, values_of, statement = _insertion(type(rows[0]), connection.vendor)
        for some in _in_parts(_texts(rows, names, values_of), most=MOST_INSERTED):
            count(f"{statement} ON CONFLICT DO NOTHING" if unless_there else statement, {"new": f"[{','.join(some)}]"})


def count_and_insert(statement: str, parameters: Mapping[str, Any], *, rows: Sequence[models.Model]) -> int:
    """Run a statement that changes rows and insert new ones, which must not depend on the change. Returns how many it changed.

    On PostgreSQL it is one statement: each way to the database takes longer than what is done there.
    """
    if not rows or not is_postgresql():
        changed = count(statement, parameters)
        insert(rows)
        return changed
    names, values_of, insertion = _insertion(type(rows[0]), connection.vendor)
    *others, last = _in_parts(_texts(rows, names, values_of), most=MOST_INSERTED)
    for some in others:
        count(insertion, {"new": f"[{','.join(some)}]"})
    return count(f"WITH made AS ({insertion}) {statement}", {**parameters, "new": f"[{','.join(last)}]"})


def insert_together(*rows: models.Model) -> None:
    """Insert new rows, each of another model, of which later ones may name earlier ones.

    On PostgreSQL it is one statement: foreign keys are checked at its end.
    """
    if not is_postgresql():
        for row in rows:
            insert([row])
        return
    parameters = {}
    for number, row in enumerate(rows):
        names, values_of, _ = _insertion(type(row), connection.vendor)
        parameters[f"new{number}"] = f"[{','.join(_texts([row], names, values_of))}]"
    count(_insertions(tuple(type(row) for row in rows), connection.vendor), parameters)


@cache
def _insertions(kinds: Sequence[type[models.Model]], vendor: str) -> str:
    *others, last = (_insertion(kind, vendor, parameter=f"new{number}")[2] for number, kind in enumerate(kinds))
    made = ", ".join(f"made{number} AS ({statement})" for number, statement in enumerate(others))
    return f"WITH {made} {last}"


def _texts(rows: Iterable[models.Model], names: Sequence[str], values_of: "attrgetter[tuple[Any, ...]]") -> Iterator[str]:
    """Yield the JSON text of each row."""
    for row in rows:
        yield _json(dict(zip(names, values_of(row), strict=True)))


def _in_parts(texts: Iterable[str], *, most: int) -> Iterator[list[str]]:
    """Yield texts in their order, so many at a time that they have no more than `most` characters together, and one at least."""
    part: list[str] = []
    size = 0
    for text in texts:
        if part and size + len(text) > most:
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield part


@cache
def _insertion(model: type[models.Model], _vendor: str, *, parameter: str = "new") -> tuple[list[str], "attrgetter[tuple[Any, ...]]", str]:
    """Return the columns of a new row, what takes their values from an object, and SQL that inserts them."""
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
    names = [str(field.column) for field in fields]
    table = recordset("new", {str(field.column): str(field.db_type(connection)) for field in fields}, parameter=parameter)
    listed = ", ".join(names)
    # `WHERE true`: without it SQLite takes ON CONFLICT for the condition of a join
    statement = f"INSERT INTO {model._meta.db_table} ({listed}) SELECT {listed} FROM {table} WHERE true"
    return names, attrgetter(*(field.attname for field in fields)), statement


def words(values: Iterable[str]) -> str:
    """Return words of our own as a list for `IN`."""
    return ", ".join(f"'{value}'" for value in values)


def rows_parameter(rows: Iterable[Row]) -> str:
    """Return the JSON text of a set, each value in the form in which Django stores it."""
    return _json(list(rows))


def _json(value: object) -> str:
    return _encoder(connection.vendor).encode(value)


@cache
def _encoder(vendor: str) -> json.JSONEncoder:
    """Return what writes JSON with each value in the form in which Django stores it. Made once: it meets each value of each row."""

    def of_postgresql(value: object) -> str:
        match value:
            case UUID():
                return str(value)
            case datetime():
                return value.isoformat()
        return _plain(value)

    def of_sqlite(value: object) -> str:
        match value:
            case UUID():
                return value.hex
            case datetime():
                return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
        return _plain(value)

    return json.JSONEncoder(allow_nan=False, default=of_postgresql if vendor == "postgresql" else of_sqlite)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} stands in no row.")


def uuid_of(value: Any) -> UUID:
    """Read an id that a raw statement returned."""
    return value if isinstance(value, UUID) else UUID(value)


def json_of(value: str | None) -> Any:
    """Read a JSON value that a raw statement returned."""
    return None if value is None else json.loads(value)


def fetch(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement that returns rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, dict(parameters))
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def count(statement: str, parameters: Mapping[str, Any]) -> int:
    """Run a statement that changes rows and return how many it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, dict(parameters))
        changed: int = cursor.rowcount
        return changed


def ids_in(column: str) -> str:
    """Return SQL that keeps the rows whose `column` is among the ids of the parameter `ids`."""
    if is_postgresql():
        return f"{column} = ANY(%(ids)s::uuid[])"
    return f"{column} IN (SELECT value FROM json_each(%(ids)s))"


def ids_parameter(ids: Sequence[UUID]) -> Any:
    """Return a set of ids as a parameter. Raises TypeError, as `id_parameter` does."""
    texts = [id_parameter(id_) for id_ in ids]
    return texts if is_postgresql() else json.dumps(texts)


def numbers_in(column: str, parameter: str = "numbers") -> str:
    """Return SQL that keeps the rows whose `column` is among the whole numbers of the named parameter."""
    if is_postgresql():
        return f"{column} = ANY(%({parameter})s::bigint[])"
    return f"{column} IN (SELECT value FROM json_each(%({parameter})s))"


def numbers_parameter(numbers: Iterable[int]) -> Any:
    return sorted(numbers) if is_postgresql() else json.dumps(sorted(numbers))


def moment_parameter(moment: datetime) -> Any:
    """Return a time as a parameter, in the form in which Django stores it."""
    return connection.ops.adapt_datetimefield_value(moment)


def id_parameter(id_: UUID) -> str:
    """Return an id as a parameter. Raises TypeError for what is no UUID: SQLite would match nothing with it, in silence."""
    if not isinstance(id_, UUID):
        raise TypeError(f"An id is a UUID, not {type(id_).__name__}: {id_!r}")
    return str(id_) if is_postgresql() else id_.hex
