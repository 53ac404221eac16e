"""The ears of a conductor: PostgreSQL's NOTIFY, and on SQLite a look at whether anybody wrote. Hints only; what is missed is found by polling."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection

from casts.doorbell import CHANNEL

from .database import Database

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 2.0
LOOK_SECONDS = 0.05


async def hear_all(*, database: Database, hear: Callable[[list[UUID]], None]) -> None:
    """Tell of casts that rang, until cancelled; of none by name when any may have."""
    if connection.vendor == "postgresql":
        await listen(parameters=await database.run(connection_parameters), hear=hear)
    else:
        await watch(database=database, hear=hear)


def connection_parameters() -> dict[str, Any]:
    """Return how to reach the database beside Django's connections. Only PostgreSQL can notify."""
    djangos_own = ("context", "cursor_factory")
    return {name: value for name, value in connection.get_connection_params().items() if name not in djangos_own}


async def listen(*, parameters: dict[str, Any], hear: Callable[[list[UUID]], None]) -> None:
    """Hear of casts that rang, until cancelled. A lost connection is made again; after it, everything may have rung."""
    import psycopg  # noqa: PLC0415 - takes its time, which a conductor on SQLite need not

    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as heard:
                await heard.execute(f"LISTEN {CHANNEL}")
                hear([])
                async for notification in heard.notifies():
                    hear(_cast_ids(notification.payload))
        except psycopg.Error as error:
            logger.warning("The conductor does not hear notifications and polls instead: %s", error)
        await asyncio.sleep(RECONNECT_SECONDS)


async def watch(*, database: Database, hear: Callable[[list[UUID]], None]) -> None:
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
            hear([])
        await asyncio.sleep(LOOK_SECONDS)


def _writes() -> tuple[int, int]:
    writes: tuple[int, int] = connection.writes()  # type: ignore[attr-defined] # of config.sqlite
    return writes


def _cast_ids(payload: str) -> list[UUID]:
    try:
        return [UUID(each) for each in json.loads(payload)]
    except (ValueError, TypeError):
        return []  # somebody else's words on our channel: look at everything
