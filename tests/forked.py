"""Python in a process of its own, forked from one that has read the libraries: a start without the second that they take.

What runs is what `python` would run, with the same arguments, environment and folder; nothing of ours was imported before. Tests of
the start itself take `subprocess`.
"""

import atexit
import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

OURS = {"config", "casts", "generations", "spells", "manage"}
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


def start(*arguments: str, environment: Mapping[str, str], folder: Path, stdout: Path, stderr: Path | None = None) -> Forked:
    """Run what `python` would run with these arguments: `-c CODE`, `-m MODULE ...` or `FILE ...`. Without `stderr` it goes to `stdout`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *LIBRARIES])
    process = context.Process(target=_run, args=(arguments, dict(environment), folder, stdout, stderr))
    with _starting, _no_program():  # tests start some at once
        process.start()
    return Forked(process)


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


def run(*arguments: str, environment: Mapping[str, str], folder: Path, seconds: float = 100) -> Ended:
    """Run it to its end."""
    with tempfile.TemporaryDirectory() as outputs:
        stdout, stderr = Path(outputs, "stdout"), Path(outputs, "stderr")
        process = start(*arguments, environment=environment, folder=folder, stdout=stdout, stderr=stderr)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        return Ended(code, stdout.read_text(), stderr.read_text())


def _run(arguments: tuple[str, ...], environment: dict[str, str], folder: Path, stdout: Path, stderr: Path | None) -> None:
    """Be the process: take its environment, its folder and its outputs, and do what its arguments say."""
    gc.freeze()  # what was read before is never garbage
    assert OURS.isdisjoint(name.partition(".")[0] for name in sys.modules), "read under the settings of another"
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.setsid()
    for descriptor, path in ((1, stdout), (2, stderr or stdout)):
        written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(written, descriptor)
        os.close(written)
    sys.path[:0] = [str(folder), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        _execute(*arguments)
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves without


def _execute(kind: str, *arguments: str) -> None:
    if kind == "-c":
        sys.argv = [kind]
        exec(compile(arguments[0], "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv = [*arguments]
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *arguments]
        runpy.run_path(kind, run_name="__main__")
