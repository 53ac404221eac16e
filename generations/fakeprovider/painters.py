"""What takes a while to compute is done in threads that hold nothing up: neither the loop nor the end of the process."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

# More would only take each other's time.
AT_ONCE = 2


class Painters:
    """A few daemon threads, one for each piece of work. A thread pool would have to be waited for at the end."""

    def __init__(self) -> None:
        """Begin with none."""
        self._places = asyncio.Semaphore(AT_ONCE)

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what the work returns, or raise what it raises."""
        loop = asyncio.get_running_loop()
        async with self._places:
            done: asyncio.Future[T] = loop.create_future()

            def run() -> None:
                made: Future[T] = Future()
                try:
                    made.set_result(work(*arguments))
                except Exception as error:  # noqa: BLE001 - it is raised where the work is waited for
                    made.set_exception(error)
                with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                    loop.call_soon_threadsafe(_hand_over, made, done)

            threading.Thread(target=run, name="painter", daemon=True).start()
            return await done


def _hand_over(made: Future[T], done: asyncio.Future[T]) -> None:
    if done.done():  # whoever waited was cancelled
        return
    if (error := made.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(made.result())
