"""A Grimoire that is made once for all workers of a run. Whoever asks first makes it, whoever leaves last takes it away."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.functional.site import Site, drop_database, make_database

PREPARE = """
from django.core.management import call_command
from casts import demo, installation
from casts.clock import database_now
from spells.models import Tool
installation.migrate()
demo.prepare(now=database_now())
Tool.objects.filter(category="web").update(config={"allow_private_addresses": True})  # the provider is this machine
call_command("import_spell", "tests/functional/errands.yaml", "--publish")
call_command("create_api_key", "admin")
"""


@contextmanager
def prepared_once(folder: Path, *, server_url: str | None) -> Iterator[Site]:
    """Yield a Grimoire with its tables, tools, example spells, one of errands, and an API key of its admin.

    `folder` is the same for all who share it. Its database is an SQLite file there, or on the PostgreSQL server of `server_url`.
    """
    folder.mkdir(exist_ok=True)
    told = folder / "told.json"
    with alone(folder):
        known = json.loads(told.read_text()) if told.exists() else {"users": 0, **make(folder, server_url=server_url)}
        told.write_text(json.dumps({**known, "users": known["users"] + 1}))
    try:
        yield Site(folder, database_url=known["database_url"], key=known["key"])
    finally:
        with alone(folder):
            known = json.loads(told.read_text())
            told.write_text(json.dumps({**known, "users": known["users"] - 1}))
            if known["users"] == 1:
                told.unlink()
                take_away(folder, database_url=known["database_url"])


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes out meanwhile."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(folder: Path, *, server_url: str | None) -> dict[str, Any]:
    if server_url is None:
        database_url = f"sqlite:///{folder}/grimoire.sqlite3"
    else:
        database_url = make_database(server_url, name=f"prepared_{uuid4().hex}")
    try:
        key = Site(folder, database_url=database_url).run("shell", "--no-imports", "-c", PREPARE).splitlines()[-1]
    except BaseException:
        take_away(folder, database_url=database_url)
        raise
    return {"database_url": database_url, "key": key}


def take_away(folder: Path, *, database_url: str) -> None:
    if database_url.startswith("sqlite:"):
        for file in folder.glob("grimoire.sqlite3*"):
            file.unlink()
    else:
        drop_database(database_url)
