"""What tests know of processes: which are there, by environment or group, and waiting for what they do."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def alive(*, marked: str | None = None, group: int | None = None) -> list[int]:
    """Return the ids of the processes with `marked` in their environment, or of a process group. Zombies are dead."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                state, _, pgid = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
                environment = (folder / "environ").read_bytes() if marked else b""
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended while we looked, or is not of ours
            if state != "Z" and ((marked and marked.encode() in environment) or (group is not None and int(pgid) == group)):
                found.append(int(folder.name))
    return found


def wait_for(what: str, look: Callable[[], T], *, seconds: float = 60.0, pause: float = 0.05) -> T:
    """Look until something true is seen, and return it. `pause` is for looks that cost whoever is looked at."""
    give_up_at = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < give_up_at, f"not after {seconds:.0f} s: {what}"
        time.sleep(pause)
    return seen
