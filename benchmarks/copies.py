"""Many casts by SQL: copies of one that stands in the database. What it costs to conduct them is not what is measured."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

AT_ONCE = 100_000
# Columns that are not the original's: what stands for them, or None where the database gives them. Of the others, times are moved back.
OF_TABLES: Mapping[str, Mapping[str, str | None]] = {
    "casts_cast": {"id": "made.cast_id"},
    "casts_wakeup": {"cast_id": "made.cast_id"},
    "generations_generation": {"id": "uuidv7(made.back)", "cast_id": "made.cast_id"},
    "casts_castevent": {"id": None, "cast_id": "made.cast_id"},
    "casts_notification": {
        "id": None,
        "cast_id": "made.cast_id",
        "message_id": "CASE WHEN original.message_id IS NULL THEN NULL ELSE uuidv7() END",
    },
}


class Copies:
    """Copies of one cast and of all that hangs on it. Ids and times go on as they would: the later, the greater."""

    def __init__(self, connection: "psycopg.Connection[Any]", *, cast_id: UUID, days_ago: float = 0.0, seconds_apart: float = 0.0) -> None:
        """Take a connection in autocommit, and the cast. The first copy is so many days older, each further one so many seconds younger."""
        self._connection = connection
        self._connection.execute("SET session_replication_role = replica")  # copies of sound rows are sound
        self._cast_id, self._days, self._apart = cast_id, days_ago, seconds_apart
        self.made = 0

    def grow(self, casts: int) -> None:
        """Make so many copies in all, and have the tables cleaned, as they are in time."""
        while self.made < casts:
            some = min(AT_ONCE, casts - self.made)
            self._copy(some)
            self.made += some
        for table in OF_TABLES:
            self._connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(table)))

    def size(self) -> int:
        """Return how many bytes the tables take, with their indexes."""
        query = "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name"
        [(size,)] = self._connection.execute(query, [list(OF_TABLES)]).fetchall()
        return int(size)

    def _copy(self, casts: int) -> None:
        with self._connection.transaction():
            self._connection.execute(
                """
                CREATE TEMPORARY TABLE made ON COMMIT DROP AS
                SELECT uuidv7(back) AS cast_id, back
                FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number,
                     LATERAL (SELECT make_interval(secs => %(apart)s * number - %(ago)s) AS back) AS at
                """,
                {"first": self.made + 1, "last": self.made + casts, "ago": 86_400 * self._days, "apart": self._apart},
            )
            for table, instead in OF_TABLES.items():
                self._insert(table, instead)

    def _insert(self, table: str, instead: Mapping[str, str | None]) -> None:
        """Copy the rows of our cast for each cast that is made."""
        query = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'"
        columns = {
            name: instead.get(name, f"original.{name} + made.back" if kind == "timestamp with time zone" else f"original.{name}")
            for name, kind in self._connection.execute(query, [table]).fetchall()
        }
        kept = {name: value for name, value in columns.items() if value is not None}
        statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS original, made WHERE original.{} = %s").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, kept)),
            sql.SQL(", ").join(sql.SQL(value) for value in kept.values()),  # our own words, and names of its columns
            sql.Identifier(table),
            sql.Identifier("id" if table == "casts_cast" else "cast_id"),
        )
        self._connection.execute(statement, [self._cast_id])
