"""The few words in which the SQL of PostgreSQL and of SQLite differ, and one way to hand a set of rows to either.

A set travels as one JSON parameter: PostgreSQL reads it by `jsonb_to_recordset`, SQLite by `json_each`. So a statement
over a set is one text, prepared once, whatever the size of the set.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, models, transaction

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
        columns, statement = _insertion(type(rows[0]), connection.vendor)
        for some in _in_parts([columns.of(row) for row in rows], most=MOST_INSERTED):
            count(f"{statement} ON CONFLICT DO NOTHING" if unless_there else statement, {"new": some})


def count_and_insert(statement: str, parameters: Mapping[str, Any], *, rows: Sequence[models.Model]) -> int:
    """Run a statement that changes rows and insert new ones, which must not depend on the change. Returns how many it changed.

    On PostgreSQL it is one statement: each way to the database takes longer than what is done there.
    """
    if not rows or not is_postgresql():
        changed = count(statement, parameters)
        insert(rows)
        return changed
    columns, insertion = _insertion(type(rows[0]), connection.vendor)
    *others, last = _in_parts([columns.of(row) for row in rows], most=MOST_INSERTED)
    for some in others:
        count(insertion, {"new": some})
    return count(f"WITH made AS ({insertion}) {statement}", {**parameters, "new": last})


def insert_together(*rows: models.Model) -> None:
    """Insert new rows, each of another model, of which later ones may name earlier ones: all of them or none.

    On PostgreSQL it is one statement: foreign keys are checked at its end, and it needs no transaction around it.
    """
    if not is_postgresql():
        with transaction.atomic(savepoint=False):
            for row in rows:
                insert([row])
        return
    parameters = {}
    for number, row in enumerate(rows):
        columns, _ = _insertion(type(row), connection.vendor)
        parameters[f"new{number}"] = rows_parameter([columns.of(row)])
    count(_insertions(tuple(type(row) for row in rows), connection.vendor), parameters)


@cache
def _insertions(kinds: Sequence[type[models.Model]], vendor: str) -> str:
    *others, last = (_insertion(kind, vendor, parameter=f"new{number}")[1] for number, kind in enumerate(kinds))
    made = ", ".join(f"made{number} AS ({statement})" for number, statement in enumerate(others))
    return f"WITH {made} {last}"


def _in_parts(rows: Sequence[Row], *, most: int) -> Iterator[str]:
    """Yield the JSON texts of rows in their order: of all together, or of so many that they have no more than `most` characters, and one at least."""
    if len(whole := rows_parameter(rows)) <= most:
        yield whole
        return
    del whole
    part: list[str] = []
    size = 0
    for text in map(_encoder(connection.vendor).encode, rows):
        if part and size + len(text) > most:
            yield f"[{','.join(part)}]"
            part, size = [], 0
        part.append(text)
        size += len(text)
    yield f"[{','.join(part)}]"


class _Columns(NamedTuple):
    """The columns of a new row, and what takes their values from an object."""

    names: Sequence[str]
    values_of: "attrgetter[tuple[Any, ...]]"

    def of(self, row: models.Model) -> Row:
        """Return the values of a row by their columns. What is null is left out: what a set does not name is null to the database."""
        return {name: value for name, value in zip(self.names, self.values_of(row), strict=True) if value is not None}


@cache
def _insertion(model: type[models.Model], _vendor: str, *, parameter: str = "new") -> tuple[_Columns, str]:
    """Return the columns of a new row, and SQL that inserts such rows."""
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
    names = [str(field.column) for field in fields]
    table = recordset("new", {str(field.column): str(field.db_type(connection)) for field in fields}, parameter=parameter)
    listed = ", ".join(names)
    # `WHERE true`: without it SQLite takes ON CONFLICT for the condition of a join
    statement = f"INSERT INTO {model._meta.db_table} ({listed}) SELECT {listed} FROM {table} WHERE true"
    return _Columns(names, attrgetter(*(field.attname for field in fields))), statement


def is_any(table: str, condition: str, *, by: str) -> str:
    """Return SQL that tells whether a row meets a condition that bounds the column `by`, by its index and not by EXISTS.

    How many rows are below a bound that is read in the same statement is unknown to PostgreSQL. It takes them for a third
    of the table and EXISTS for done at the first one: if there is none, it has read the whole table.
    """
    return f"(SELECT 1 FROM {table} WHERE {condition} ORDER BY {by} LIMIT 1) IS NOT NULL"


def words(values: Iterable[str]) -> str:
    """Return words of our own as a list for `IN`."""
    return ", ".join(f"'{value}'" for value in values)


def rows_parameter(rows: Iterable[Row]) -> str:
    """Return the JSON text of a set, each value in the form in which Django stores it."""
    return _encoder(connection.vendor).encode(list(rows))


@cache
def _encoder(vendor: str) -> json.JSONEncoder:
    """Return what writes JSON with each value in the form in which Django stores it. Made once: it meets each value of each row."""
    forms: dict[type, Callable[[Any], str]] = {
        UUID: str if vendor == "postgresql" else _hex,
        datetime: _aware if vendor == "postgresql" else _naive,
        Decimal: _plain,
    }

    def stored(value: object) -> str:
        form = forms.get(type(value))
        if form is None:
            raise TypeError(f"{type(value).__name__} stands in no row.")
        return form(value)

    return json.JSONEncoder(allow_nan=False, default=stored)


def _hex(id_: UUID) -> str:
    return id_.hex


@lru_cache(maxsize=128)  # the rows of a set have few moments among them
def _aware(moment: datetime) -> str:
    return moment.isoformat()


@lru_cache(maxsize=128)
def _naive(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def _plain(number: Decimal) -> str:
    return format(number, "f")


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
    is_native = is_postgresql()
    texts = [_id_text(id_, is_native) for id_ in ids]
    return texts if is_native else json.dumps(texts)


def numbers_in(column: str, parameter: str = "numbers") -> str:
    """Return SQL that keeps the rows whose `column` is among the whole numbers of the named parameter."""
    if is_postgresql():
        return f"{column} = ANY(%({parameter})s::bigint[])"
    return f"{column} IN (SELECT value FROM json_each(%({parameter})s))"


def unseen_numbers_in(column: str) -> str:
    """Return SQL as `numbers_in` does, for a join of many tables: how many numbers there are is kept from PostgreSQL's planner.

    If it knows, it takes a plan for any number of them for a worse one and plans anew each time, which takes longer than the rest.
    """
    return f"{column} = ANY((SELECT %(numbers)s::bigint[])::bigint[])" if is_postgresql() else numbers_in(column)


def numbers_parameter(numbers: Iterable[int]) -> Any:
    return sorted(numbers) if is_postgresql() else json.dumps(sorted(numbers))


def moment_parameter(moment: datetime) -> Any:
    """Return a time as a parameter, in the form in which Django stores it."""
    return connection.ops.adapt_datetimefield_value(moment)


def id_parameter(id_: UUID) -> str:
    """Return an id as a parameter. Raises TypeError for what is no UUID: SQLite would match nothing with it, in silence."""
    return _id_text(id_, is_postgresql())


def _id_text(id_: UUID, is_native: bool) -> str:
    if not isinstance(id_, UUID):
        raise TypeError(f"An id is a UUID, not {type(id_).__name__}: {id_!r}")
    return str(id_) if is_native else id_.hex
