"""A database with its tables, of which workers and tests get copies: all migrations take seconds, a copy takes none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import environs
from django.core.management import call_command
from django.db import connection

from config.sqlite import base as sqlite
from tests.functional.site import drop_database, make_database, own_database
from tests.shared import shared

FILE = "grimoire.sqlite3"


@contextmanager
def template_once(folder: Path, *, server_url: str | None) -> Iterator[str]:
    """Yield the DATABASE_URL of a database with its tables, without rows of ours. Nobody stays connected to it.

    `folder` is the same for all who share it. It is an SQLite file there, or on the PostgreSQL server of `server_url`.
    """

    def make() -> dict[str, str]:
        url = f"sqlite:///{folder}/{FILE}" if server_url is None else make_database(server_url, name=f"template_{uuid4().hex}")
        try:
            with acting_at(url):
                call_command("migrate", verbosity=0)
                if server_url is None:
                    with connection.cursor() as cursor:
                        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except BaseException:
            take_away({"url": url})
            raise
        return {"url": url}

    with shared(folder, make=make, take_away=take_away) as made:
        yield made["url"]


@contextmanager
def copied(template: str, *, folder: Path) -> Iterator[str]:
    """Yield the DATABASE_URL of a copy of the template, on SQLite a file in the folder."""
    if template.startswith("sqlite:"):
        shutil.copy(file_of(template), folder / FILE)
        yield f"sqlite:///{folder}/{FILE}"
    else:
        with own_database(template, name=f"copy_{uuid4().hex}", template=template.rpartition("/")[2]) as url:
            yield url


def take_away(made: dict[str, str]) -> None:
    if made["url"].startswith("sqlite:"):
        path = file_of(made["url"])
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
    else:
        drop_database(made["url"])


def file_of(url: str) -> Path:
    """Return the file of an SQLite database."""
    return Path(url.removeprefix("sqlite:///"))


@contextmanager
def acting_at(database_url: str) -> Iterator[None]:
    """Have the ORM of this process act in another database, by this thread alone."""
    told = environs.Env().dj_db_url("UNSET", default=database_url)
    names = ("NAME", "HOST", "PORT", "USER", "PASSWORD")
    before = {name: connection.settings_dict[name] for name in names}
    connection.close()
    connection.settings_dict.update({name: told.get(name, "") for name in names})
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
        sqlite.clock_shift = timedelta()
