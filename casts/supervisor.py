"""Keeps programs running: starts them, asks whether they work, starts again what ended or fell silent.

Each runs in a process group of its own, so that none of its processes is left behind, whatever state it is in.
There is no thread: whoever uses it calls `tend` a few times a second. Children die with the thread that started them.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from casts.processes import die_with_parent, take_in_orphans

TICK_SECONDS = 0.1
ASK_SECONDS = 5.0
START_ASK_SECONDS = 0.2
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
# A program that ran so long was well: its next end is a new story.
WELL_SECONDS = 60.0
GRACE_SECONDS = 30.0
KILL_SECONDS = 10.0
TOLD_LINES = 15
SAME_SIGNAL_SECONDS = 1.0


class NotReadyError(Exception):
    """A program did not come up."""


class StopAsked(Exception):
    """Somebody asked to stop while something else was waited for."""


class Probe(Protocol):
    """How to tell that one run of a program works."""

    def ask(self, pid: int) -> bool | None:
        """Return whether it shows a sign of life, or None when that cannot be told now. Takes two seconds at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to keep running. `probe` makes a new probe for each run; `silence_seconds` is how long it may be silent."""

    name: str
    command: Sequence[str]
    probe: Callable[[], Probe]
    silence_seconds: float
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_fds: Sequence[int] = ()


class StopSignals:
    """Counts SIGTERM, SIGINT and SIGHUP instead of dying of them. A context manager.

    Some send a signal to us and then to our group: two within a second count as one.
    """

    def __init__(self) -> None:
        """Count none yet."""
        self.count = 0
        self._counted_at = float("-inf")
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
                self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        if time.monotonic() - self._counted_at > SAME_SIGNAL_SECONDS:
            self._counted_at = time.monotonic()
            self.count += 1


class Child:
    """One program under supervision, through all its runs. Times are monotonic."""

    def __init__(self, program: Program, *, folder: Path, logs: Path | None, tell: Callable[[str], None]) -> None:
        """Start nothing yet. `logs` is where its output goes; without it the output is ours."""
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.is_ready = False
        self.log = logs / f"{program.name.replace(' ', '-')}.log" if logs else None
        self._folder = folder
        self._tell = tell
        self._end = f"{program.name} was not started"
        self._backoff = FIRST_BACKOFF_SECONDS
        self._started_at = self._heard_at = self._ask_at = self._start_at = time.monotonic()
        self._probe = program.probe()

    def start(self) -> None:
        """Start a run. The end of ours, even by kill -9, ends it at once, whatever state it is in."""
        self._probe, self.is_ready = self.program.probe(), False
        self._started_at = self._heard_at = self._ask_at = time.monotonic()
        output = self.log.open("ab") if self.log else None
        try:
            self.process = subprocess.Popen(
                self.program.command,
                cwd=self._folder,
                env={**os.environ, **self.program.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                pass_fds=tuple(self.program.pass_fds),
                start_new_session=True,  # Ctrl-C is for us, who tell the children in order
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - all it calls was looked up before the fork
            )
        finally:
            if output:
                output.close()

    def tend(self) -> None:
        """Start what is due, notice what ended, ask whether it works when it is time to."""
        now = time.monotonic()
        if self.process is None:
            if now >= self._start_at:
                self.start()
        elif self.process.poll() is not None:
            self._restart(self.how_it_ended())
        elif now >= self._ask_at:
            self._ask(self.process.pid)

    def terminate(self) -> None:
        """Ask the main process alone to stop: it knows best how to end its own."""
        if self.process is not None:
            self.process.terminate()

    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def how_it_ended(self) -> str:
        if self.process is None or self.process.returncode is None:
            return self._end
        code = self.process.returncode
        return f"{self.program.name} " + (f"was ended by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}")

    def end(self) -> None:
        """Kill what is left of the process group, and wait until it is gone."""
        if self.process is not None and not end_group(self.process):
            self._tell(f"{self.program.name} cannot be killed: it hangs in the kernel (process {self.process.pid}).")
        self.process = None
        self.is_ready = False

    def last_words(self) -> str:
        """Return the last lines of its log, if it has one of its own."""
        if self.log is None or not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TOLD_LINES:])

    def _ask(self, pid: int) -> None:
        answer = self._probe.ask(pid)
        now = time.monotonic()
        self._heard_at = self._heard_at if answer is False else now
        self.is_ready = self.is_ready or bool(answer)
        self._ask_at = now + (ASK_SECONDS if self.is_ready else START_ASK_SECONDS)
        silent = now - self._heard_at
        if silent > self.program.silence_seconds:
            self._restart(f"{self.program.name} has been silent for {silent:.0f} s and was killed")

    def _restart(self, what: str) -> None:
        self.end()
        self._end = what
        now = time.monotonic()
        if now - self._started_at > WELL_SECONDS:
            self._backoff = FIRST_BACKOFF_SECONDS
        self._tell(f"{what}; it starts again in {self._backoff:g} s.")
        self._start_at = now + self._backoff
        self._backoff = min(MAX_BACKOFF_SECONDS, 2 * self._backoff)


class Supervisor:
    """Keeps a set of programs running. A context manager: what it started is gone when it is left."""

    def __init__(self, programs: Sequence[Program], *, folder: Path, tell: Callable[[str], None], logs: Path | None = None) -> None:
        """Take the programs, the folder to run them in, and whom to tell what happens to them."""
        self.children = [Child(program, folder=folder, logs=logs, tell=tell) for program in programs]

    def __enter__(self) -> Self:
        take_in_orphans()
        try:
            for child in self.children:
                child.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def tend(self) -> None:
        """Look after all programs once. Takes a few milliseconds, unless one of them does not answer."""
        for child in self.children:
            child.tend()

    def wait_until_ready(self, *, seconds: float, is_stopped: Callable[[], bool]) -> None:
        """Wait until all programs work.

        Raises:
            NotReadyError: one ended, or they took longer than `seconds`.
            StopAsked: `is_stopped` became true.
        """
        give_up_at = time.monotonic() + seconds
        while waiting := [child for child in self.children if not child.is_ready]:
            if is_stopped():
                raise StopAsked
            for child in waiting:
                if child.has_ended():
                    raise NotReadyError(f"{child.how_it_ended()}.\n{child.last_words()}".rstrip())
            if time.monotonic() > give_up_at:
                named = ", ".join(child.program.name for child in waiting)
                raise NotReadyError(f"Not ready after {seconds:.0f} s: {named}.\n{waiting[0].last_words()}".rstrip())
            self.tend()
            time.sleep(TICK_SECONDS)

    def stop(self, *, grace: float = GRACE_SECONDS, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """Ask all programs to stop, wait up to `grace` seconds unless hurried, and kill what is left."""
        for child in self.children:
            child.terminate()
        give_up_at = time.monotonic() + grace
        while not all(child.has_ended() for child in self.children) and time.monotonic() < give_up_at and not is_hurried():
            time.sleep(TICK_SECONDS)
        self._end()

    def _end(self) -> None:
        for child in self.children:
            child.end()


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_group(leader: "subprocess.Popen[bytes]") -> bool:
    """Kill a process group and wait until it is gone: the leader, and those that we took in as orphans.

    Returns False when some are still there after a while.
    """
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    give_up_at = time.monotonic() + KILL_SECONDS
    try:
        leader.wait(KILL_SECONDS)
        while time.monotonic() < give_up_at:
            pid, _ = os.waitpid(-leader.pid, os.WNOHANG)
            if not pid:
                time.sleep(0.01)
    except ChildProcessError:  # no child of ours is of that group any more
        return True
    except subprocess.TimeoutExpired:
        return False
    return False
