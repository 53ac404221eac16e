"""Grimoire, on PostgreSQL or SQLite, in a database that has its tables."""

import os

import django

from benchmarks.contenders.work import Asked, Measured, contend


def measure(asked: Asked) -> Measured:
    os.environ |= {"DATABASE_URL": asked.url, "DJANGO_SETTINGS_MODULE": "config.settings", "GRIMOIRE_ENV_FILE": os.devnull}
    django.setup()
    from benchmarks.contenders import conducting  # noqa: PLC0415 - models can be imported from here on

    return conducting.measure(asked)


if __name__ == "__main__":
    contend(measure)
