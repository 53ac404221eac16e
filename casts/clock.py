"""The one clock of the engine: the database's.

Workers' clocks differ; leases and due times are reckoned in SQL by `grimoire_now()`, which a migration makes on
PostgreSQL and our backend makes on SQLite. Domain code gets one reading per transaction as `now`. Tests move the
function, and with it all of Grimoire.
"""

from datetime import UTC, datetime

from django.db import connection


def database_now() -> datetime:
    """Read the database's clock, in UTC."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT grimoire_now()")
        (now,) = cursor.fetchone()
    return moment_of(now)


def moment_of(value: datetime | str) -> datetime:
    """Read a time that a raw statement returned, in UTC."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value.astimezone(UTC)
