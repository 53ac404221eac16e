"""What stands in Grimoire's database and on its provider's bill, read without a line of Grimoire's code."""

import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg.rows import dict_row

Row = Mapping[str, Any]
PLACES = Decimal("1e-10")


class Books:
    """A connection of our own to the database of a Grimoire. It reads what is committed; one that broke is made anew."""

    def __init__(self, database_url: str) -> None:
        """Take the address; nothing is opened yet."""
        self.url = database_url
        self.is_sqlite = database_url.startswith("sqlite")
        self._connection: Any = None

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        try:
            return self._rows(query)
        except psycopg.OperationalError:
            self.close()
            return self._rows(query)

    def tell(self, statement: str) -> None:
        """Change something behind Grimoire's back."""
        if self.is_sqlite:
            with sqlite3.connect(self.path, timeout=30) as connection:
                connection.execute(statement)
            connection.close()
            return
        with psycopg.connect(self.url, autocommit=True) as server:
            server.execute(statement.encode())

    def now(self) -> datetime:
        """Return the time of day in the database, without what tests moved it by."""
        if self.is_sqlite:
            return datetime.now(UTC)
        now: datetime = self.ask("SELECT clock_timestamp() AS now")[0]["now"]
        return now

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def path(self) -> str:
        """Return where SQLite's file is."""
        return unquote(self.url.removeprefix("sqlite:///"))

    def _rows(self, query: str) -> list[dict[str, Any]]:
        if self._connection is None:
            if self.is_sqlite:
                self._connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)
                self._connection.row_factory = sqlite3.Row
            else:
                self._connection = psycopg.connect(self.url, autocommit=True, row_factory=dict_row)
        found = self._connection.execute(query if self.is_sqlite else query.encode())
        return [dict(row) for row in found.fetchall()]


def identity(value: Any) -> str:
    """Return an id as 32 digits, however the database writes it."""
    return str(value).replace("-", "")


def moment(value: Any) -> datetime | None:
    """Return a time, however the database writes it."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value


def money(value: Any) -> Decimal:
    """Return a sum, nothing if there is none. SQLite may keep it as a float."""
    return Decimal(str(value or 0)).quantize(PLACES)


def bill_of(log: Path, *, since: int = 0) -> list[dict[str, Any]]:
    """Return the provider's log from a byte on. A last line that is being written is left out."""
    lines = log.read_bytes()[since:].split(b"\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines if line]
