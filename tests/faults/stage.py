"""A Grimoire of its own on which faults are injected: a database, real processes, and what is seen of them from outside."""

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from django.conf import settings

from casts.programs import UNCHECKED
from generations.fakeprovider.settings import DEFAULT_KEY
from generations.tools.openai_chat import OpenAIChat
from generations.tools.replicate import Replicate
from spells.models import Effects, Recovery, Tool
from tests.casts import scenes
from tests.fakes import Serving
from tests.functional.site import ROOT, Running, Site, client
from tests.processes import wait_for

from .books import Books, bill_of, identity
from .inside.faults import SHIFT
from .invariants import OVER, Account, examine

# Long enough for a machine with other work; and short, for tests in which a lease must run out.
LEASE_SECONDS = 30.0
SHORT_LEASE_SECONDS = 4.0
# Where nobody hears: jobs have an address for webhooks by which the bill can tell them apart, also without a web process.
NOBODY = "http://127.0.0.1:9"
LONG = 90.0  # seconds; other tests work beside these
ASK_PRICES = {"input_per_million": "0.15", "output_per_million": "0.6"}
JOB_PRICES = {"per_second": "0.00115"}

Point = Mapping[str, str]


def kill(name: str, *, wrote: str, when: str = "before") -> Point:
    """Return a point at which a process kills itself by -9: before or after a commit that wrote something."""
    return {"name": name, "wrote": wrote, "when": when, "do": "kill"}


