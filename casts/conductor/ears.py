"""The ears of a conductor: PostgreSQL's NOTIFY, and on SQLite a look at whether anybody wrote. Hints only; what is missed is found by polling."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection, models

from casts import errands
from casts.doorbell import CHANNEL, name_of

from .database import Database

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 2.0
LOOK_SECONDS = 0.05


class Rang(NamedTuple):
    """What rang: some casts, errands of one kind, or whatever it may be."""

    cast_ids: Sequence[UUID] = ()
    errand: type[models.Model] | None = None


ANYTHING = Rang()


async def hear_all(*, database: Database, hear: Callable[[Rang], None]) -> None:
    """Tell of what rang, until cancelled."""
    if connection.vendor == "postgresql":
        await listen(parameters=await database.run(connection_parameters), hear=hear)
    else:
        await watch(database=database, hear=hear)


def connection_parameters() -> dict[str, Any]:
    """Return how to reach the database beside Django's connections. Only PostgreSQL can notify."""
    djangos_own = ("context", "cursor_factory")
    return {name: value for name, value in connection.get_connection_params().items() if name not in djangos_own}


async def listen(*, parameters: dict[str, Any], hear: Callable[[Rang], None]) -> None:
    """Hear of what rang, until cancelled. A lost connection is made again; after it, everything may have rung."""
    import psycopg  # noqa: PLC0415 - takes its time, which a conductor on SQLite need not

    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as heard:
                await heard.execute(f"LISTEN {CHANNEL}")
                hear(ANYTHING)
                async for notification in heard.notifies():
                    hear(_read(notification.payload))
        except psycopg.Error as error:
            logger.warning("The conductor does not hear notifications and polls instead: %s", error)
        await asyncio.sleep(RECONNECT_SECONDS)


async def watch(*, database: Database, hear: Callable[[Rang], None]) -> None:
    """Look whether anybody wrote to the SQLite file, until cancelled. Twenty looks a second cost less than one poll."""
    seen = None
    while True:
        try:
            written = await database.run(_writes)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The conductor does not see who writes to the database and polls instead: %s", error)
            seen = None  # another connection counts anew; after it, anybody may have written
            await asyncio.sleep(RECONNECT_SECONDS)
            continue
        if written != seen:
            seen = written
            hear(ANYTHING)
        await asyncio.sleep(LOOK_SECONDS)


def _writes() -> tuple[int, int]:
    writes: tuple[int, int] = connection.writes()  # type: ignore[attr-defined] # of config.sqlite
    return writes


def _read(payload: str) -> Rang:
    if payload in _ERRANDS:
        return Rang(errand=_ERRANDS[payload])
    try:
        return Rang(cast_ids=tuple(UUID(each) for each in json.loads(payload)))
    except (ValueError, TypeError, AttributeError):
        return ANYTHING  # somebody else's words on our channel


_ERRANDS = {name_of(model): model for model in errands.MODELS}
