"""The threads on which a conductor talks to the database, in whole transactions."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, Protocol, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError, connection

from casts.engine.retrying import is_conflict

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def is_outage(error: Exception) -> bool:
    """Tell whether the database is at fault, and not what was asked of it: the same will work once that is mended.

    A schema that is not yet, or no more, the one of this code is such a fault.
    """
    sqlstate = getattr(error.__cause__, "sqlstate", None) or ""
    match error:
        case InterfaceError():
            return True
        case OperationalError():
            return not sqlstate.startswith("54")  # a statement beyond the limits of the program
        case ProgrammingError():
            return sqlstate.startswith("42")
    return False


def may_be_split(error: Exception) -> bool:
    """Tell whether parts of the set that a transaction could not do may still be done, each in a transaction of its own."""
    return is_conflict(error) or not is_outage(error)


def in_halves(things: Sequence[T], do: Callable[[Sequence[T]], R], *, spare: Callable[[T, Exception], None]) -> list[R]:
    """Do something with a set, in one transaction if that works, else in halves: one that cannot be done holds up no other.

    That one is given to `spare`, with the reason. A database that cannot be reached, or that refuses even one alone for
    the sake of other transactions, is nobody's fault: its error is raised.
    """
    done: list[R] = []
    parts = [things]
    while parts:
        some = parts.pop(0)
        try:
            done.append(do(some))
        except Exception as error:
            if len(some) > 1 and may_be_split(error):
                half = len(some) // 2
                parts = [some[:half], some[half:], *parts]
                continue
            if is_outage(error):
                raise
            spare(some[0], error)
    return done


class Database(Protocol):
    """Where functions run that talk to the database: one whole transaction after the other on each connection."""

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function on a thread that has a connection, and return what it returns."""


class DatabaseThread:
    """Runs synchronous functions one after the other, on one connection. `busy_since` is monotonic; infinite while idle.

    `connections` counts the connections that it has had: behind another one may be a database that knows less.
    """

    def __init__(self, name: str = "conductor-database") -> None:
        """Start no thread yet: the first call does."""
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self.busy_since = float("inf")
        self.connections = 0
        self._last: Any = None

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function on the thread. A connection that broke is closed, so that the next call makes a new one."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: self._run(function, *args, **kwargs))

    def end(self) -> None:
        """Have the connection closed and the thread ended after what it has to do, without waiting for that."""
        self._executor.submit(lambda: connection.close())  # noqa: PLW0108 - `connection` is another one on that thread
        self._executor.shutdown(wait=False)

    def close(self) -> None:
        self._executor.submit(lambda: connection.close()).result()  # noqa: PLW0108 - `connection` is another one on that thread
        self._executor.shutdown()

    def _run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        self.busy_since = time.monotonic()
        try:
            return function(*args, **kwargs)
        except (DatabaseError, InterfaceError):
            connection.close()
            raise
        finally:
            self.busy_since = float("inf")
            if connection.connection is not self._last:
                self._last = connection.connection
                self.connections += 1


class DatabaseThreads:
    """Some such threads. What is to be run goes to the first that has nothing to do, so that the others connect only when there is much.

    While all have something to do it waits for whichever is free first: one that a lock keeps waiting holds up nothing but what it does.
    """

    def __init__(self, most: int) -> None:
        """Take how many there may be. None is started yet."""
        self._threads = [DatabaseThread(f"conductor-database-{number}") for number in range(1, most + 1)]
        self._free = asyncio.Semaphore(most)
        self._is_taken = [False] * most

    @property
    def most(self) -> int:
        return len(self._threads)

    @property
    def busy_since(self) -> float:
        """Return since when the one that is at work longest has been, on the monotonic clock; infinity while all are idle."""
        return min(thread.busy_since for thread in self._threads)

    @property
    def connections(self) -> int:
        """Return how many connections all of them have had."""
        return sum(thread.connections for thread in self._threads)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function on the first thread that is free."""
        async with self._free:
            number = self._is_taken.index(False)
            self._is_taken[number] = True
            try:
                return await self._threads[number].run(function, *args, **kwargs)
            finally:
                self._is_taken[number] = False

    def close(self) -> None:
        for thread in self._threads:
            thread.close()
