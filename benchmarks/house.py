"""A Grimoire for a load run: a PostgreSQL that writes through to the disk, and real processes."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
import psycopg

from generations.fakeprovider.settings import DEFAULT_KEY, Settings
from tests.functional.site import ROOT, Site, own_database
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

    def offer_clocks(self) -> None:
        """Install a package that offers the tools of `benchmarks.clocks`, as others offer theirs, for all processes that start from now on."""
        folder = self.site.folder / "offered"
        info = folder / "grimoire_benchmarks-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: grimoire-benchmarks\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[grimoire.adapters]\nbenchmark.clock = benchmarks.clocks:Clock\nbenchmark.job = benchmarks.clocks:Job\n"
        )
        self.site.environment["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])

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

    def wait_for_no_live_cast(self, *, seconds: float) -> None:
        """Wait until nothing is left to do. Raises TimeoutError when something is, after that time."""
        give_up_at = time.monotonic() + seconds
        while self.site.sql("SELECT 1 FROM casts_cast WHERE finished_at IS NULL LIMIT 1"):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"Casts have not ended after {seconds:.0f} s.")
            time.sleep(SAMPLE_SECONDS)

    def wait_for_jobs(self, jobs: int, *, seconds: float) -> None:
        """Wait until so many calls wait for their providers. Raises TimeoutError when they do not after that time."""
        give_up_at = time.monotonic() + seconds
        while self.site.sql("SELECT count(*) FROM generations_generation WHERE status = 'submitted'")[0][0] < jobs:
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"There are not {jobs} jobs after {seconds:.0f} s.")
            time.sleep(SAMPLE_SECONDS)

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
def house(
    *, database_url: str = "", template: str = "", options: Mapping[str, str] | None = None, sqlite: bool = False, by_fork: bool = False
) -> Iterator[House]:
    """Yield a house of its own, with these `options` of its server.

    With a `database_url`, in a new database of that server; with a `template`, in a copy of that one. With `sqlite`, in a
    file in its folder, without a server. Its processes start from nothing, since their memory is measured; `by_fork` is for
    tests.
    """
    folder = temporary_folder("grimoire-benchmark-")
    try:
        if sqlite:
            with _served(Site(folder, database_url=f"sqlite:///{folder}/grimoire.sqlite3", by_fork=by_fork), is_new=True) as built:
                yield built
            return
        if not database_url:
            with PostgresServer(fsync=True, **(options or {})) as server, house(database_url=server.url(), by_fork=by_fork) as built:
                yield built
            return
        name = f"benchmark_{os.getpid()}_{time.monotonic_ns()}"
        with (
            own_database(database_url, name=name, template=template or "template0") as url,
            _served(Site(folder, database_url=url, by_fork=by_fork), is_new=not template) as built,
        ):
            yield built
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _served(site: Site, *, is_new: bool) -> Iterator[House]:
    """Yield the house of a site, whose tables are made if it is new, and end all that it started."""
    try:
        if is_new:
            site.run("migrate", "--verbosity", "0")
        yield House(site, database_url=site.environment["DATABASE_URL"])
    finally:
        site.kill_all()


@contextmanager
def beside(built: House) -> Iterator[House]:
    """Yield another house on the same server, whose database is a copy of this one as it is now. Nobody may be connected to it."""
    with house(database_url=built.database_url, template=built.site.database, by_fork=built.site.by_fork) as twin:
        yield twin


@contextmanager
def asleep(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes for a while: what they would do meanwhile is not what is measured."""
    stopped = list(pids)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def told(figures: Mapping[str, object]) -> None:
    """Print figures, one a line."""
    width = max(len(name) for name in figures)
    for name, figure in figures.items():
        print(f"{name:<{width}}  {figure}")
