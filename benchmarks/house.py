"""A Grimoire for a load run: a PostgreSQL that writes through to the disk, and real processes."""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
import psycopg

from generations.fakeprovider.settings import DEFAULT_KEY, Settings
from tests.functional.site import Site, own_database
from tests.postgres import PostgresServer, temporary_folder

SAMPLE_SECONDS = 0.5
KEYS = ("REPLICATE_API_TOKEN", "OPENAI_API_KEY")


class House:
    """The site, the fake provider, and what they can be asked."""

    def __init__(self, site: Site, *, database_url: str) -> None:
        """Take a site whose database has its tables."""
        self.site = site
        self.fake_url = ""
        self.database_url = database_url
        site.environment |= dict.fromkeys(KEYS, DEFAULT_KEY)
        site.environment |= {"REPLICATE_WEBHOOK_SECRET": Settings().webhook_secret, "GRIMOIRE_LEASE_SECONDS": "30"}

    def provide(self, *options: str) -> None:
        """Start the fake provider."""
        running = self.site.start("fakeprovider", "--port", "0", "--log", str(self.site.folder / "billed.jsonl"), *options)
        self.fake_url = running.says(r"serves at (http://127\.0\.0\.1:\d+)")[1]

    def order(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Run a function of `benchmarks.orders` inside Grimoire, and return what it returns, by way of JSON."""
        told = json.dumps([arguments, options])
        code = f"import json; from benchmarks import orders; a, o = json.loads({told!r}); print(json.dumps(orders.{name}(*a, **o)))"
        return json.loads(self.site.run("shell", "--no-imports", "-c", code).splitlines()[-1])

    def serve(self, *, conductors: int) -> "Memory":
        """Serve, and return the memory of the conductors, which is looked at from now on."""
        self.site.serve("--conductors", str(conductors), "--workers", "1")
        return Memory(self.site.leaders("conduct"))

    def control(self, name: str) -> Any:
        return httpx2.get(f"{self.fake_url}/__fake/{name}", trust_env=False, timeout=60).json()

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on Grimoire's database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode()).fetchall()

    def counts(self, query: str) -> dict[str, int]:
        """Return what a query counts, by name."""
        return {str(name): int(count) for name, count in self.ask(query)}

    def wait_for_casts(self, casts: int, *, seconds: float) -> bool:
        """Wait until so many casts have ended. False: they have not in that time."""
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            ended = self.ask("SELECT count(*) FROM casts_cast WHERE finished_at IS NOT NULL")[0][0]
            if sys.stdout.isatty():
                print(f"\r{ended} of {casts} casts have ended", end="\n" if ended >= casts else "", flush=True)
            if ended >= casts:
                return True
            time.sleep(SAMPLE_SECONDS)
        return False

    def wait_for_webhooks(self, *, seconds: float) -> bool:
        """Wait until no webhook is on its way any more, and no callback waits. False: some are, after that time."""
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            under_way = self.control("webhooks")["under_way"]
            [(waiting,)] = self.ask("SELECT count(*) FROM generations_callback WHERE outcome = 'received'")
            if not under_way and not waiting:
                return True
            time.sleep(SAMPLE_SECONDS)
        return False


class Memory:
    """The resident memory of processes, in MiB, in samples of all of them together. A context manager."""

    def __init__(self, pids: list[int]) -> None:
        """Take the processes."""
        self._pids = pids
        self._samples = [self._now()]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._samples.append(self._now())

    @property
    def start(self) -> float:
        return self._samples[0]

    @property
    def peak(self) -> float:
        return max(self._samples)

    @property
    def end(self) -> float:
        return self._samples[-1]

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._samples.append(self._now())

    def _now(self) -> float:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids)
        return pages * os.sysconf("SC_PAGESIZE") / 2**20


@contextmanager
def house(*, database_url: str = "", template: str = "", options: Mapping[str, str] | None = None) -> Iterator[House]:
    """Yield a house of its own, with these `options` of its server.

    With a `database_url`, in a new database of that server; with a `template`, in a copy of that one.
    """
    folder = temporary_folder("grimoire-benchmark-")
    try:
        if not database_url:
            with PostgresServer(fsync=True, **(options or {})) as server, house(database_url=server.url()) as built:
                yield built
            return
        with own_database(database_url, name=f"benchmark_{os.getpid()}_{time.monotonic_ns()}", template=template or "template0") as url:
            site = Site(folder, database_url=url)
            try:
                if not template:
                    site.run("migrate", "--verbosity", "0")
                yield House(site, database_url=url)
            finally:
                site.kill_all()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def told(figures: Mapping[str, object]) -> None:
    """Print figures, one a line."""
    width = max(len(name) for name in figures)
    for name, figure in figures.items():
        print(f"{name:<{width}}  {figure}")
