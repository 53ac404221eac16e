import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from casts import supervisor as supervision
from casts.supervisor import NotReadyError, Program, StopAsked, StopSignals, Supervisor
from tests.processes import alive, wait_for

WAIT = "import signal; open(path, 'a').write('x'); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAIT
# A parent with a child of its own in the same group, both deaf to SIGTERM.
FAMILY = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); " + WAIT


class FileProbe:
    """Sees life in a file that is there."""

    def __init__(self, path: Path):
        self.path = path

    def ask(self, pid: int) -> bool | None:
        return self.path.exists()


class Ignorant:
    def ask(self, pid: int) -> bool | None:
        return None


class Stage:
    """Where programs are supervised: a folder, and what the supervisor said."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.said: list[str] = []

    def program(self, code: str, *, name: str = "player", silence: float = 60) -> Program:
        path = self.folder / f"{name}.sign"
        return Program(
            name=name,
            command=[sys.executable, "-S", "-E", "-c", f"path = {str(path)!r}; {code}"],
            probe=lambda: FileProbe(path),
            silence_seconds=silence,
            environment={"STAGE": str(self.folder)},
        )

    def sign(self, name: str = "player") -> Path:
        return self.folder / f"{name}.sign"

    def alive(self) -> list[int]:
        return alive(marked=f"STAGE={self.folder}")

    @contextmanager
    def supervised(self, *programs: Program, ready: bool = True) -> Iterator[Supervisor]:
        with Supervisor(programs, folder=self.folder, tell=self.said.append, logs=self.folder) as supervisor:
            if ready:
                supervisor.wait_until_ready(seconds=60, is_stopped=lambda: False)
            yield supervisor


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(supervision, "FIRST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(supervision, "ASK_SECONDS", 0.05)
    stage = Stage(tmp_path)
    yield stage
    assert stage.alive() == []


def tended(supervisor: Supervisor, *, until: Callable[[], object]) -> None:
    def look() -> object:
        supervisor.tend()
        return until()

    wait_for("what the supervisor should bring about", look)


def test_programs_are_gone_once_the_supervisor_is_left(stage: Stage):
    with stage.supervised(stage.program(WAIT, name="one"), stage.program(WAIT, name="two")):
        assert len(stage.alive()) == 2
    assert stage.alive() == []


def test_each_program_leads_a_session_of_its_own(stage: Stage):
    with stage.supervised(stage.program(WAIT)) as supervisor:
        process = supervisor.children[0].process
        assert process
        assert os.getsid(process.pid) == process.pid != os.getsid(0)


def test_a_program_that_ends_starts_again_and_that_is_told(stage: Stage):
    with stage.supervised(stage.program(WAIT)) as supervisor:
        [first] = stage.alive()
        os.kill(first, signal.SIGKILL)
        tended(supervisor, until=lambda: stage.sign().read_text() == "xx")
    assert stage.said == ["player was ended by SIGKILL; it starts again in 0.01 s."]


def test_a_program_that_keeps_ending_is_started_at_growing_intervals(stage: Stage):
    with stage.supervised(stage.program("raise SystemExit(3)"), ready=False) as supervisor:
        tended(supervisor, until=lambda: len(stage.said) == 4)
    assert stage.said == [f"player ended with exit code 3; it starts again in {pause} s." for pause in ("0.01", "0.02", "0.04", "0.08")]


def test_a_program_that_was_well_for_long_starts_again_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervision, "WELL_SECONDS", 0)
    with stage.supervised(stage.program("raise SystemExit(3)"), ready=False) as supervisor:
        tended(supervisor, until=lambda: len(stage.said) == 3)
    assert set(stage.said) == {"player ended with exit code 3; it starts again in 0.01 s."}


def test_what_is_left_of_a_programs_group_is_killed_before_it_starts_again(stage: Stage):
    with stage.supervised(stage.program(FAMILY)) as supervisor:
        [child] = supervisor.children
        assert child.process
        group = child.process.pid
        wait_for("both are there", lambda: len(alive(group=group)) == 2)
        os.kill(group, signal.SIGKILL)  # its child lives on
        tended(supervisor, until=lambda: child.process is not None and child.process.pid != group)
        assert alive(group=group) == []


def test_a_silent_program_is_killed_and_starts_again(stage: Stage):
    with stage.supervised(stage.program(WAIT)) as supervisor:
        [child] = supervisor.children
        [first] = stage.alive()
        stage.sign().unlink()
        child.program = replace(child.program, silence_seconds=0.2)
        tended(supervisor, until=lambda: stage.said)
        child.program = replace(child.program, silence_seconds=60)
        tended(supervisor, until=stage.sign().exists)
        assert first not in stage.alive()
    assert stage.said == ["player has been silent for 0 s and was killed; it starts again in 0.01 s."]


def test_a_program_is_not_judged_while_nobody_can_tell(stage: Stage):
    program = replace(stage.program(WAIT, silence=0), probe=Ignorant)
    with stage.supervised(program, ready=False) as supervisor:
        [pid] = stage.alive()
        for _ in range(20):
            supervisor.tend()
            time.sleep(0.02)
        assert stage.alive() == [pid]


def test_a_program_that_ends_before_it_is_ready_is_an_error_with_its_last_words(stage: Stage):
    program = stage.program("raise SystemExit('the port is taken')", name="web")
    with pytest.raises(NotReadyError, match=r"\Aweb ended with exit code 1\.\nthe port is taken\Z"), stage.supervised(program):
        pass


def test_programs_that_take_too_long_to_be_ready_are_an_error(stage: Stage):
    programs = [stage.program(WAIT, name="quick"), stage.program("import signal; signal.pause()", name="slow")]
    with stage.supervised(*programs, ready=False) as supervisor, pytest.raises(NotReadyError, match="Not ready after 2 s: slow"):
        supervisor.wait_until_ready(seconds=2, is_stopped=lambda: False)


def test_waiting_ends_when_somebody_asks_to_stop(stage: Stage):
    with stage.supervised(stage.program("import signal; signal.pause()"), ready=False) as supervisor, pytest.raises(StopAsked):
        supervisor.wait_until_ready(seconds=60, is_stopped=lambda: True)


def test_stop_asks_each_main_process_and_waits_for_it(stage: Stage):
    polite = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (open(path, 'a').write('bye'), sys.exit())); " + WAIT
    with stage.supervised(stage.program(polite)) as supervisor:
        supervisor.stop()
        assert stage.sign().read_text() == "xbye"
    assert stage.said == []


@pytest.mark.parametrize("code", [STUBBORN, FAMILY])
def test_stop_kills_what_does_not_end_within_the_grace(stage: Stage, code: str):
    with stage.supervised(stage.program(code)) as supervisor:
        supervisor.stop(grace=0.3)
        assert stage.alive() == []


def test_stop_kills_a_stopped_process(stage: Stage):
    with stage.supervised(stage.program(WAIT)) as supervisor:
        os.kill(stage.alive()[0], signal.SIGSTOP)
        supervisor.stop(grace=0.3)
        assert stage.alive() == []


def test_a_hurried_stop_waits_no_longer(stage: Stage):
    with stage.supervised(stage.program(STUBBORN)) as supervisor:
        began = time.monotonic()
        supervisor.stop(grace=600, is_hurried=lambda: True)
        assert time.monotonic() - began < 60
        assert stage.alive() == []


SUPERVISE = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from casts.supervisor import Program, Supervisor
class Probe:
    def ask(self, pid): return True
programs = [Program(name="player", command=[sys.executable, "-c", sys.argv[2]], probe=Probe, silence_seconds=60)]
with Supervisor(programs, folder=pathlib.Path("."), tell=print) as supervisor:
    while True:
        supervisor.tend()
        time.sleep(0.05)
"""


