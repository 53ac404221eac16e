"""A real web server on this machine, for tools that call one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """What the server answers at a path, after what it answers `before`, once each.

    `hang` waits for the end of the test; `drop` closes the connection unanswered.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drop: bool = False
    cut_short: bool = False
    before: list["Page"] = field(default_factory=list)


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Website(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.pages: dict[str, Page] = {}
        self.seen: list[Seen] = []
        self.over = threading.Event()
        self.scheme = "http"

    def url(self, path: str = "/", *, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_port}{path}"

    def put(self, path: str, body: Any = b"", **page: Any) -> str:
        """Put a page, and return its URL. What is no bytes is sent as JSON."""
        headers = dict(page.pop("headers", {}))
        if not isinstance(body, bytes):
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(body).encode()
        self.pages[path] = Page(body=body, headers=headers, **page)
        return self.url(path)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Website

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(Seen(self.command, self.path, headers, self.rfile.read(length)))
        page = self.server.pages.get(self.path, Page(status=404, body=b"nothing here"))
        page = page.before.pop(0) if page.before else page
        if page.hang:
            self.server.over.wait()
        if page.drop or page.hang:
            self.close_connection = True
            return
        self.send_response(page.status)
        sent = {"Content-Length": str(len(page.body) + (100 if page.cut_short else 0)), **page.headers}
        for name, value in sent.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: Any) -> None:
        """Keep the tests quiet."""


@contextmanager
def website(host: str = "127.0.0.1") -> Iterator[Website]:
    """Serve until the block is left."""
    server = Website(host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
