"""The signals that end a process, heard before the server that handles them.

A server waits for its responses to end before it tells an application that it stops, and streams do not end until
they are told. So this stands before its handlers, while there are streams, and hands each signal on.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Heard:
    """Handlers that stand before others, until they are taken back."""

    def __init__(self, tell: Callable[[], None]) -> None:
        """Take what to call, in the running loop."""
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        # only the main thread has handlers; in another, whoever started it knows how to stop it
        wanted = STOPPING if threading.current_thread() is threading.main_thread() else ()
        self._before: dict[int, Any] = {number: signal.signal(number, self._hear) for number in wanted}

    def restore(self) -> None:
        """Put back those that stood before, unless somebody has put others into our place."""
        for number, before in self._before.items():
            if signal.getsignal(number) == self._hear:
                signal.signal(number, before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._tell)
        before = self._before[number]
        if callable(before):
            before(number, frame)
        elif before is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def hear(tell: Callable[[], None]) -> Heard:
    """Have `tell` called in the running loop when the process is asked to stop."""
    return Heard(tell)
