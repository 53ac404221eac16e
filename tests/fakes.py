"""A fake provider for tests, on a port of this machine, and a receiver of webhooks."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from generations.fakeprovider import server
from generations.fakeprovider.fake import Fake
from generations.fakeprovider.settings import DEFAULT_KEY, Settings, Span
from generations.tools.http_client import certificates
from tests.processes import wait_for

QUICK = Span(least=0.02, most=0.05)


@dataclass(frozen=True)
class Serving:
    """A fake provider that is served. `url` has no path; each dialect has its own below it."""

    url: str
    settings: Settings
    client: httpx2.Client
    key: str = DEFAULT_KEY

    def control(self, name: str, told: Any = None, *, method: str = "") -> Any:
        """Ask or tell it something below `/__fake/`."""
        method = method or ("GET" if told is None else "POST")
        response = self.client.request(method, f"{self.url}/__fake/{name}", json=told)
        assert response.is_success, response.text
        return response.json()

    def tell(self, *, dialect: str = "", place: str = "submit", match: str = "", count: int = 1, **do: Any) -> None:
        """Set a rule for the next requests."""
        self.control("rules", {"dialect": dialect, "place": place, "match": match, "count": count, "do": do})

    def ledger(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.control("ledger")["entries"]
        return entries

    def request(self, method: str, path: str, *, key: str | None = None, scheme: str = "Bearer", **options: Any) -> httpx2.Response:
        """Make a request below the fake's address. `key=""`: without one."""
        key = self.key if key is None else key
        headers = {**({"Authorization": f"{scheme} {key}"} if key else {}), **options.pop("headers", {})}
        return self.client.request(method, self.url + path, headers=headers, **options)

    def file(self, url: str) -> bytes:
        """Fetch an output by its address."""
        response = self.request("GET", url.removeprefix(self.url), key="")
        assert response.is_success, response.text
        return response.content


class _Thread:
    """A thread that serves a fake provider. Told to leave, it does not wait the two tenths of a second that uvicorn takes for an end."""

    def __init__(self, fake: Fake, listener: socket.socket) -> None:
        self._listener = listener
        self._ready = threading.Event()
        self._server = server.server_of(fake, ready=self._ready.set)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fake provider")

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60), "the fake provider does not serve"

    def leave(self) -> None:
        self._loop.call_soon_threadsafe(self._left.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._left = asyncio.get_running_loop(), asyncio.Event()
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        leaving = asyncio.create_task(self._left.wait())
        await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        await asyncio.wait({serving})
        for each in self._server.servers:
            each.close()
        state = self._server.server_state
        for connection in list(state.connections):
            connection.shutdown()
        for task in list(state.tasks):
            task.cancel()
        await self._server.lifespan.shutdown()


@contextmanager
def fake_provider(**settings: Any) -> Iterator[Serving]:
    """Serve a fake provider in a thread until the block is left. Jobs are quick and webhooks tried again at once, unless told otherwise."""
    chosen = Settings(**{"latency": QUICK, "retry_pace": 0.01, "late": QUICK, **settings})
    with server.listen(0) as listener:
        thread = _Thread(Fake(chosen), listener)
        thread.start()
        try:
            with httpx2.Client(trust_env=False, timeout=30, verify=certificates()) as client:
                yield Serving(url=f"http://127.0.0.1:{listener.getsockname()[1]}", settings=chosen, client=client)
        finally:
            thread.leave()


@dataclass(frozen=True)
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What a receiver answers: at once, or once the event is set."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: threading.Event | None = None


@dataclass
class Mailbox:
    """Where webhooks arrive. `statuses` are answered in turn, then 200, with `headers`."""

    url: str
    received: list[Received] = field(default_factory=list)
    statuses: list[int | Reply] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    waiting: int = 0
    _gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._gate.set()

    def hold(self) -> None:
        """Answer none of those to come before they are let go. `waiting` counts them."""
        self._gate.clear()

    def let_go(self) -> None:
        self._gate.set()

    def take(self, mail: Received) -> Reply:
        """Return the answer."""
        self.waiting += 1
        assert self._gate.wait(30)
        self.waiting -= 1
        said = self.statuses.pop(0) if self.statuses else 200
        self.received.append(mail)
        return said if isinstance(said, Reply) else Reply(said)

    def wait(self, count: int) -> list[Received]:
        wait_for(f"{count} webhooks", lambda: len(self.received) >= count, seconds=30)
        return self.received


class Receiver(ThreadingHTTPServer):
    """Takes as many connections at once as come: with five, the kernel drops some of a crowd, and they wait for seconds."""

    request_queue_size = 128


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Receive webhooks until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reply = box.take(Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if reply.after is not None:
                reply.after.wait(60)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **box.headers, **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # who reads only the beginning hangs up
                self.wfile.write(reply.body)

        def log_message(self, *_: Any) -> None:
            """Keep the tests quiet."""

    with Receiver(("127.0.0.1", 0), Handler) as receiver:
        receiver.daemon_threads = True
        box = Mailbox(url=f"http://127.0.0.1:{receiver.server_address[1]}/hook")
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield box
        finally:
            box.let_go()
            receiver.shutdown()
            thread.join()
