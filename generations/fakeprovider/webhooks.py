"""The sender of webhooks: real signatures, tries as each provider makes them, and what goes wrong on the way."""

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx2

from .jobs import Job
from .settings import Settings
from .signatures import Signer

AT_ONCE = 64
TIMEOUT_SECONDS = 15.0
REMEMBERED = 20_000
# A `completed` that goes out of order is this much ahead of what came before it.
REORDER_SECONDS = 0.5


@cache
def _certificates() -> ssl.SSLContext:
    """Read the certificates that are trusted once for all providers of this process: that takes 80 ms."""
    return httpx2.create_ssl_context()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One webhook. `waits` are the seconds before each further try; `is_last` tells that it says how the job ended.

    `takes` are the statuses that its sender takes for success. `heeds` tells that it is sent by the rules of Standard
    Webhooks: `Retry-After` puts the next try off.
    """

    url: str
    event: str
    body: bytes
    sign: Signer
    waits: Sequence[float] = ()
    is_last: bool = True
    takes: Container[int] = range(200, 300)
    heeds: bool = False


class Post:
    """Sends mails on the event loop, so many at once. `counts` tells what became of them."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; nothing is opened before the first mail."""
        self._settings = settings
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._client: httpx2.AsyncClient | None = None
        self.counts: Counter[str] = Counter()
        self.tries: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def send(self, job: Job, mail: Mail) -> None:
        """Send a mail about a job, the way that was drawn for the job or told."""
        route = job.order.told.webhooks or self._route(job.number)
        self.counts["mails"] += 1
        if route == "lose" and mail.is_last:
            self.counts["lost"] += 1
            return
        wait = 0.0
        if route == "late" and mail.is_last:
            self.counts["late"] += 1
            wait = self._settings.late.at(self._settings.chance(job.number, "late seconds"))
        if route == "reorder" and not mail.is_last:
            self.counts["reordered"] += 1
            wait = job.latency + REORDER_SECONDS
        self._go(job, mail, wait=wait)
        more = job.order.told.copies - 1 + (route == "double") if mail.is_last else 0
        self.counts["doubled"] += more
        for _ in range(more):
            self._go(job, mail, wait=0.0)

    def again(self, job: Job, mail: Mail) -> None:
        """Send a mail once more, because somebody asked for it."""
        self.counts["repeated"] += 1
        self._go(job, mail, wait=0.0)

    def _route(self, number: int) -> str:
        settings, drawn = self._settings, self._settings.chance(number, "webhooks")
        for route, share in (
            ("lose", settings.lose_webhooks),
            ("double", settings.double_webhooks),
            ("late", settings.late_webhooks),
            ("reorder", settings.reorder_webhooks),
        ):
            if drawn < share:
                return route
            drawn -= share
        return "normal"

    def _go(self, job: Job, mail: Mail, *, wait: float) -> None:
        task = asyncio.create_task(self._deliver(job.id, job.order.dialect, mail, wait=wait))
        self._tasks.setdefault(job.id, set()).add(task)
        task.add_done_callback(lambda done: self._is_over(job.id, done))

    def _is_over(self, job_id: str, task: asyncio.Task[None]) -> None:
        self._tasks[job_id].discard(task)
        if not self._tasks[job_id]:
            del self._tasks[job_id]

    @property
    def under_way(self) -> int:
        """Return how many webhooks are neither delivered nor given up."""
        return sum(map(len, self._tasks.values()))

    async def settled(self, job_id: str) -> None:
        """Wait until the webhooks of a job are delivered or given up."""
        while tasks := self._tasks.get(job_id):
            await asyncio.wait(tasks)

    async def _deliver(self, job_id: str, dialect: str, mail: Mail, *, wait: float) -> None:
        await asyncio.sleep(wait)
        for pause in (*mail.waits, None):
            status, asked = await self._try(mail)
            self.tries.append({"job": job_id, "dialect": dialect, "event": mail.event, "url": mail.url, "status": status})
            if status in mail.takes:
                self.counts["delivered"] += 1
                return
            self.counts["refused" if status else "unreachable"] += 1
            if status == HTTPStatus.GONE or pause is None:
                break
            await asyncio.sleep(max(pause, asked if mail.heeds else 0.0) * self._settings.retry_pace)
        self.counts["given_up"] += 1

    async def _try(self, mail: Mail) -> tuple[int, float]:
        """Return the status of the answer, 0 when there was none, and how many seconds it asks to wait."""
        if self._client is None:
            limits = httpx2.Limits(max_connections=AT_ONCE)
            self._client = httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False, verify=_certificates())
        async with self._places:
            self.counts["tries"] += 1
            # signed when it goes: one that waited for its place would be too old
            headers = {"Content-Type": "application/json", "User-Agent": "fakeprovider", **mail.sign(datetime.now(UTC), mail.body)}
            try:
                response = await self._client.post(mail.url, content=mail.body, headers=headers)
            except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):  # also an address that is none
                return 0, 0.0
        asked = response.headers.get("retry-after", "")
        return response.status_code, float(asked) if asked.isdecimal() else 0.0

    async def close(self) -> None:
        """Drop what is still on its way."""
        tasks = [task for each in self._tasks.values() for task in each]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
