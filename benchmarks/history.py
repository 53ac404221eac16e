"""What a long history costs: claims beside a million casts that ended, the room they take, and how fast they are pruned.

`python -m benchmarks.history --casts 0 10000 100000 1000000`
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.house import House, house, told

STEPS = 5
PAYLOAD = "x" * 150  # with its names and marks, a step's inputs and its output are of about 200 bytes
CLAIMS = 300
AT_ONCE = 100_000
# The first of the copies ended so long ago, and each further one so many seconds later.
DAYS = 365
SECONDS_APART = 3.0
TABLES = ("casts_cast", "generations_generation", "casts_castevent", "casts_notification")
# A claim beside a history may take so many times what it takes beside none.
LIMIT = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was measured beside so many ended casts: times in seconds, sizes in bytes."""

    casts: int
    median: float
    worst_of_twenty: float
    size: int

    def line(self) -> str:
        told = f"a claim {self.median * 1000:.2f} ms in the middle, {self.worst_of_twenty * 1000:.2f} ms for 1 of 20"
        return f"{told}; {self.size / 2**20:,.0f} MiB" + (f", {self.size / self.casts / STEPS:,.0f} bytes a step" if self.casts else "")


class History:
    """Copies of one cast that ended, spread over a year. They are made by SQL: what they cost to conduct is not what is measured."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        """Take a connection to the database of a house, in which one cast has ended."""
        self._connection = connection
        self._connection.execute("SET session_replication_role = replica")  # copies of sound rows are sound
        [(self._cast_id,)] = self._connection.execute("SELECT id FROM casts_cast").fetchall()
        self.casts = 0
        self.since = time.monotonic()

    def grow(self, casts: int) -> None:
        """Make so many casts in all."""
        while self.casts < casts:
            some = min(AT_ONCE, casts - self.casts)
            self._copy(some)
            self.casts += some
        for table in TABLES:
            self._connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(table)))

    def size(self) -> int:
        """Return how many bytes the tables take, with their indexes."""
        query = "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name"
        [(size,)] = self._connection.execute(query, [list(TABLES)]).fetchall()
        return int(size)

    def _copy(self, casts: int) -> None:
        """Copy the cast and what hangs on it. Ids and times go on as they would: the later, the greater."""
        with self._connection.transaction():
            self._connection.execute(
                """
                CREATE TEMPORARY TABLE made ON COMMIT DROP AS
                SELECT uuidv7(back) AS cast_id, back
                FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number,
                     LATERAL (SELECT make_interval(days => -%(days)s, secs => %(apart)s * number) AS back) AS at
                """,
                {"first": self.casts + 1, "last": self.casts + casts, "days": DAYS, "apart": SECONDS_APART},
            )
            self._insert("casts_cast", {"id": "made.cast_id"}, of="id")
            self._insert("generations_generation", {"id": "uuidv7(made.back)", "cast_id": "made.cast_id", "idempotency_key": "uuidv7()"})
            self._insert("casts_castevent", {"id": None, "cast_id": "made.cast_id"})
            message_id = "CASE WHEN original.message_id IS NULL THEN NULL ELSE uuidv7() END"
            self._insert("casts_notification", {"id": None, "cast_id": "made.cast_id", "message_id": message_id})

    def _insert(self, table: str, instead: dict[str, str | None], *, of: str = "cast_id") -> None:
        """Copy the rows of our cast for each cast that is made, with these columns `instead`, and all times moved back."""
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
            sql.Identifier(of),
        )
        self._connection.execute(statement, [self._cast_id])


def run(built: House, *, casts: Sequence[int], prune: int, claims: int = CLAIMS, limit: float = LIMIT) -> list[str]:
    """Measure beside each of these histories, print the figures, and return what does not hold. Prunes so many casts at the end."""
    built.order("prepare_chain", steps=STEPS, payload=PAYLOAD)
    found, seen = [], []
    with psycopg.connect(built.database_url, autocommit=True) as connection:
        history = History(connection)
        for number in sorted(casts):
            history.grow(number)
            times = sorted(built.order("time_claims", claims))
            seen.append(
                Seen(casts=number, median=times[len(times) // 2], worst_of_twenty=times[len(times) * 19 // 20], size=history.size())
            )
            told({f"{number:,} ended casts": seen[-1].line()})
        if prune:
            found += _prune(built, history, casts=min(prune, history.casts))
    worst = max(each.median for each in seen) / seen[0].median
    told({"ratio": f"a claim beside the longest history takes at most {worst:.2f} times what it takes beside the shortest (limit {limit})"})
    if worst > limit:
        found.append(f"A claim takes {worst:.2f} times as long beside a history, more than {limit} times.")
    return found


def _prune(built: House, history: History, *, casts: int) -> list[str]:
    """Prune the oldest casts, print how fast that went, and return what does not hold."""
    began = time.monotonic()
    said = built.site.run("prune", "--older-than", f"{DAYS - (casts + 0.5) * SECONDS_APART / 86_400:.6f}", "--verbosity", "0")
    ended = time.monotonic()
    [(left,)] = built.ask("SELECT count(*) FROM casts_cast WHERE finished_at < now() - interval '1 day'")
    gone, took = history.casts - left, ended - began
    told({"pruned": f"{gone:,} casts in {took:.1f} s, {gone / took:,.0f} casts/s", "it said": said.strip().replace("\n", "; ")})
    # the casts grew older meanwhile
    meanwhile = (ended - history.since) / SECONDS_APART
    return [] if casts <= gone <= casts + 1 + meanwhile else [f"Of {history.casts:,} casts {gone:,} went, not {casts:,}."]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument(
        "--casts", type=int, nargs="+", default=[0, 10_000, 100_000, 1_000_000], help="how many ended casts to measure beside"
    )
    parser.add_argument("--prune", type=int, default=20_000, help="how many to prune at the end")
    parser.add_argument("--limit", type=float, default=LIMIT, help="how many times as long a claim may take")
    options = parser.parse_args()
    with house() as built:
        found = run(built, casts=options.casts, prune=options.prune, limit=options.limit)
    for problem in found:
        print(problem)
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
