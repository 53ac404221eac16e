"""Whole transactions, tried again as a whole when the database asks for it."""

import functools
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

P = ParamSpec("P")
R = TypeVar("R")


class LostUpdateError(Exception):
    """A row was not as it had been read under its lock: the transaction starts again."""


TRIES = 6
# serialization failure, deadlock
_CONFLICTS = {"40001", "40P01"}
# the same, and lock not available
_TRANSIENT_STATES = {*_CONFLICTS, "55P03"}


def is_conflict(error: Exception) -> bool:
    """Tell whether another transaction got in the way of this one: the more a transaction touches, the likelier that is."""
    return getattr(error.__cause__, "sqlstate", None) in _CONFLICTS


def is_transient(error: Exception) -> bool:
    """Tell whether the same transaction may well succeed when it is tried again on the same connection."""
    if isinstance(error, LostUpdateError):
        return True
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) in _TRANSIENT_STATES:
        return True
    return isinstance(error, OperationalError) and "database is locked" in str(error)


def in_one_transaction(function: Callable[P, R]) -> Callable[P, R]:
    """Run the function in a transaction of its own and again, as a whole, after a deadlock or a lost lock.

    Inside a transaction of the caller's it runs once: only the outermost may start again.
    """
    return _tried_again(function, transaction.atomic)


def in_one_statement(function: Callable[P, R]) -> Callable[P, R]:
    """Do as `in_one_transaction` for a function that writes by one statement and does nothing else.

    PostgreSQL makes a transaction of a statement that stands alone, and need not be told where it begins and ends: that
    would be two more ways to the database. On SQLite a writer waits its turn where a transaction begins.
    """
    return _tried_again(function, _around_a_statement)


def _around_a_statement() -> AbstractContextManager[None]:
    stands_alone = connection.vendor == "postgresql" and not connection.in_atomic_block
    return nullcontext() if stands_alone else transaction.atomic()


def _tried_again(function: Callable[P, R], around: Callable[[], AbstractContextManager[None]]) -> Callable[P, R]:
    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        tries = 1 if connection.in_atomic_block else TRIES
        for left in range(tries - 1, -1, -1):
            try:
                with around():
                    return function(*args, **kwargs)
            except (OperationalError, LostUpdateError) as error:
                if not left or not is_transient(error):
                    raise
                time.sleep(random.uniform(0.0, 0.02 * (tries - left)))  # noqa: S311 - spreads waiters, guards nothing
        raise AssertionError("The last try returns or raises.")

    return run
