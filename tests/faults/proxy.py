"""What stands between a process and its PostgreSQL, and loses the answers to some of its commits."""

import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from casts import errands

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
READY = b"Z\x00\x00\x00\x05I"
# Statements that commit by themselves: what writes a cast, or a callback, where nothing else has to be written with it, and claims.
ALONE = {
    b"INSERT INTO casts_cast": "start",
    b"UPDATE casts_wakeup": "claim",
    b"INSERT INTO generations_callback": "store",
    **{f"UPDATE {model._meta.db_table}".encode(): "errand" for model in errands.MODELS},
}
CHUNK = 65_536


class Proxy:
    """Passes everything on. Of a share of the commits it waits for the server's answer, and closes the connection instead of passing it on."""

    def __init__(self, server: Path, *, share: float, seed: int) -> None:
        """Take the server's socket, and which commits are to be answered by silence."""
        self._server = server
        self._share = share
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lost: Counter[str] = Counter()

    def serve(self) -> None:
        """Take connections until the listener is closed, and return when the last of them has ended."""
        passages = []
        while (client := self._accepted()) is not None:
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            passages.append(_Passage(self, client, server))
            passages[-1].start()
        for passage in passages:
            passage.end()
            passage.join()

    def _accepted(self) -> socket.socket | None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # the listener is closed
            return None
        return client

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def loses(self, kind: str) -> bool:
        """Draw whether the answer to a commit is lost. That to the first of its kind is; of errands no other: each waits out a lease."""
        with self._lock:
            is_lost = kind not in self.lost or (kind != "errand" and self._random.random() < self._share)
            self.lost[kind] += is_lost
        return is_lost


class _Passage(threading.Thread):
    """One connection: a thread for what goes there, and one for what comes back."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        super().__init__(name="passage")
        self._proxy = proxy
        self._client = client
        self._server = server
        self._loses = False
        self._is_at_rest = False
        self._kinds: dict[bytes, str] = {}  # of statements, by their names

    def run(self) -> None:
        back = threading.Thread(target=self._until_closed, args=(self._back,), name="passage back")
        back.start()
        self._until_closed(self._there)
        back.join()
        self._client.close()
        self._server.close()

    def end(self) -> None:
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def _until_closed(self, pump: Callable[[], None]) -> None:
        with suppress(OSError):
            pump()
        self.end()

    def _there(self) -> None:
        while data := self._client.recv(CHUNK):
            if data.endswith(COMMIT):
                self._loses = self._proxy.loses("commit")
            elif (kind := self._written(data)) and self._is_at_rest:
                self._loses = self._proxy.loses(kind)
            self._server.sendall(data)

    def _written(self, data: bytes) -> str:
        """Return what is written of that which commits by itself, by a statement that is parsed now or that was prepared; else nothing."""
        written = ""
        for kind, body in _messages(data):
            if kind == b"P":
                name, query, *_ = body.split(b"\0", 2)
                self._kinds[name] = next((kind for words, kind in ALONE.items() if words in query), "")
            elif kind == b"B":
                _, name, *_ = body.split(b"\0", 2)
                written = self._kinds.get(name, "") or written
        return written

    def _back(self) -> None:
        while data := self._server.recv(CHUNK):
            if self._loses and READY in data:
                return  # it is committed, and nobody will say so
            self._is_at_rest = data.endswith(READY)
            self._client.sendall(data)


def _messages(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the body of each message that is here as a whole, each as its length says."""
    while len(data) > 4 and len(data) > (length := int.from_bytes(data[1:5])) >= 4:
        yield data[:1], data[5 : length + 1]
        data = data[length + 1 :]


@contextmanager
def losing_commits(server: Path, *, share: float, seed: int) -> Iterator[Proxy]:
    """Serve a proxy until the block ends."""
    proxy = Proxy(server, share=share, seed=seed)
    thread = threading.Thread(target=proxy.serve, name="proxy")
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
