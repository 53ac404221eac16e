"""System checks: what would only fail later or, worse, work wrongly. They stop every command that needs a sound site."""

import difflib
import os
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's name

from generations import tracing

OLDEST_SQLITE = (3, 35, 0)  # the first that knows RETURNING


@register("grimoire")
def check_sqlite_is_new_enough(**_: Any) -> list[CheckMessage]:
    if settings.DATABASES["default"]["ENGINE"] != "config.sqlite" or sqlite3.sqlite_version_info >= OLDEST_SQLITE:
        return []
    return [
        Error(
            f"SQLite {sqlite3.sqlite_version} is too old: {'.'.join(map(str, OLDEST_SQLITE))} is the oldest that works.",
            hint="Use a newer Python, or set DATABASE_URL to a PostgreSQL database.",
            id="grimoire.E001",
        )
    ]


@register("grimoire")
def check_cluster_has_no_pool(**_: Any) -> list[CheckMessage]:
    """Refuse a connection pool in the cluster: its processes would share sockets after the fork and read each other's rows."""
    if "qcluster" not in sys.argv[1:] or "pool" not in settings.DATABASES["default"].get("OPTIONS", {}):
        return []
    return [
        Error(
            "GRIMOIRE_DATABASE_POOL is on in a cluster process.",
            hint="Unset it for `qcluster`. The web process sets it for itself.",
            id="grimoire.E002",
        )
    ]


@register("grimoire")
def check_data_folder_is_ours(**_: Any) -> list[CheckMessage]:
    folder: Path = settings.DATA_DIR
    # Not made yet, it will be: what counts is the closest folder that exists.
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        return [
            Error(
                f"The data folder {folder} cannot be written.",
                hint=f"Give this user {existing}, or set GRIMOIRE_DATA_DIR to another folder.",
                id="grimoire.E003",
            )
        ]
    key = folder / "secret_key"
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        return [Warning(f"Others can read {key}.", hint=f"chmod 600 {key}", id="grimoire.W001")]
    return []


@register("grimoire")
def check_operators_can_be_written_to(**_: Any) -> list[CheckMessage]:
    if not settings.GRIMOIRE_ALERT_EMAILS or settings.EMAIL_IS_CONFIGURED:
        return []
    return [Warning("Alerts reach nobody: GRIMOIRE_ALERT_EMAILS needs a mail server.", hint="Set EMAIL_URL.", id="grimoire.W003")]


@register("grimoire")
def check_traces_can_be_made(**_: Any) -> list[CheckMessage]:
    if not settings.TRACES_ENDPOINT or tracing.is_installed():
        return []
    return [
        Warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and there will be no traces: their packages are missing.",
            hint="Install the extra `otel`: uv sync --extra otel",
            id="grimoire.W004",
        )
    ]


@register("grimoire")
def check_variables_are_spelled_right(**_: Any) -> list[CheckMessage]:
    """Warn of a variable that nobody reads and whose name is almost that of one that is read."""
    known = settings.ENVIRONMENT_VARIABLES
    messages: list[CheckMessage] = []
    for name in sorted(set(os.environ) - known):
        meant = difflib.get_close_matches(name, known, n=1, cutoff=0.9) if name.startswith("GRIMOIRE_") else []
        if meant:
            messages.append(Warning(f"The variable {name} is not read.", hint=f"Did you mean {meant[0]}?", id="grimoire.W002"))
    return messages
