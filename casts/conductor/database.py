"""The one thread on which a conductor talks to the database, in whole transactions."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

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
