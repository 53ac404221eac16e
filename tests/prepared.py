"""Programs of ours that were read before their settings were known: what `tests/forked.py` forks them from. Importing it reads them.

None of our modules keeps what it read in the settings when it was imported (`config/asgi.py` is the one that does, and is not read
here). Of the libraries django-q2 does. So settings, and what was made of them, are read anew in each process;
`tests/test_forked.py` holds what comes of it against a process that was not prepared.
"""

import importlib
import os
import sys
import threading

import django
from django.apps import apps
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import connections
from django.utils.functional import empty
from environs import EnvError

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
    _configure_queue()
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
    apps.get_app_config("config").ready()


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
