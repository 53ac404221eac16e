"""Fixtures of tests that drive real processes. Each has a Grimoire of its own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from uuid import uuid4

import pytest

from tests.databases import FOLDER, database_under_test
from tests.functional.prepared import prepared_once
from tests.functional.provider import Provider, provide
from tests.functional.site import Site, own_database


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "functional: drives real processes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder: it may take its time, and runs on both databases unless it is about processes alone (`sqlite`)."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for mark in (pytest.mark.functional, pytest.mark.each_database, pytest.mark.timeout(600)):
                item.add_marker(mark)


@pytest.fixture(scope="session")
def prepared(template: str) -> Iterator[Site]:
    """The Grimoire of which tests get copies. All workers share it."""
    folder = Path(os.environ[FOLDER], f"prepared-{database_under_test()}")
    server_url = None if database_under_test() == "sqlite" else os.environ["DATABASE_URL"]
    with prepared_once(folder, template=template, server_url=server_url) as site:
        yield site


@pytest.fixture
def provider() -> Iterator[Provider]:
    with provide() as provider:
        yield provider


@pytest.fixture
def empty_site(tmp_path: Path) -> Iterator[Site]:
    """A Grimoire in an empty folder, with an empty database."""
    with database_url(tmp_path, name=f"empty_{uuid4().hex}") as url:
        yield from watched(Site(tmp_path, database_url=url))


@pytest.fixture
def site(tmp_path: Path, prepared: Site) -> Iterator[Site]:
    """A Grimoire that is ready to serve."""
    if database_under_test() == "sqlite":
        for file in prepared.folder.glob("grimoire.sqlite3*"):
            shutil.copy(file, tmp_path)
    with database_url(tmp_path, name=f"site_{uuid4().hex}", template=prepared.database) as url:
        yield from watched(Site(tmp_path, database_url=url, key=prepared.key))


def database_url(folder: Path, *, name: str, template: str = "template0") -> AbstractContextManager[str]:
    if database_under_test() == "sqlite":
        return nullcontext(f"sqlite:///{folder}/grimoire.sqlite3")
    return own_database(os.environ["DATABASE_URL"], name=name, template=template)


def watched(site: Site) -> Iterator[Site]:
    """Yield the site, and see to it that none of its processes outlives the test."""
    yield site
    left = site.processes()
    site.kill_all()
    assert not left, f"processes were left behind: {left}"
