"""The server of the fake provider: uvicorn, and a way to cut a connection without an answer."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .answers import CONNECTION
from .fake import Fake

BACKLOG = 4096
# Requests that are never answered do not hold up the end.
GRACEFUL_SECONDS = 1


class CuttableProtocol(H11Protocol):
    """HTTP/1.1 whose program can reach the connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **options)
        app = self.app

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[CONNECTION] = self.transport
            await app(scope, receive, send)

        self.app = with_connection


class Server(uvicorn.Server):
    """A server whose process ends by itself when it is told to stop, instead of by the signal. `ready` is called once it serves."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        """Take what uvicorn takes."""
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(port: int, *, host: str = "127.0.0.1") -> socket.socket:
    """Take a port of this machine; 0 is any that is free. Raises OSError."""
    listener = socket.create_server((host, port), backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def server_of(fake: Fake, *, ready: Callable[[], None] = lambda: None) -> Server:
    """Return the server of a fake provider; `serve` it on a listener."""
    config = uvicorn.Config(
        fake.app,
        http=CuttableProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        backlog=BACKLOG,
    )
    return Server(config, ready=ready)


def run(fake: Fake, listener: socket.socket, *, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    asyncio.run(server_of(fake, ready=ready).serve(sockets=[listener]))
