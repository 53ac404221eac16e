"""Server-sent events, read as they come (the HTML standard, 9.2)."""

from collections.abc import Iterator

MAX_EVENT_BYTES = 20 * 2**20


class EventTooLarge(ValueError):
    """An event has more bytes than are taken."""


class EventReader:
    """Takes bytes and gives events, each as its name and data. Comments, ids and retry times are passed over."""

    def __init__(self) -> None:
        """Wait for the first byte."""
        self._left: list[bytes] = []
        self._left_size = 0
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def read(self, chunk: bytes) -> Iterator[tuple[str, str]]:
        """Yield the events that are whole after these bytes. Raises EventTooLarge."""
        for line in self._lines(chunk):
            self._size += len(line)
            if line:
                self._take(line.decode(errors="replace"))
            elif self._data:
                name, data = self._name or "message", "\n".join(self._data)
                self._name, self._data, self._size = "", [], 0
                yield name, data
        if self._size + self._left_size > MAX_EVENT_BYTES:
            raise EventTooLarge

    def _lines(self, chunk: bytes) -> list[bytes]:
        """Return the lines that are whole after these bytes; what is left of them waits for more."""
        self._left.append(chunk)
        self._left_size += len(chunk)
        if b"\n" not in chunk:
            return []
        *lines, rest = b"".join(self._left).replace(b"\r\n", b"\n").split(b"\n")
        self._left, self._left_size = [rest], len(rest)
        return lines

    def _take(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
