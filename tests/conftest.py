"""Fixtures of all tests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.core.files.storage import storages
from django.db import connection
from django.test import SimpleTestCase, override_settings
from pytest_django import DjangoDbBlocker

from casts.clock import database_now
from config.sqlite import base as sqlite
from tests.databases import FOLDER, database_under_test
from tests.emptied import emptied_after_tests
from tests.template import file_of, template_once

pytest.register_assert_rewrite("tests.api", "tests.constraints")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("grimoire")
    told = "How many random interleavings the model of the engine tries, others each time (default: the same few)."
    group.addoption("--model-examples", type=int, default=0, metavar="N", help=told)
    told = "How often each pair of acts on a cast is raced, in tests/casts/test_raced_transitions.py (default: 5)."
    group.addoption("--rounds", type=int, default=5, metavar="N", help=told)


@pytest.fixture(scope="session")
def template(django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The DATABASE_URL of a database with its tables, which all workers share. They get copies of it."""
    folder = Path(os.environ[FOLDER], f"template-{database_under_test()}")
    server_url = None if database_under_test() == "sqlite" else os.environ["DATABASE_URL"]
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            url = stack.enter_context(template_once(folder, server_url=server_url))
        yield url


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Take the file as it was copied. It goes with the folder of the run."""
    return database_under_test() == "sqlite"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request: pytest.FixtureRequest, template: str) -> None:
    """Give each worker a copy of the template for its own, on SQLite a file: what happens between connections is tested."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    database = django_settings.DATABASES["default"]
    if database["ENGINE"] == "config.sqlite":
        database["TEST"]["NAME"] = str(django_settings.DATA_DIR / f"test_{worker}.sqlite3")
        shutil.copy(file_of(template), database["TEST"]["NAME"])
        # A power cut in the middle of a test is not survived; all else is as in production.
        database["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    else:
        database["TEST"]["NAME"] = f"test_{database['NAME']}_{worker}"
        database["TEST"]["TEMPLATE"] = template.rpartition("/")[2]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Empty the database after each test that commits.

    At last, end the sessions that would keep it from being dropped: threads that outlive a test keep their connections.
    """
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            stack.enter_context(emptied_after_tests())
        yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """The DATABASE_URL of the database under test, for another process."""
    name = quote(str(connection.settings_dict["NAME"]))
    return f"sqlite:///{name}" if connection.vendor == "sqlite" else urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


@pytest.fixture(scope="session", autouse=True)
def settings_of_all_tests() -> Iterator[None]:
    """Change settings once: each change is told to all who keep something of them, which costs more than many a test."""
    artifacts = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": _artifacts}
    # Without autorefresh, each test's client lists all static files when its middleware starts.
    with override_settings(STORAGES={**django_settings.STORAGES, "artifacts": artifacts}, WHITENOISE_AUTOREFRESH=True):
        yield


@pytest.fixture
def artifact_folder(request: pytest.FixtureRequest) -> Path:
    """Return the folder of what this test stores. It is not made before something is stored: most tests store nothing."""
    folder: Path = request.node.stash[_ARTIFACTS]
    return folder


_artifacts: dict[str, Path] = {}  # the options of their storage
_ARTIFACTS = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give each test a folder of its own, and spare it the fixtures that would do nothing for it."""
    _artifacts["location"] = item.stash[_ARTIFACTS] = Path(os.environ[FOLDER], f"artifacts-{uuid4().hex}")
    storages._storages.pop("artifacts", None)  # type: ignore[attr-defined]  # it knows the folder that it was made with
    if isinstance(item, pytest.Function):
        item.fixturenames = needed_fixtures(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Remove what the test stored, once its fixtures have ended."""
    try:
        return (yield)
    finally:
        folder = item.stash[_ARTIFACTS]
        if folder.is_dir():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)  # a test put a file in its place


# What plugins run before every test, by what a test must have for it to do anything: a marker, or a fixture.
FOR_MARKERS = {
    "_django_db_marker": "django_db",
    "_django_isolate_apps": "django_isolate_apps",
    "_django_set_urlconf": "urls",
    "_template_string_if_invalid_marker": "ignore_template_errors",
}
FOR_FIXTURES = {"_live_server_helper": "live_server", "faker_seed": "faker"}
FOR_NOTHING = {
    "_django_clear_site_cache",  # django.contrib.sites is not installed
    "event_loop_policy",  # fixtures of async tests ask for it themselves
}


def needed_fixtures(item: pytest.Function) -> list[str]:
    """Return a test's fixtures without those that would look at it and do nothing. Each costs as much as an empty test's call."""
    asked = set(item.fixturenames)
    markers = {mark.name for mark in item.iter_markers()}
    idle = {name for name, marker in FOR_MARKERS.items() if marker not in markers}
    idle |= {name for name, fixture in FOR_FIXTURES.items() if fixture not in asked}
    if item.cls is None or not issubclass(item.cls, SimpleTestCase):
        idle.add("_django_setup_unittest")
    return [name for name in item.fixturenames if name not in idle and name not in FOR_NOTHING]


class Clock:
    """The database's clock, to be moved for this process and, on PostgreSQL, for all others on the same database."""

    def __init__(self) -> None:
        self.shift = timedelta()

    def now(self) -> datetime:
        return database_now()

    def advance(self, **units: float) -> None:
        """Move the clock on: `clock.advance(seconds=30)`. Part of the transaction that is open, on PostgreSQL."""
        self.shift += timedelta(**units)
        self._show()

    def reset(self) -> None:
        """Show the real time again. What a test's own transaction showed goes with its rollback."""
        self.shift = timedelta()
        if connection.vendor == "sqlite" or not connection.in_atomic_block:
            self._show()

    def _show(self) -> None:
        if connection.vendor == "sqlite":
            sqlite.clock_shift = self.shift
            return
        body = (
            f"SELECT clock_timestamp() + interval ''{self.shift / timedelta(microseconds=1):.0f} microseconds''"
            if self.shift
            else "SELECT clock_timestamp()"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE OR REPLACE FUNCTION grimoire_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS '{body}'")


@pytest.fixture
def clock(db: None) -> Iterator[Clock]:
    """The clock of the database under test."""
    clock = Clock()
    yield clock
    clock.reset()
