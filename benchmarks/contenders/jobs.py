"""procrastinate: jobs on PostgreSQL, of which each puts the next one into the queue, with what it has to say."""

import asyncio
import time

from procrastinate import App, PsycopgConnector

from benchmarks.contenders.work import STEPS, TEXT, Asked, Measured, contend, outcome, step

# Jobs at work at once, and connections for them.
AT_ONCE = 20
# How long a worker sleeps that nobody notified; it is notified.
POLL_SECONDS = 0.2


class Chain:
    """The app, and what its workflows came to."""

    def __init__(self, url: str) -> None:
        """Take the database."""
        self.app = App(connector=PsycopgConnector(conninfo=url, min_size=AT_ONCE, max_size=AT_ONCE))
        self.began_at = float("inf")
        self.ended: list[str] = []
        self.news = asyncio.Event()
        self.app.task(name="step")(self._step)

    async def start(self) -> None:
        await self.app.configure_task("step").defer_async(text=TEXT, number=1)

    async def work(self, *, wait: bool) -> None:
        """Work: until nothing is left and all of it is stored, or for ever."""
        await self.app.run_worker_async(
            concurrency=AT_ONCE, wait=wait, fetch_job_polling_interval=POLL_SECONDS, delete_jobs="never", install_signal_handlers=False
        )

    async def _step(self, text: str, number: int) -> None:
        self.began_at = min(self.began_at, time.monotonic())
        said = step(text)
        if number < STEPS:
            await self.app.configure_task("step").defer_async(text=said, number=number + 1)
        else:
            self.ended.append(said)
            self.news.set()


async def run(asked: Asked) -> Measured:
    """Do the work on an empty database."""
    chain = Chain(asked.url)
    async with chain.app.open_async():
        await chain.app.schema_manager.apply_schema_async()
        await chain.start()
        await chain.work(wait=False)
        for _ in range(asked.workflows):
            await chain.start()
        chain.began_at = float("inf")
        await chain.work(wait=False)
        many = time.monotonic() - chain.began_at
        worker = asyncio.create_task(chain.work(wait=True))
        alone = [await _alone(chain) for _ in range(asked.alone)]
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    assert chain.ended == [outcome()] * (1 + asked.workflows + asked.alone)
    return Measured(many=many, alone=alone)


async def _alone(chain: Chain) -> float:
    """Return how long one takes until its last job says so: before that is stored, which is in its favour."""
    chain.news.clear()
    started_at = time.monotonic()
    await chain.start()
    await chain.news.wait()
    return time.monotonic() - started_at


if __name__ == "__main__":
    contend(lambda asked: asyncio.run(run(asked)))
