"""The address of a database in the forms in which others take it."""

from typing import Any
from urllib.parse import unquote, urlsplit


def django_database(url: str) -> dict[str, Any]:
    """Return a PostgreSQL as a Django of one web process has it: with a pool, and options as Grimoire's."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": unquote(str(parts.hostname)),
        "PORT": parts.port or "",
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "NAME": parts.path.removeprefix("/"),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"server_side_binding": True, "prepare_threshold": 2, "pool": {"min_size": 1, "max_size": 10, "timeout": 10}},
    }
