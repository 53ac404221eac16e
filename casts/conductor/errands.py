"""What a conductor does beside casts: errands, each taken for a lease, done on the loop, and noted as a set."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db import models

from casts import errands
from casts.errands import LEASE_SECONDS, Errand

from .database import Database, in_halves, is_outage

logger = logging.getLogger(__name__)

# Errands of one kind that are taken, and most often noted, in one transaction, and that are at work at once.
BATCH = 50
ROOM = 100


class Job(Protocol):
    """An errand, loaded: what there is to do."""

    @property
    def errand(self) -> Errand:
        """Return the right to do it."""


class Kind(Protocol):
    """One kind of errand. All but `do` run on the database thread."""

    model: type[models.Model]
    # How many are noted in one run of the database thread, which settles nothing and renews no claim meanwhile.
    noted_at_once: int

    def load(self, taken: Sequence[Errand]) -> Sequence[Any]:
        """Return the jobs of these errands. One that needs no work may be noted at once and left out."""

    async def do(self, job: Any) -> Any:
        """Do a job, outside of any transaction. Returns what to note."""

    def note(self, done: Sequence[Any]) -> Sequence[UUID]:
        """Write what was done, as a set, in one transaction. Returns the casts that rang by it."""

    def fail(self, done: Any, *, why: str) -> None:
        """Write that one job can be neither done nor noted this time."""


@dataclass(slots=True)
class _Line:
    """The errands of one kind that are at work, and those that are done and not yet noted."""

    kind: Kind
    at_work: dict[int, tuple[Errand, "asyncio.Task[None]"]] = field(default_factory=dict)
    done: list[tuple[Errand, Any]] = field(default_factory=list)
    renew_at: float = float("inf")

    @property
    def room(self) -> int:
        return min(BATCH, ROOM - len(self.at_work) - len(self.done))


class Load(NamedTuple):
    """Jobs that were taken, of one kind; if it `is_full` there may be more."""

    line: _Line
    jobs: Sequence[Job]
    is_full: bool


class Errands:
    """Takes errands when they are due, and sees them through. `wake` is called when one is done, `rang` with casts to look at."""

    def __init__(
        self,
        *,
        kinds: Sequence[Kind],
        database: Database,
        pause_seconds: float,
        wake: Callable[[], None],
        rang: Callable[[Sequence[UUID]], None],
    ) -> None:
        """Take the kinds, how long to wait between looks that nobody asked for, and whom to tell."""
        self._lines = [_Line(kind) for kind in kinds]
        self._database = database
        self._pause = pause_seconds
        self._wake = wake
        self._rang = rang
        self.look_at = 0.0
        self._due: list[type[models.Model]] = []

    def ask(self) -> None:
        """Look at the next opportunity: somebody knocked."""
        self.look_at = 0.0

    def expect(self, model: type[models.Model]) -> None:
        """Take errands of this model at the next opportunity, without a look at what is due: somebody knocked for one."""
        self._due = list(dict.fromkeys((*self._due, model)))

    def begin_look(self) -> list[type[models.Model]]:
        """Return the models of which it is to be seen whether an errand is due. Whoever knocks from now on asks for the next look."""
        self.look_at = time.monotonic() + self._pause
        return [line.kind.model for line in self._lines]

    def take(self, due: Sequence[type[models.Model]]) -> Load | None:
        """Take errands of the first of these models, on the database thread: whoever looked there may do so on the same way."""
        return _take(self._line_of(due[0])) if due else None

    def see(self, due: Sequence[type[models.Model]], load: Load | None) -> None:
        """Take in that errands of these models are due, of which the first were taken: somebody looked who asked for more."""
        self._due = list(dict.fromkeys((*self._due, *(due[1:] if load is not None else due))))
        if load is not None:
            self._start(load)

    def go_on_at(self) -> float:
        """Return when to begin others, on the monotonic clock: at once where it is known that some are due."""
        return 0.0 if self._due else self.look_at

    @property
    def is_busy(self) -> bool:
        return any(line.at_work or line.done for line in self._lines)

    async def go_on(self, *, may_begin: bool) -> None:
        """Note what is done, hold on to what is at work, and begin what is due."""
        for line in self._lines:
            if line.done:
                await self._note(line)
            if time.monotonic() >= line.renew_at:
                line.renew_at = time.monotonic() + LEASE_SECONDS / 3
                await self._database.run(errands.renew, line.kind.model, [errand for errand, _ in line.at_work.values()])
        if may_begin and time.monotonic() >= self.look_at:
            self.see(await self._database.run(errands.due, self.begin_look()), None)
        if not may_begin:
            self._due = []
        while self._due:
            model = self._due.pop(0)  # before it is begun: one that cannot be holds up no other
            await self._begin(self._line_of(model))

    async def hand_back(self) -> None:
        """Let go of what is not done: others may take it now."""
        for line in self._lines:
            while line.done:
                await self._note(line)
            left = [errand for errand, task in line.at_work.values() if task.cancel()]
            await self._database.run(errands.put_off, line.kind.model, left, seconds=0.0)

    def _line_of(self, model: type[models.Model]) -> _Line:
        return next(line for line in self._lines if line.kind.model is model)

    async def _begin(self, line: _Line) -> None:
        self._start(await self._database.run(_take, line))

    def _start(self, load: Load) -> None:
        line = load.line
        if load.is_full:
            self.look_at = 0.0  # there may be more
        for job in load.jobs:
            task = asyncio.create_task(self._do(line, job))
            line.at_work[job.errand.id] = job.errand, task
        if load.jobs and line.renew_at == float("inf"):
            line.renew_at = time.monotonic() + LEASE_SECONDS / 3

    async def _do(self, line: _Line, job: Job) -> None:
        errand = job.errand
        try:
            line.done.append((errand, await line.kind.do(job)))
        except Exception:  # a fault of ours: the errand comes due again when its lease ends
            logger.exception("Errand %d of %s ended badly", errand.id, line.kind.model.__name__)
        finally:
            line.at_work.pop(errand.id, None)
            if not line.at_work:
                line.renew_at = float("inf")
        self._wake()

    async def _note(self, line: _Line) -> None:
        some = line.done[: line.kind.noted_at_once]
        rang = await self._database.run(_note, line.kind, [done for _, done in some])
        del line.done[: len(some)]
        self.look_at = 0.0 if line.done else self.look_at
        self._rang(rang)
        if line.done:
            self._wake()


def _take(line: _Line) -> Load:
    """Claim due errands of one kind, as many as there is room for, and load them."""
    room = line.room
    taken = errands.claim(line.kind.model, limit=room)
    return Load(line=line, jobs=line.kind.load(taken) if taken else (), is_full=0 < room == len(taken))


def _note(kind: Kind, done: Sequence[Any]) -> list[UUID]:
    """Note what was done, as a set if that works."""

    def spare(one: Any, error: Exception) -> None:
        logger.error("What was done for an errand of %s cannot be noted", kind.model.__name__, exc_info=error)
        try:
            kind.fail(one, why=f"{type(error).__name__}: {error}")
        except Exception as another:
            if is_outage(another):
                raise
            # A fault of ours: nothing else may be held up by it. The errand comes due again when its lease ends.
            logger.exception("That an errand of %s failed cannot be noted either", kind.model.__name__)

    return [cast_id for rang in in_halves(done, kind.note, spare=spare) for cast_id in rang]
