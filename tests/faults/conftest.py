"""Fixtures of the faults. Each test has a Grimoire of its own; the fake provider serves all tests of a process."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from pytest_django import DjangoDbBlocker

from generations.fakeprovider.settings import Settings
from generations.tools import registry
from generations.tools.http_client import certificates
from tests.databases import database_under_test
from tests.fakes import Serving
from tests.functional.site import Site
from tests.postgres import installed
from tests.processes import wait_for
from tests.template import acting_at, copied, file_of

from .inside import adapters
from .stage import Stage


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--long", action="store_true", help="Run the long form alone: thousands of casts under kills and restarts.")
    group.addoption("--seed", type=int, default=1, help="What the long form draws its faults from (default: 1).")
    group.addoption("--casts", type=int, default=5000, help="The casts of the long form (default: 5000).")
    group.addoption("--report", default="", help="A Markdown file into whose table the long form writes its figures.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: the long form of the fault suite; runs with --long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and choose between the rows and the long form. Nothing runs unless the folder is named."""
    folder, wants_long = Path(__file__).parent, config.getoption("--long", default=False)
    named = [Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args]
    is_named = any(folder in (path, *path.parents) for path in named)
    for item in items:
        if folder in item.path.parents:
            if not is_named and item.path.name != "test_table.py":
                item.add_marker(pytest.mark.skip(reason="runs when it is asked for: pytest tests/faults"))
            for mark in (pytest.mark.faults, pytest.mark.each_database, pytest.mark.timeout(300)):
                item.add_marker(mark)
            is_long = item.get_closest_marker("long") is not None
            if is_long != bool(wants_long):
                item.add_marker(pytest.mark.skip(reason="--long runs the long form alone" if wants_long else "runs with --long"))


def copy_of(template: str, url: str) -> None:
    """Fill an empty database, on whichever server, with what is in the template."""
    if database_under_test() == "sqlite":
        shutil.copy(file_of(template), file_of(url))
        return
    programs = installed() / "bin"
    dump = subprocess.run([programs / "pg_dump", "--dbname", template], capture_output=True, check=True)
    subprocess.run([programs / "psql", "--quiet", "--dbname", url], input=dump.stdout, stdout=subprocess.DEVNULL, check=True)


@pytest.fixture(scope="session")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which a package that offers our adapters is installed."""
    folder = tmp_path_factory.mktemp("offered")
    info = folder / "faults-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faults\nVersion: 1.0\n")
    lines = [f"{adapter.key} = {adapter.__module__}:{adapter.__name__}" for adapter in adapters.ALL]
    (info / "entry_points.txt").write_text("\n".join([f"[{registry.GROUP}]", *lines, ""]))
    return folder


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serving, Path]]:
    """A fake provider in a process of its own, and its log."""
    folder = tmp_path_factory.mktemp("provider")
    log = folder / "billed.jsonl"
    site = Site(folder, database_url=f"sqlite:///{folder}/none.sqlite3")
    running = site.start("fakeprovider", "--port", "0", "--latency", "0.1..0.3", "--log", str(log))
    url = running.says(r"serves at (http://127\.0\.0\.1:\d+)")[1]
    with httpx2.Client(trust_env=False, timeout=30, verify=certificates()) as client:
        yield Serving(url=url, settings=Settings(), client=client), log
    site.kill_all()


@pytest.fixture
def fake(provider: tuple[Serving, Path]) -> Iterator[Serving]:
    """The provider, as it is told nothing and has nothing to do."""
    serving, _ = provider
    yield serving
    serving.control("rules", method="DELETE")
    serving.control("release", {})
    wait_for("all its jobs have ended", lambda: not serving.control("stats")["live"])


@pytest.fixture
def stage(
    *,
    tmp_path: Path,
    template: str,
    offered: Path,
    fake: Serving,
    provider: tuple[Serving, Path],
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Stage]:
    """A Grimoire in which nothing runs yet."""
    folder = tmp_path / "stage"
    folder.mkdir()
    with copied(template, folder=folder) as url, django_db_blocker.unblock(), acting_at(url):
        stage = Stage(folder, database_url=url, offered=offered, fake=fake, log=provider[1])
        yield stage
        stage.close()
