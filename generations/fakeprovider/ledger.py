"""The provider's own list of what it billed. Append-only; in a file it survives a restart."""

import json
import os
import re
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from .prices import Line

# As many entries are shown; the file and the sums have all.
SHOWN = 100_000
_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)


class Ledger:
    """Entries `{"at", "dialect", "id", "model", "status", "callback", "generation_id", "idempotency_key", "metadata", "lines", "usd"}`.

    `usd` is exact, not rounded. `generation_id` is the UUID in the webhook's address, with or without dashes, if there is one.
    """

    def __init__(self, path: Path | None = None, *, fsync: bool = False) -> None:
        """Read what a file has already. A last line that a crash cut short is not counted, and ended."""
        self.entries: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        self.count = 0
        self.usd = Decimal(0)
        self._fsync = fsync
        self._file: TextIO | None = None
        if path is not None:
            self._file = path.open("a+", encoding="utf-8")
            self._recall(self._file)

    def _recall(self, file: TextIO) -> None:
        file.seek(0)
        line = "\n"
        for line in file:
            try:
                self._take(json.loads(line))
            except ValueError:
                continue
        if not line.endswith("\n"):
            file.write("\n")

    def bill(self, *, dialect: str, id: str, model: str, status: str, lines: Sequence[Line], tags: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002 - what it is
        """Write down what was billed for a job or an answer, and return the entry."""
        callback = str(tags.get("callback", ""))
        found = _UUID.search(callback)
        entry = {
            "at": datetime.now(UTC).isoformat(),
            "dialect": dialect,
            "id": id,
            "model": model,
            "status": status,
            "callback": callback,
            "generation_id": str(UUID(found[0])) if found else "",
            "idempotency_key": tags.get("idempotency_key", ""),
            "metadata": tags.get("metadata") or {},
            "lines": [line.told() for line in lines],
            "usd": format(sum((line.usd for line in lines), Decimal(0)), "f"),
        }
        self._take(entry)
        if self._file is not None:
            self._file.write(json.dumps(entry, ensure_ascii=True) + "\n")
            self._file.flush()
            if self._fsync:
                os.fsync(self._file.fileno())
        return entry

    def _take(self, entry: dict[str, Any]) -> None:
        self.usd += Decimal(entry["usd"])
        self.count += 1
        self.entries.append(entry)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
