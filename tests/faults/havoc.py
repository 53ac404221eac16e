"""Kills and restarts at random, drawn from a seed, while Grimoire serves."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2

from generations.fakeprovider.settings import Settings
from generations.tools.http_client import certificates
from tests.fakes import Serving
from tests.functional.site import Running, Site
from tests.postgres import PostgresServer
from tests.processes import wait_for

from .stage import Stage

PROGRAMS = {"worker": "conduct", "cluster": "qcluster", "web": "uvicorn"}
# Seconds between two blows.
PAUSE = (5.0, 15.0)
# How many of the provider's kills make it forget its jobs and files.
FORGETS = 0.25
START_SECONDS = 60.0


class MortalFake:
    """A fake provider in a process that can be killed. It comes back at its old address, and knows what it has billed and its jobs."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        """Start it in a folder of its own."""
        folder.mkdir()
        self.log = folder / "billed.jsonl"
        self._jobs = folder / "jobs.jsonl"
        self._site = Site(folder, database_url=f"sqlite:///{folder}/none.sqlite3")
        self._seed = seed
        self._port = 0
        self.serving = Serving(
            url=self._start(), settings=Settings(seed=seed), client=httpx2.Client(trust_env=False, timeout=30, verify=certificates())
        )
        self._port = int(self.serving.url.rpartition(":")[2])

    def restart(self, *, forgets: bool) -> None:
        """Kill it by -9, and start it again. One that `forgets` knows of no job from before, and has none of their files."""
        self._running.tell(signal.SIGKILL)
        self._running.end()
        if forgets:
            self._jobs.unlink()
        self._start()

    def close(self) -> None:
        self.serving.client.close()
        self._site.kill_all()

    def _start(self) -> str:
        shares = ("--fail", "0.03", "--lose-webhooks", "0.1", "--double-webhooks", "0.1", "--late-webhooks", "0.05")
        times = ("--latency", "0.5..5", "--late-seconds", "2..10", "--seed", str(self._seed))
        files = ("--log", str(self.log), "--jobs", str(self._jobs))
        self._running: Running = self._site.start("fakeprovider", "--port", str(self._port), *times, *files, *shares)
        return str(self._running.says(r"serves at (http://127\.0\.0\.1:\d+)")[1])


class Havoc:
    """Strikes one of the programs, the provider or the database at a time. `blows` counts what was done."""

    def __init__(self, stage: Stage, *, fake: MortalFake, postgres: PostgresServer | None, seed: int) -> None:
        """Take what is to suffer. Without a `postgres` the database is left alone."""
        self._stage = stage
        self._fake = fake
        self._postgres = postgres
        self._random = random.Random(seed)
        self.blows: Counter[str] = Counter()

    def rage(self, *, until: Callable[[], bool]) -> None:
        """Strike again and again until something is so."""
        strike_at = time.monotonic() + self._random.uniform(*PAUSE)
        while not until():
            if time.monotonic() >= strike_at:
                self.strike()
                strike_at = time.monotonic() + self._random.uniform(*PAUSE)
            time.sleep(0.2)

    def strike(self) -> None:
        kinds = {"worker": 8, "cluster": 2, "web": 2, "provider": 2, **({"fast": 1, "immediate": 1} if self._postgres else {})}
        [kind] = self._random.choices(list(kinds), weights=list(kinds.values()))
        if kind in PROGRAMS:
            self._kill(kind)
        elif kind == "provider":
            forgets = self._random.random() < FORGETS
            self._fake.restart(forgets=forgets)
            self.blows["forgetful provider" if forgets else kind] += 1
        elif self._postgres is not None:
            self._postgres.restart("fast" if kind == "fast" else "immediate")
            self._stage.books.close()
            self.blows[kind] += 1

    def _kill(self, kind: str) -> None:
        """Kill one process of a program by -9; who supervises it starts it again."""
        alive = sorted(self._stage.leaders(PROGRAMS[kind]))
        if alive:
            with suppress(ProcessLookupError):
                os.kill(self._random.choice(alive), signal.SIGKILL)
                self.blows[kind] += 1


def patient(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """Ask until there is an answer, as a client does who takes neither silence nor 5xx for one."""

    def answered() -> httpx2.Response | None:
        try:
            answer = ask()
        except httpx2.HTTPError:
            return None
        return None if answer.is_server_error else answer

    answer = wait_for("the web process answers", answered, seconds=START_SECONDS)
    assert answer is not None
    return answer
