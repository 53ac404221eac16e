"""What is made once for all workers of a run."""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def shared(folder: Path, *, make: Callable[[], dict[str, str]], take_away: Callable[[dict[str, str]], None]) -> Iterator[dict[str, str]]:
    """Yield what `make` tells. Whoever asks first makes it, whoever leaves last takes it away; others wait meanwhile.

    `folder` is the same for all who share it. What is told must fit into JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "told.json"
    with _alone(folder):
        known: dict[str, Any] = json.loads(told.read_text()) if told.exists() else {"users": 0, "made": make()}
        told.write_text(json.dumps({**known, "users": known["users"] + 1}))
    try:
        yield known["made"]
    finally:
        with _alone(folder):
            known = json.loads(told.read_text())
            told.write_text(json.dumps({**known, "users": known["users"] - 1}))
            if known["users"] == 1:
                told.unlink()
                take_away(known["made"])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out meanwhile."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