class Stage(Site):
    """One Grimoire. The test itself acts in it by the ORM, as a client's request would, and makes no call."""

    def __init__(self, folder: Path, *, database_url: str, offered: Path, fake: Serving, log: Path) -> None:
        """Take an empty folder, a database with its tables, the package of adapters, and the provider with its log."""
        super().__init__(folder, database_url=database_url)
        self.books = Books(database_url)
        self.fake = fake
        self.shift = timedelta()
        self._log, self._since = log, log.stat().st_size if log.exists() else 0
        self.environment |= {
            "PYTHONPATH": os.pathsep.join([str(offered), str(ROOT)]),
            "DJANGO_SETTINGS_MODULE": "tests.faults.inside.settings",
            "DJANGO_SECRET_KEY": settings.SECRET_KEY,
            "FAULT_FOLDER": str(folder),
            "GRIMOIRE_PUBLIC_URL": NOBODY,
            "GRIMOIRE_LEASE_SECONDS": str(LEASE_SECONDS),
            "REPLICATE_API_TOKEN": DEFAULT_KEY,
            "OPENAI_API_KEY": DEFAULT_KEY,
            "REPLICATE_WEBHOOK_SECRET": fake.settings.webhook_secret,
        }

    def shorten_leases(self) -> None:
        """Have the conductors to come hold casts for a short time only."""
        self.environment["GRIMOIRE_LEASE_SECONDS"] = str(SHORT_LEASE_SECONDS)

    # Processes

    def conduct(self, *points: Point, **environment: str) -> Running:
        """Start a conductor, and return when it is ready. It fails at these points."""
        running = self.start("conduct", UNCHECKED, environment={"FAULT_POINTS": json.dumps(points), **environment})
        running.says("is ready")
        return running

    def command(self, *arguments: str, points: Sequence[Point] = ()) -> Running:
        """Start a command of `manage.py`."""
        return self.start(*arguments, UNCHECKED, environment={"FAULT_POINTS": json.dumps(points)})

    def web(self, *points: Point, **environment: str) -> Running:
        """Start a web process, and have the conductors to come tell providers its address."""
        arguments = ("config.asgi:application", "--port", "0", "--lifespan", "on", "--timeout-graceful-shutdown", "5")
        # its own address is known once it listens; callbacks are signed alike wherever they point
        environment = {"FAULT_POINTS": json.dumps(points), "GRIMOIRE_PUBLIC_URL": "http://127.0.0.1", **environment}
        running = self.start(*arguments, program=("-m", "uvicorn"), environment=environment)
        self.url = running.says(r"running on (http://127\.0\.0\.1:\d+)")[1]
        self.environment["GRIMOIRE_PUBLIC_URL"] = self.url
        return running

    def stop(self, *all_of_them: Running) -> None:
        """End processes in order, and see that they did."""
        for running in all_of_them:
            running.tell(signal.SIGTERM)
        for running in all_of_them:
            # uvicorn ends by the signal that it was sent, after it has let requests end
            assert running.end() in (0, -signal.SIGTERM), running.said()

    def wait_for_kill(self, running: Running) -> None:
        """Wait until a process was killed by the point that it was given."""
        assert running.end() == -signal.SIGKILL, running.said()

    # What is played

    def step_tool(self, **values: Any) -> Tool:
        return scenes.tool("fault.step", **{"backoff_seconds": 0.1, "max_backoff_seconds": 0.5, **values})

    def ask_tool(self, *, recovery: Recovery = Recovery.NONE, **values: Any) -> Tool:
        """Return a billed tool that is answered at once. One that may be sent again sends its key."""
        config: dict[str, Any] = {"base_url": f"{self.fake.url}/openai/v1", "api_key_env": "OPENAI_API_KEY", "model": "gpt-4o-mini"}
        if recovery == Recovery.RESEND:
            config["idempotency_key_header"] = True
        return self._billed("fault.ask", OpenAIChat, config, recovery=recovery, pricing=ASK_PRICES, **values)

    def job_tool(self, *, adapter: str = "replicate", recovery: Recovery = Recovery.NONE, **values: Any) -> Tool:
        """Return a billed tool whose provider takes its calls as jobs."""
        config = {
            "base_url": f"{self.fake.url}/replicate/v1",
            "api_key_env": "REPLICATE_API_TOKEN",
            "model": "fake/painter",
            "webhook_secret_env": "REPLICATE_WEBHOOK_SECRET",
            "poll_seconds": values.pop("poll_seconds", 0.3),
        }
        return self._billed(adapter, Replicate, config, recovery=recovery, pricing=JOB_PRICES, **values)

    def _billed(self, key: str, adapter: type[Any], config: Mapping[str, Any], **values: Any) -> Tool:
        defaults = {"effects": Effects.BILLED, "backoff_seconds": 0.1, "max_backoff_seconds": 0.5, "run_timeout_seconds": 30}
        schema = adapter.definitions[0].input_schema
        return scenes.tool(values.pop("slug", key), adapter=key, config=config, input_schema=schema, **{**defaults, **values})

    def play(self, *steps: dict[str, Any], **options: Any) -> UUID:
        """Start a cast of these steps, and return its id."""
        return scenes.cast(*steps, slug=options.pop("slug", f"play-{len(list(self.folder.iterdir()))}"), **options).pk

    def go(self, name: str) -> None:
        """Let the steps end that are held by this name."""
        (self.folder / f"go-{name}").touch()

    def runs(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return how often pure steps were really run, those of a name or all."""
        path = self.folder / "runs.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if name in (None, line["name"])]

    def move_clock(self, **units: float) -> None:
        """Move the database's clock on, for everybody."""
        self.shift += timedelta(**units)
        if self.books.is_sqlite:
            new = self.folder / f"{SHIFT}-new"
            new.write_text(str(self.shift.total_seconds()))
            new.rename(self.folder / SHIFT)
            return
        body = f"SELECT clock_timestamp() + interval '{self.shift.total_seconds()} seconds'"
        self.books.tell(f"CREATE OR REPLACE FUNCTION grimoire_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $${body}$$")

    # What is seen

    def status(self, cast_id: UUID) -> str:
        return str(self._row("casts_cast", cast_id)["status"])

    def attempts(self, cast_id: UUID) -> list[dict[str, Any]]:
        """Return the generations of a cast, by step, item and attempt."""
        return self.books.ask(f"""
            SELECT generation.*, step.key FROM generations_generation AS generation JOIN spells_step AS step ON step.id = generation.step_id
            WHERE cast_id = '{self.id_of(cast_id)}' ORDER BY step.position, item, attempt
            """)

    def told(self, cast_id: UUID) -> list[tuple[str, str]]:
        """Return the key of the step and the status of each generation of a cast."""
        return [(each["key"], each["status"]) for each in self.attempts(cast_id)]

    def wait_for_status(self, cast_id: UUID, *statuses: str, seconds: float = LONG) -> None:
        """Wait until a cast has one of these statuses, by default `succeeded`; any other end is none."""
        wanted = statuses or ("succeeded",)

        def look() -> bool:
            row = self._row("casts_cast", cast_id)
            assert row["status"] in wanted or row["status"] not in OVER, f"{row['status']}: {row['error']}"
            return row["status"] in wanted

        with self._explained(cast_id):
            wait_for(f"cast {cast_id} is {' or '.join(wanted)}", look, seconds=seconds)

    @contextmanager
    def _explained(self, cast_id: UUID) -> Iterator[None]:
        """Say beside a failure how the cast stands, and what all processes said."""
        try:
            yield
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told(cast_id)}\n{self.outputs()}") from error

    def wait_for_generation(self, cast_id: UUID, status: str, *, seconds: float = LONG) -> None:
        with self._explained(cast_id):
            wait_for(f"a generation is {status}", lambda: status in [each["status"] for each in self.attempts(cast_id)], seconds=seconds)

    def bill(self) -> list[dict[str, Any]]:
        """Return what the provider has billed since this stage was made."""
        return bill_of(self._log, since=self._since)

    def account(self) -> Account:
        return examine(self.books, bill=self.bill(), shift=self.shift)

    def check(self, *, seconds: float = 10.0) -> Account:
        """See that everything holds, as soon as what is due was looked at."""
        found: list[Account] = []

        def holds() -> bool:
            found.append(self.account())
            return not found[-1].problems

        try:
            wait_for("everything holds", holds, seconds=seconds)
        except AssertionError as error:
            raise AssertionError("\n".join([*found[-1].problems, self.outputs()])) from error
        return found[-1]

    def outputs(self) -> str:
        """Return the end of what each process said."""
        return "\n".join(f"── {running.log.name}\n{running.said()[-2000:]}" for running in self._started)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        """Make a request to the web process."""
        return client().post(f"{self.url}{path}", **options)

    def close(self) -> None:
        """Kill what is left of it."""
        self.kill_all()
        self.books.close()

    def _row(self, table: str, id_: UUID) -> dict[str, Any]:
        [row] = self.books.ask(f"SELECT * FROM {table} WHERE id = '{self.id_of(id_)}'")
        return row

    def id_of(self, id_: UUID) -> str:
        """Return an id as the database writes it."""
        return identity(id_) if self.books.is_sqlite else str(id_)
