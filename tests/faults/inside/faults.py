"""What can be made to go wrong inside a process under test. Loaded by its settings, before anything of Grimoire runs.

The environment says what: FAULT_POINTS (see `Point`), FAULT_FOLDER, FAULT_SKEW_SECONDS (how far this process's own
clock is off), FAULT_LOCK_SECONDS (how long SQLite waits for other writers). Points know transactions by what they write,
not by who writes it, so that no code of Grimoire has to know of them.
"""

import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

SHIFT = "clock-shift"  # in the folder: by how many seconds SQLite's clock is ahead, for all processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A commit at which something happens, once in the life of its folder, whichever process comes there first.

    `wrote` is a regular expression for a statement of the transaction with its parameters. `when` is `before` or `after`
    the commit. `do` is `kill` (by -9), `stop` (by SIGSTOP), or `lose` (the answer to the commit).
    """

    name: str
    wrote: str
    when: str
    do: str

    def fits(self, *, when: str, written: str) -> bool:
        return self.when == when and re.search(self.wrote, written, re.DOTALL) is not None

    def happen(self, folder: Path) -> None:
        try:
            (folder / f"point-{self.name}").touch(exist_ok=False)
        except FileExistsError:
            return
        match self.do:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "lose":
                raise OperationalError("The connection was lost.")


def install() -> None:
    """Make this process fail as its environment says."""
    folder = Path(os.environ["FAULT_FOLDER"])
    points = [Point(**told) for told in json.loads(os.environ.get("FAULT_POINTS", "[]"))]
    if points:
        _watch_commits(points, folder)
    if skew := float(os.environ.get("FAULT_SKEW_SECONDS", "0")):
        _skew(skew)
    _shift_sqlite(folder)


def _watch_commits(points: list[Point], folder: Path) -> None:
    written: dict[int, list[str]] = {}  # by connection
    for name in ("_execute", "_executemany"):
        setattr(CursorWrapper, name, _noting(getattr(CursorWrapper, name), written))
    commit, rollback = BaseDatabaseWrapper._commit, BaseDatabaseWrapper._rollback  # type: ignore[attr-defined]

    def pass_by(when: str, statements: str) -> None:
        for point in points:
            if point.fits(when=when, written=statements):
                point.happen(folder)

    def committing(self: BaseDatabaseWrapper) -> None:
        statements = "\n".join(written.pop(id(self), []))
        pass_by("before", statements)
        commit(self)
        pass_by("after", statements)

    def rolling_back(self: BaseDatabaseWrapper) -> None:
        written.pop(id(self), None)
        rollback(self)

    BaseDatabaseWrapper._commit = committing  # type: ignore[attr-defined]
    BaseDatabaseWrapper._rollback = rolling_back  # type: ignore[attr-defined]


def _noting(execute: Callable[..., Any], written: dict[int, list[str]]) -> Callable[..., Any]:
    def run(self: CursorWrapper, sql: str, params: Any, *rest: Any) -> Any:
        if self.db.in_atomic_block:
            written.setdefault(id(self.db), []).append(f"{sql} {params!r}")
        return execute(self, sql, params, *rest)

    return run


def _skew(seconds: float) -> None:
    import time_machine  # noqa: PLC0415 - for the few processes whose clock is off

    time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds), tick=True).start()


def _shift_sqlite(folder: Path) -> None:
    """Have SQLite's clock follow a file, and its patience the environment. PostgreSQL's clock is moved in the database."""
    from config.sqlite import base  # noqa: PLC0415 - it is looked for in this process's environment

    text = base.now_text

    def now_text(seconds: float = 0.0) -> str:
        shift = folder / SHIFT
        base.clock_shift = timedelta(seconds=float(shift.read_text())) if shift.exists() else timedelta()
        return text(seconds)

    base.now_text = now_text
    base.LOCK_TIMEOUT_SECONDS = float(os.environ.get("FAULT_LOCK_SECONDS", base.LOCK_TIMEOUT_SECONDS))
