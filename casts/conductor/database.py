"""The one thread on which a conductor talks to the database, in whole transactions."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, connection

P = ParamSpec("P")
R = TypeVar("R")


class DatabaseThread:
    """Runs synchronous functions one after the other, on one connection."""

    def __init__(self) -> None:
        """Start no thread yet: the first call does."""
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="conductor-database")

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function on the thread. A connection that broke is closed, so that the next call makes a new one."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: _run(function, *args, **kwargs))

    def close(self) -> None:
        self._executor.submit(lambda: connection.close()).result()  # noqa: PLW0108 - `connection` is another one on that thread
        self._executor.shutdown()


def _run(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return function(*args, **kwargs)
    except (DatabaseError, InterfaceError):
        connection.close()
        raise
