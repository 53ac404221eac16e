"""`manage.py` with one tool more, whose calls never end: run as `python -m tests.functional.manage_stuck conduct`."""

import os
import sys

import django
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from generations.tools import registry

    registry.BUILT_IN["test.stuck"] = "tests.functional.stuck:Stuck"  # type: ignore[index] # a dict, called a Mapping
    execute_from_command_line(sys.argv)
