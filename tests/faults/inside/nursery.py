"""Starts processes of Grimoire by forking one that has loaded what needs no settings: a third of the time that a new Python takes.

Each is a process of its own, a leader of its session, that begins with its own environment and runs what a shell would run.
Reads orders from standard input, one a line, and answers on standard output; at the end of its input it kills what is left.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import sys
from contextlib import suppress
from typing import Any

# What a conductor and a web process import of other packages; none of it reads settings.
LOADED = [
    "asyncio",
    "concurrent.futures",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "django.contrib.admin",
    "django.core.management",
    "django.core.handlers.asgi",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.db.models",
    "django.forms",
    "django.template.engine",
    "django.template.defaulttags",
    "django.urls",
    "django.utils.html",
    "django.views.generic",
    "environs",
    "httpx2",
    "jinja2.sandbox",
    "jmespath",
    "jsonschema",
    "multiprocessing",
    "numpy",
    "PIL.Image",
    "prometheus_client",
    "psutil",
    "psycopg",
    "psycopg_pool",
    "pydantic",
    "re2",
    "requests",
    "rich.console",
    "standardwebhooks",
    "structlog",
    "time_machine",
    "uuid_utils",
    "uvicorn",
    "uvicorn.main",
    "uvicorn.protocols.http.auto",
    "websockets.asyncio.client",
    "websockets.asyncio.server",
    "yaml",
]


def main() -> None:
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()
    children: dict[int, int | None] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if "poll" in order:
            pid = order["poll"]
            if children[pid] is None:
                ended, status = os.waitpid(pid, os.WNOHANG)
                children[pid] = os.waitstatus_to_exitcode(status) if ended else None
            answer = children[pid]
        else:
            answer = os.fork()
            if not answer:
                _become(**order)
                return
            children[answer] = None
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in (pid for pid, code in children.items() if code is None):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _become(*, arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Run `manage.py …` or `-m module …` as a new Python would."""
    os.setsid()
    for source, flags, target in ((os.devnull, os.O_RDONLY, 0), (log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 1)):
        opened = os.open(source, flags)
        os.dup2(opened, target)
        os.close(opened)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)
    run: Any = runpy.run_path
    if arguments[0] == "-m":
        arguments, run = arguments[1:], _run_module
    sys.argv = arguments
    run(arguments[0], run_name="__main__")


def _run_module(name: str, *, run_name: str) -> None:
    runpy.run_module(name, run_name=run_name, alter_sys=True)


if __name__ == "__main__":
    main()
