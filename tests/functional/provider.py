"""A server that answers when the test lets it, and keeps its own list of what it was asked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HELD_SECONDS = 120.0


class Provider:
    """Answers `/free/...` at once, and `/held/...` once `gate` is open."""

    def __init__(self, port: int):
        self.url = f"http://127.0.0.1:{port}"
        self.gate = threading.Event()
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []

    def urls(self, *, free: int, held: int) -> list[str]:
        return [f"{self.url}/free/{number}" for number in range(free)] + [f"{self.url}/held/{number}" for number in range(held)]

    def holds(self, count: int) -> bool:
        return sum(path.startswith("/held/") for path in self.asked) >= count


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        provider: Provider = self.server.provider  # type: ignore[attr-defined]  # set by `provide`
        provider.asked.append(self.path)
        provider.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.path.startswith("/held/"):
            provider.gate.wait(HELD_SECONDS)
        body = f"This is {self.path}.".encode()
        with suppress(ConnectionError):  # whoever asked was killed meanwhile
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
        pass


@contextmanager
def provide() -> Iterator[Provider]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.provider = provider = Provider(server.server_address[1])  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            provider.gate.set()
            server.shutdown()
            thread.join()
