"""A Grimoire that is made once for all workers of a run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.functional.site import Site, make_database
from tests.shared import shared
from tests.template import FILE, file_of, take_away

PREPARE = """
from django.core.management import call_command
from casts import demo
from casts.clock import database_now
from spells.models import Tool
demo.prepare(now=database_now())
Tool.objects.filter(category="web").update(config={"allow_private_addresses": True})  # the provider is this machine
call_command("import_spell", "tests/functional/errands.yaml", "--publish")
call_command("create_api_key", "admin")
"""


@contextmanager
def prepared_once(folder: Path, *, template: str, server_url: str | None) -> Iterator[Site]:
    """Yield a Grimoire with its tables, tools, example spells, one of errands, and an API key of its admin.

    `folder` is the same for all who share it. Its database is a copy of the template, an SQLite file there, or on the PostgreSQL server
    of `server_url`.
    """

    def make() -> dict[str, str]:
        if server_url is None:
            url = f"sqlite:///{folder}/{FILE}"
            shutil.copy(file_of(template), folder)
        else:
            url = make_database(server_url, name=f"prepared_{uuid4().hex}", template=template.rpartition("/")[2])
        try:
            return {"url": url, "key": Site(folder, database_url=url).run("shell", "--no-imports", "-c", PREPARE).splitlines()[-1]}
        except BaseException:
            take_away({"url": url})
            raise

    with shared(folder, make=make, take_away=take_away) as made:
        yield Site(folder, database_url=made["url"], key=made["key"])
