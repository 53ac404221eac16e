"""DBOS, in one of its modes: workflows on `threads`, as coroutines (`async`), or from a `queue` that was filled before."""

import asyncio
import time
from urllib.parse import unquote, urlsplit

from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.contenders.work import STEPS, TEXT, Asked, Measured, contend, outcome, step

# Workflows at work at once, and connections for them.
AT_ONCE = 50
QUEUE = "benchmark"
QUEUE_POLL_SECONDS = 0.01
VERSION = "1"
began_at = float("inf")


def begin() -> None:
    global began_at
    began_at = min(began_at, time.monotonic())


@DBOS.step()
def one_step(text: str) -> str:
    begin()
    return step(text)


@DBOS.workflow()
def workflow(text: str) -> str:
    for _ in range(STEPS):
        text = one_step(text)
    return text


@DBOS.step()
async def one_step_async(text: str) -> str:
    begin()
    return step(text)


@DBOS.workflow()
async def workflow_async(text: str) -> str:
    for _ in range(STEPS):
        text = await one_step_async(text)
    return text


def measure(asked: Asked) -> Measured:
    """Do the work on an empty database."""
    measured = {"threads": _on_threads, "async": lambda asked: asyncio.run(_as_coroutines(asked)), "queue": _from_a_queue}[asked.mode](
        asked
    )
    DBOS.destroy()
    return measured


def launch(url: str) -> None:
    """Begin anew on this database."""
    global began_at
    config = DBOSConfig(name="benchmark", system_database_url=for_sqlalchemy(url), application_version=VERSION, log_level="ERROR")
    DBOS(config=config | {"sys_db_pool_size": AT_ONCE, "max_executor_threads": AT_ONCE})
    DBOS.launch()
    began_at = float("inf")


def for_sqlalchemy(url: str) -> str:
    """Return a URL whose host is the folder of a socket in the form in which SQLAlchemy takes it."""
    parts = urlsplit(url)
    return f"postgresql+psycopg://{parts.username}@{parts.path}?host={unquote(str(parts.hostname))}"


def _on_threads(asked: Asked) -> Measured:
    global began_at
    launch(asked.url)
    results = [DBOS.start_workflow(workflow, TEXT).get_result()]
    began_at = float("inf")
    handles = [DBOS.start_workflow(workflow, TEXT) for _ in range(asked.workflows)]
    results += [handle.get_result() for handle in handles]
    many = time.monotonic() - began_at
    alone = []
    for _ in range(asked.alone):
        started_at = time.monotonic()
        results.append(DBOS.start_workflow(workflow, TEXT).get_result())
        alone.append(time.monotonic() - started_at)
    assert set(results) == {outcome()}
    return Measured(many=many, alone=alone)


async def _as_coroutines(asked: Asked) -> Measured:
    global began_at
    launch(asked.url)
    room = asyncio.Semaphore(AT_ONCE)

    async def run() -> str:
        async with room:
            result: str = await (await DBOS.start_workflow_async(workflow_async, TEXT)).get_result()
            return result

    results = [await run()]
    began_at = float("inf")
    results += await asyncio.gather(*(run() for _ in range(asked.workflows)))
    many = time.monotonic() - began_at
    alone = []
    for _ in range(asked.alone):
        started_at = time.monotonic()
        results.append(await run())
        alone.append(time.monotonic() - started_at)
    assert set(results) == {outcome()}
    return Measured(many=many, alone=alone)


def _from_a_queue(asked: Asked) -> Measured:
    """Fill the queue while nobody listens to it, then listen. Alone, a workflow waits for the next look at the queue: see `threads`."""
    launch(asked.url)
    results = [DBOS.start_workflow(workflow, TEXT).get_result()]
    DBOS.destroy()
    client = DBOSClient(system_database_url=for_sqlalchemy(asked.url))
    handles = [
        client.enqueue({"workflow_name": workflow.__qualname__, "queue_name": QUEUE, "app_version": VERSION}, TEXT)
        for _ in range(asked.workflows)
    ]
    launch(asked.url)
    DBOS.register_queue(QUEUE, worker_concurrency=AT_ONCE, polling_interval_sec=QUEUE_POLL_SECONDS)
    results += [handle.get_result(polling_interval_sec=QUEUE_POLL_SECONDS) for handle in handles]
    many = time.monotonic() - began_at
    assert set(results) == {outcome()}
    return Measured(many=many)


if __name__ == "__main__":
    contend(measure)
