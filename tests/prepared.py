"""Programs of ours that were read before their settings were known: what `tests/forked.py` forks them from. Importing it reads them.

None of our modules keeps what it read in the settings when it was imported (`config/asgi.py` is the one that does, and is not read
here). Of the libraries django-q2 does. So settings, and what was made of them, are read anew in each process;
`tests/test_forked.py` holds what comes of it against a process that was not prepared.
"""

import atexit
import gc
import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from multiprocessing import forkserver, resource_tracker, util
from types import SimpleNamespace
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import connections
from django.utils.functional import empty
from environs import EnvError

from tests import forked

OURS = {"casts", "generations", "spells", "django_q"}
PROGRAMS = ("casts.conductor", "config.urls", "django_q.cluster")
SETTINGS = ("config.settings", "config.environment")


def prepare() -> None:
    """Read the programs, under whatever settings there are."""
    _name_settings()
    django.setup()
    for program in PROGRAMS:
        importlib.import_module(program)
    for command, app in get_commands().items():
        if app in OURS:
            load_command_class(app, command)


def read_settings() -> None:
    """Read the settings that the environment names, as if none had been read before. What is wrong with them is the program's to tell."""
    _name_settings()
    for name in SETTINGS:
        del sys.modules[name]
    settings._wrapped = empty
    for connection in connections.all(initialized_only=True):
        assert connection.connection is None, "opened under the settings of another"
        del connections[connection.alias]  # models ask one how long the name of a table may be
    vars(connections).pop("settings", None)
    vars(connections)["_settings"] = None
    try:
        django.setup()  # reads them, and sets up logs; the apps are there
    except EnvError:
        settings._wrapped = empty
        return
    fork_programs()
    _configure_queue()
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
    apps.get_app_config("config").ready()


def fork_programs() -> None:
    """Have the supervisor of this process start its programs by forks of it, which have read all that they need."""
    import casts.supervisor  # noqa: PLC0415 - of ours, and so only once the apps are ready

    vars(casts.supervisor)["subprocess"] = SimpleNamespace(**{**vars(subprocess), "Popen": ForkedProgram})


class ForkedProgram(subprocess.Popen[bytes]):
    """A program of ours whose process is forked as for any, and which begins where else it would be replaced by a new Python.

    Its supervisor has no threads, so no lock is held by one that is not there after the fork.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        preexec_fn: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        """Start it."""
        assert command[0] == sys.executable, command
        assert threading.active_count() == 1, threading.enumerate()

        def be_it() -> None:
            if preexec_fn:
                preexec_fn()
            _leave_supervisor(pass_fds)
            os._exit(_run(command[1:], env))

        connections.close_all()  # a connection does not survive a fork; its supervisor opens another
        sys.stdout.flush()  # or it would be written by both
        sys.stderr.flush()
        super().__init__(command, env=env, pass_fds=pass_fds, preexec_fn=be_it, **options)


def _leave_supervisor(pass_fds: Sequence[int]) -> None:
    """Forget what the process that was forked is about: its signals, its files, and what it does at its end."""
    gc.enable()
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    atexit._clear()
    for at_end in (logging.shutdown, util._exit_function):  # type: ignore[attr-defined]
        atexit.register(at_end)
    kept = sorted({0, 1, 2, *pass_fds})
    for below, above in pairwise([*kept, os.sysconf("SC_OPEN_MAX")]):
        os.closerange(below + 1, above)
    resource_tracker._resource_tracker._fd = resource_tracker._resource_tracker._pid = None  # type: ignore[attr-defined]
    vars(forkserver._forkserver).update(vars(forkserver.ForkServer()))


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Be the program to its end, and return its exit code."""
    code: object = None
    try:
        forked.take_over(arguments, environment)
        read_settings()
        forked.execute(*arguments)
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:  # noqa: BLE001 - Python itself would tell of any
        sys.excepthook(*sys.exc_info())
        code = 1
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


def _name_settings() -> None:
    """Do as `manage.py` and `config/asgi.py` do."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def _configure_queue() -> None:
    """Have django-q2 read its settings into the class that all its modules have."""
    module = importlib.import_module("django_q.conf")
    known = module.Conf
    importlib.reload(module)
    for name, value in vars(module.Conf).items():
        if not name.startswith("__"):
            setattr(known, name, value)
    vars(module)["Conf"] = known


prepare()
