"""One stream: bytes that wait for one client, and the task that sends them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .audience import Audience, Words, name_of
from .opening import Opened

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Beyond so many bytes that a client does not take, it is dropped. What is being sent does not count.
MAX_WAITING_BYTES = 1024 * 1024


class Stream:
    """What one client follows. All times are of the event loop's clock."""

    __slots__ = (
        "_is_dropped",
        "_ready",
        "_sending_since",
        "_task",
        "_waiting",
        "audience",
        "is_finished",
        "opened_at",
        "subject",
        "told_at",
    )

    def __init__(self, opened: Opened, *, now: float) -> None:
        """Take what its client follows."""
        self.subject = opened.subject
        self.audience: Audience = (opened.origin, opened.seen)
        self.opened_at = self.told_at = now
        self.is_finished = self._is_dropped = False
        self._waiting: list[bytes] = []
        self._ready = asyncio.Event()
        self._sending_since: float | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self, *, start: Message, receive: Receive, send: Send) -> None:
        """Send what is said until it is finished and all is sent, the client leaves, or it is dropped."""
        self._task = asyncio.current_task()
        leaving = asyncio.get_running_loop().create_task(self._wait_until_the_client_leaves(receive))
        try:
            await self._send(send, start)
            while not self.is_finished or self._waiting:
                await self._ready.wait()
                self._ready.clear()
                data = b"".join(self._waiting)
                self._waiting.clear()
                await self._send(send, {"type": "http.response.body", "body": data, "more_body": True})
            await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not self._is_dropped or self._task is None:
                raise
            self._task.uncancel()
        finally:
            leaving.cancel()

    def tell(self, words: Words, *, now: float) -> None:
        """Say what is new, and finish if nothing comes after it."""
        self.audience = (self.audience[0], words.seen)
        self.say(words.data, now=now)
        if words.is_end:
            self.finish()

    def say(self, data: bytes, *, now: float) -> None:
        """Let bytes wait to be sent. A client for whom too many wait is dropped."""
        self._waiting.append(data)
        self.told_at = now
        self._ready.set()
        if sum(map(len, self._waiting)) > MAX_WAITING_BYTES and self._sending_since is not None:
            self.drop()

    def finish(self) -> None:
        """End once all that was said is sent."""
        self.is_finished = True
        self._ready.set()

    def drop(self) -> None:
        """End at once: the client takes nothing."""
        if self._task is not None and not self._is_dropped:
            logger.warning("A client that follows %s takes nothing, and is dropped.", name_of(self.subject))
            self._is_dropped = self.is_finished = True
            self._task.cancel()

    def is_stuck(self, *, since: float) -> bool:
        """Tell whether something is being sent since before that time."""
        return self._sending_since is not None and self._sending_since < since

    async def _send(self, send: Send, message: Message) -> None:
        self._sending_since = asyncio.get_running_loop().time()
        await send(message)
        self._sending_since = None

    async def _wait_until_the_client_leaves(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._waiting.clear()
        self.finish()