def test_a_kill_of_the_supervisor_takes_its_programs_down(stage: Stage):
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", SUPERVISE, root, f"path = {str(stage.sign())!r}; {STUBBORN}"]
    supervisor = subprocess.Popen(command, env={**os.environ, "STAGE": str(stage.folder)})
    try:
        wait_for("the program runs", stage.sign().exists)
        assert len(stage.alive()) == 2
    finally:
        supervisor.kill()
        supervisor.wait()
    wait_for("the program died with its supervisor", lambda: stage.alive() == [])


def test_forks_die_with_their_parent(stage: Stage):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from casts.processes import let_forks_die_with_parent
let_forks_die_with_parent(signal.SIGKILL)
if os.fork() == 0:
    if os.fork() == 0:
        open({str(stage.sign())!r}, "w").write("grandchild")
signal.pause()
"""
    main = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "STAGE": str(stage.folder)})
    try:
        wait_for("the grandchild runs", lambda: stage.sign().exists() and stage.sign().read_text())
        assert len(stage.alive()) == 3
    finally:
        main.kill()
        main.wait()
    wait_for("its forks died with it", lambda: stage.alive() == [])


def test_signals_are_counted_but_for_echoes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervision, "SAME_SIGNAL_SECONDS", 0.2)
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as asked:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert asked.count == 1
        time.sleep(0.25)
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.count == 2
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_hangup_stays_ignored_where_it_was_and_an_interrupt_does_not():
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    try:
        with StopSignals() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
            assert asked.count == 0
            os.kill(os.getpid(), signal.SIGINT)  # a script's background job ignores it at its start
            assert asked.count == 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
