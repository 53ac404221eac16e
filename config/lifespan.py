"""The end of the web process: what it knows and has not told yet, it tells then.

The server ends by the signal that stopped it, so that nothing registered with `atexit` is called; ASGI's lifespan is.
"""

import asyncio
import logging

from django.db import DatabaseError, InterfaceError, connection

from casts.metrics import tallies
from config.bodies import Application, Receive, Scope, Send
from generations import tracing

logger = logging.getLogger(__name__)


class Lifespan:
    """An ASGI application in front of another, that hears of the server's start and end in its stead."""

    def __init__(self, application: Application) -> None:
        """Take the application that serves."""
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the life of the server."""
        if scope["type"] != "lifespan":
            await self.application(scope, receive, send)
            return
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await asyncio.to_thread(tell_the_rest)
        await send({"type": "lifespan.shutdown.complete"})


def tell_the_rest() -> None:
    """Hand over spans and counts. A collector or a database that is away holds up no end for long."""
    tracing.flush()
    try:
        tallies.hand_in()
    except (DatabaseError, InterfaceError):
        logger.warning("What this process counted last could not be handed in, and is lost.", exc_info=True)
    finally:
        connection.close()
