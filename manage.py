#!/usr/bin/env python
"""Run a command of Grimoire: `manage.py demo` shows it at work, `manage.py help` lists the rest."""

import atexit
import gc
import os
import sys

from environs import EnvError


def main() -> None:
    # Python looks through all that there is for garbage when it ends: half a second, for memory that goes with the process.
    atexit.register(gc.freeze)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - needs the variable above

    try:
        execute_from_command_line(sys.argv)
    except EnvError as error:  # the message tells it all; where the settings read it does not matter
        sys.exit(f"{error}\nAll variables are described in .env.example.")


if __name__ == "__main__":
    main()
