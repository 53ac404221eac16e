"""Python in a process of its own, forked from one that has read the libraries: a start without the second that they take.

What runs is what `python` would run, with the same arguments, environment and folder; nothing of ours was imported before. Programs
of ours can be forked from a process that has read them as well, and half a second is saved for each: they read their settings anew
(`tests/prepared.py`). Tests of the start itself take `subprocess`.
"""

import atexit
import ctypes
import gc
import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ForkServer
from pathlib import Path
from typing import Any

OURS = {"config", "casts", "generations", "spells", "manage"}
PREPARED = "tests.prepared"
# What takes long to read, and asks for no settings.
LIBRARIES = (
    *("asyncio", "concurrent.futures", "cryptography.hazmat.primitives.asymmetric.ed25519", "django.contrib.admin"),
    *("django.core.handlers.asgi", "django.core.management", "django.db.backends.postgresql.base", "django.db.backends.sqlite3.base"),
    *("django.db.migrations.executor", "django.db.models", "django.forms", "django.template.defaulttags", "django.template.engine"),
    *("django.urls", "django.utils.html", "django.views.generic", "django_stubs_ext", "environs", "httpx2", "jinja2.sandbox"),
    *("jmespath", "jsonschema", "multiprocessing", "numpy", "PIL.Image", "prometheus_client", "psutil", "psycopg", "psycopg_pool"),
    *("pydantic", "pygments", "pytest", "re2", "requests", "rich.console", "standardwebhooks", "starlette.applications", "structlog"),
    *("time_machine", "uuid_utils", "uvicorn", "uvicorn.main", "uvicorn.protocols.http.auto", "websockets.asyncio.client"),
    *("websockets.asyncio.server", "yaml"),
)

_starting = threading.Lock()


def _server(*modules: str) -> ForkServer:
    """Return what forks processes that have read these modules. It starts with the first of them."""
    server = ForkServer()
    server.set_forkserver_preload([__name__, *LIBRARIES, *modules])
    return server


_of_libraries, _of_ours = _server(), _server(PREPARED)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


class Forked:
    """One such process, handled as a `subprocess.Popen` is."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def start(
    *arguments: str, environment: Mapping[str, str], folder: Path, stdout: Path, stderr: Path | None = None, prepared: bool = False
) -> Forked:
    """Run what `python` would run with these arguments: `-c CODE`, `-m MODULE ...` or `FILE ...`. Without `stderr` it goes to `stdout`.

    A `prepared` one has read our modules, and runs under a Grimoire's settings.
    """
    process = multiprocessing.get_context("forkserver").Process(
        target=_run_prepared if prepared else _run, args=(arguments, dict(environment), folder, stdout, stderr)
    )
    with _starting, _no_program(), _forked_by(_of_ours if prepared else _of_libraries):  # tests start some at once
        process.start()
    return Forked(process)


@contextmanager
def _forked_by(server: ForkServer) -> Iterator[None]:
    """Have multiprocessing take one of our servers in place of its only one."""
    module = vars(multiprocessing.forkserver)
    kept = module["connect_to_new_process"]
    module["connect_to_new_process"] = server.connect_to_new_process
    try:
        yield
    finally:
        module["connect_to_new_process"] = kept


@contextmanager
def _no_program() -> Iterator[None]:
    """Have multiprocessing know no program that runs here: it would read it anew in the child, and with it all that it imports."""
    program = vars(sys.modules["__main__"])
    kept: dict[str, Any] = {name: program.pop(name) for name in ("__spec__", "__file__") if name in program}
    program["__spec__"] = None
    try:
        yield
    finally:
        program.update(kept)


def run(*arguments: str, environment: Mapping[str, str], folder: Path, seconds: float = 100, prepared: bool = False) -> Ended:
    """Run it to its end."""
    with tempfile.TemporaryDirectory() as outputs:
        stdout, stderr = Path(outputs, "stdout"), Path(outputs, "stderr")
        process = start(*arguments, environment=environment, folder=folder, stdout=stdout, stderr=stderr, prepared=prepared)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        return Ended(code, stdout.read_text(), stderr.read_text())


def _run(arguments: tuple[str, ...], environment: dict[str, str], folder: Path, stdout: Path, stderr: Path | None) -> None:
    """Be the process: take its environment, its folder and its outputs, and do what its arguments say."""
    assert OURS.isdisjoint(name.partition(".")[0] for name in sys.modules), "read under the settings of another"
    _become(arguments, environment, folder, stdout, stderr)
    execute(*arguments)


def _run_prepared(arguments: tuple[str, ...], environment: dict[str, str], folder: Path, stdout: Path, stderr: Path | None) -> None:
    _become(arguments, environment, folder, stdout, stderr)
    importlib.import_module(PREPARED).read_settings()
    execute(*arguments)


def _become(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, stdout: Path, stderr: Path | None) -> None:
    os.chdir(folder)
    os.setsid()
    take_over(arguments, environment)
    for descriptor, path in ((1, stdout), (2, stderr or stdout)):
        written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(written, descriptor)
        os.close(written)
    sys.path[:0] = [str(folder), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]


def take_over(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Take the environment of a program, and show it and its command as one that was started."""
    gc.freeze()  # what was read before is never garbage
    os.environ.clear()
    os.environ.update(environment)
    if sys.platform == "linux":
        _show([sys.executable, *arguments], environment)


def _show(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Write both over what the kernel shows in /proc: the command and the environment that the first process was started with.

    Nothing else reads them there: `os.environ` was emptied. Of an environment that is longer, the first variables are shown, ours before all.
    """
    of_stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    arguments_from, arguments_to, environment_from, environment_to = map(int, of_stat[45:49])  # fields 48 to 51 (proc_pid_stat(5))
    ordered = sorted(environment.items(), key=lambda item: not item[0].startswith("GRIMOIRE_"))
    for shown, start, end in (
        (command, arguments_from, arguments_to),
        ([f"{name}={value}" for name, value in ordered], environment_from, environment_to),
    ):
        written = b"".join(os.fsencode(each) + b"\0" for each in shown)[: end - start - 1]
        ctypes.memmove(start, written.ljust(end - start, b"\0"), end - start)


def execute(kind: str, *arguments: str) -> None:
    """Do what Python does with these arguments, up to what it does at its end."""
    try:
        _execute_python(kind, *arguments)
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves without


def _execute_python(kind: str, *arguments: str) -> None:
    if kind == "-c":
        sys.argv = [kind, *arguments[1:]]
        exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv = [*arguments]
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *arguments]
        runpy.run_path(kind, run_name="__main__")
