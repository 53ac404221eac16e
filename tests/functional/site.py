"""A Grimoire of its own for a test: a folder, a database, and real processes."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
from psycopg import sql

from tests import forked
from tests.processes import alive, wait_for

ROOT = Path(__file__).parents[2]
LONG = 180.0  # seconds; other tests work beside these
ENDED = ("succeeded", "failed", "cancelled")


@cache
def client() -> httpx2.Client:
    """Return what asks processes of ours. It keeps no connection, which a kill would leave dead, and reads certificates once."""
    return httpx2.Client(timeout=LONG, trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))


class Running:
    """One command that was started. What it says goes to a file."""

    def __init__(self, *arguments: str, environment: Mapping[str, str], log: Path, by_fork: bool = False):
        """Start it, from nothing or by a fork of a Python that has read it."""
        self.log = log
        self.process: subprocess.Popen[bytes] | forked.Forked
        if by_fork:
            log.write_bytes(b"")
            self.process = forked.start(*arguments, environment=environment, folder=ROOT, stdout=log, prepared=True)
            return
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, pattern: str) -> re.Match[str]:
        """Wait until it says something, and return the match."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.said())
            assert found or self.process.poll() is None, f"ended with {self.process.returncode} before {pattern!r}:\n{self.said()}"
            return found

        try:
            match = wait_for(pattern, look, seconds=LONG)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}") from error
        assert match
        return match

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end, and return the exit code."""
        try:
            return self.process.wait(LONG)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end:\n{self.said()}") from None


class Site:
    """The folder, the database and the environment of one Grimoire."""

    def __init__(self, folder: Path, *, database_url: str, key: str = "", by_fork: bool = True):
        """Take an empty folder and a database. Without `by_fork` each process starts from nothing, as for users."""
        self.folder = folder
        self.by_fork = by_fork
        self.key = key
        self.url = ""
        self.host = ""  # the name under which it is asked, if that is not its address
        self._started: list[Running] = []
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("GRIMOIRE_", "DJANGO_"))}
        self.environment |= {
            "DATABASE_URL": database_url,
            "GRIMOIRE_DATA_DIR": str(folder),
            "GRIMOIRE_ENV_FILE": os.devnull,
            "GRIMOIRE_LEASE_SECONDS": "3",
        }

    @property
    def database(self) -> str:
        """Return the name of its database."""
        return self.environment["DATABASE_URL"].rpartition("/")[2]

    def start(
        self,
        *arguments: str,
        program: tuple[str, ...] = ("manage.py",),
        environment: Mapping[str, str] | None = None,
        by_fork: bool | None = None,
    ) -> Running:
        """Start a command, with more environment if it is given; without a fork where the start itself is looked at."""
        by_fork = self.by_fork if by_fork is None else by_fork
        log = self.folder / f"output-{len(self._started)}.log"
        running = Running(*program, *arguments, environment={**self.environment, **(environment or {})}, log=log, by_fork=by_fork)
        self._started.append(running)
        return running

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end, and return what it said."""
        running = self.start(*arguments)
        assert running.end() == code, running.said()
        return running.said()

    def serve(self, *arguments: str, by_fork: bool | None = None) -> Running:
        """Serve on a free port, and return when it is ready."""
        running = self.start("serve", "--port", "0", *arguments, by_fork=by_fork)
        self.url = running.says(r"serves at (http://127\.0\.0\.1:\d+)")[1]
        return running

    def processes(self) -> list[int]:
        """Return all processes of this Grimoire."""
        return sorted(alive(marked=f"GRIMOIRE_DATA_DIR={self.folder}\0"))

    def leaders(self, command: str) -> list[int]:
        """Return those among them that lead a session and have this word in their command: one for each program."""
        return [pid for pid in self.processes() if os.getsid(pid) == pid and command in words_of(pid)]

    def kill_all(self) -> None:
        """Kill all its processes, and wait until they are gone."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for running in self._started:
            running.end()
        wait_for("its processes are gone", lambda: not self.processes())

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on its database, and return the rows. A command to do that would take a second to start."""
        url = self.environment["DATABASE_URL"]
        if url.startswith("sqlite:"):
            with closing(sqlite3.connect(self.folder / "grimoire.sqlite3", timeout=LONG)) as file, file:
                return file.execute(statement).fetchall()
        with psycopg.connect(url) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    # The API

    def get(self, path: str) -> Any:
        return self._answer("GET", path).json()

    def cast(self, spell: str, **inputs: Any) -> str:
        """Start a cast by the API, and return its id."""
        return str(self._answer("POST", "casts/", json={"spell": spell, "inputs": inputs}).json()["id"])

    def wait_for_end(self, cast_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            cast: dict[str, Any] = self.get(f"casts/{cast_id}/")
            return cast if cast["status"] in ENDED else None

        cast = wait_for("the end of the cast", look, seconds=LONG, pause=0.3)
        assert cast
        return cast

    def generations(self, cast_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = self.get(f"casts/{cast_id}/generations/")
        while True:
            found += page["results"]
            if page["next"] is None:
                return found
            page = self.get(page["next"].partition("/api/v1/")[2])

    def places(self, cast_id: str, *, status: str = "succeeded") -> Counter[tuple[str, int]]:
        """Return how often each item of each step of a cast has a generation of that status."""
        return Counter((each["step"], each["item"]) for each in self.generations(cast_id) if each["status"] == status)

    def _answer(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.key}", **({"Host": self.host} if self.host else {})}
        response = client().request(method, f"{self.url}/api/v1/{path}", headers=headers, **options)
        assert response.is_success, response.text
        return response


def words_of(pid: int) -> list[str]:
    """Return the words of a process's command, programs without their folders. None when it is gone."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [Path(word).name for word in command.split("\0")]


@contextmanager
def own_database(server_url: str, *, name: str, template: str = "template0") -> Iterator[str]:
    """Yield the DATABASE_URL of a new database on a PostgreSQL server."""
    url = make_database(server_url, name=name, template=template)
    try:
        yield url
    finally:
        drop_database(url)


def make_database(server_url: str, *, name: str, template: str = "template0") -> str:
    """Make a database on a PostgreSQL server, and return its DATABASE_URL."""
    parts = urlsplit(server_url)
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    return parts._replace(path=f"/{name}").geturl()


def drop_database(url: str) -> None:
    parts = urlsplit(url)
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(parts.path.removeprefix("/"))))
