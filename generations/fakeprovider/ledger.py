"""The provider's own list of what it billed. Append-only; in a file it survives a restart."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from .appended import AppendedFile
from .identity import Identity
from .prices import Line

# As many entries are shown; the file and the sums have all.
SHOWN = 100_000
# Of as many it is known that they were billed.
KNOWN = 1_000_000


class Ledger:
    """Entries `{"at", "dialect", "id", "model", "status", "lines", "usd"}` and who asked for it (see `Identity.told`).

    `usd` is exact, not rounded. An entry is in the file before `bill` returns, so that nobody is told of work that is
    not billed.
    """

    def __init__(
        self, path: Path | None = None, *, fsync: bool = False, seen: Callable[[Mapping[str, Any]], None] = lambda _: None
    ) -> None:
        """Read what a file has already, and tell `seen` of each entry, now and later. Raises FileError and OSError."""
        self.entries: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self.count = 0
        self.usd = Decimal(0)
        self._seen = seen
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}
        self._file = AppendedFile(path, what="log of a fake provider", read=self._read, fsync=fsync) if path else None

    def _read(self, told: Any) -> None:
        if not all(isinstance(told[name], str) for name in ("dialect", "id", "usd")):
            raise TypeError
        self._take(told)

    def bill(self, *, dialect: str, id: str, model: str, status: str, lines: Sequence[Line], whose: Identity) -> dict[str, Any]:  # noqa: A002 - what it is
        """Write down what was billed for a job or an answer, and return the entry.

        A job is billed once, and so is a request that comes again under its idempotency key: the entry that there is
        comes back. Raises OSError when it cannot be written down; it is then not billed.
        """
        entry = {
            "at": datetime.now(UTC).isoformat(),
            "dialect": dialect,
            "id": id,
            "model": model,
            "status": status,
            **whose.told(),
            "lines": [line.told() for line in lines],
            "usd": format(sum((line.usd for line in lines), Decimal(0)), "f"),
        }
        if known := next((self._known[key] for key in _keys(entry) if key in self._known), None):
            return known
        if self._file is not None:
            self._file.append(entry)
        self._take(entry)
        return entry

    def _take(self, entry: dict[str, Any]) -> None:
        self.usd += Decimal(entry["usd"])
        self.count += 1
        self.entries.append(entry)
        self._known.update(dict.fromkeys(_keys(entry), entry))
        while len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        self._seen(entry)

    def found(self, *, job: str = "", generation: str = "", key: str = "", dialect: str = "") -> Iterable[dict[str, Any]]:
        """Yield the entries among those that are shown to which all that is given applies. A `key` may also stand in the metadata."""
        wanted = {"id": job, "generation_id": generation, "dialect": dialect}
        for entry in self.entries:
            of_key = not key or key == entry.get("idempotency_key") or key in _values(entry.get("metadata"))
            if of_key and all(not value or entry.get(name) == value for name, value in wanted.items()):
                yield entry

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _keys(entry: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return under what an entry is known: none other is billed under that."""
    keys: list[tuple[str, ...]] = [("job", entry["dialect"], entry["id"])]
    if entry.get("idempotency_key"):
        keys.append(("key", entry["dialect"], entry["idempotency_key"], entry.get("request", "")))
    return keys


def _values(metadata: Any) -> list[Any]:
    return list(metadata.values()) if isinstance(metadata, Mapping) else []
