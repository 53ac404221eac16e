"""How variables of the environment are read: each checked, and one that cannot be read named with what to do."""

import os
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from django.core.exceptions import ValidationError as InvalidEmailError
from django.core.validators import validate_email
from environs import Env, EnvValidationError, ValidationError, validate

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()


def _check_file(value: str) -> None:
    if not Path(value).exists() or Path(value).is_dir():
        raise ValidationError(f"There is no file {value}.")


env.read_env(env.str("GRIMOIRE_ENV_FILE", default=str(BASE_DIR / ".env"), validate=_check_file), recurse=False)

# Where the SQLite file, the artefacts and a generated secret key live.
DATA_DIR = Path(
    env.str("GRIMOIRE_DATA_DIR", default=str(BASE_DIR / "data"), validate=validate.Length(min=1, error="Expected a folder."))
).resolve()


def _make_data_dir() -> None:
    try:
        DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        problem = f"{DATA_DIR} cannot be made: {error.strerror}. Name a folder that this user may write."
        raise EnvValidationError(f'Environment variable "GRIMOIRE_DATA_DIR" invalid: {problem}', [problem]) from error


def check_secret_key(value: str) -> None:
    if len(value) < 50 or len(set(value)) < 5:  # noqa: PLR2004 - what Django's own deployment check asks for
        raise ValidationError(
            f"It has {len(value)} characters; at least 50 random ones are needed. "
            "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(64))'"
        )


def kept_secret_key() -> str:
    """Return the key that is kept in the data directory, made at first use, whole or not at all."""
    path = DATA_DIR / "secret_key"
    if not path.exists():
        _make_data_dir()
        new = DATA_DIR / f"secret_key.{os.getpid()}"
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(64), encoding="ascii")
        try:
            os.link(new, path)  # of processes that start at once, the first wins
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return path.read_text(encoding="ascii")


def check_public_url(value: str) -> None:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises when it is no number
    except ValueError as error:
        raise ValidationError(f"Not a URL: {error}.") from error
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.username
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise ValidationError("Expected scheme and host alone, like https://grimoire.example.org.")


def _check_database_url(value: str) -> None:
    scheme, _, rest = value.partition("://")
    if scheme not in ("sqlite", "postgres", "postgresql", "pgsql") or rest in ("", "/", ":memory:", "/:memory:"):
        raise ValidationError("Expected postgresql://user:password@host:5432/name or sqlite:////absolute/path.sqlite3.")


def database() -> dict[str, Any]:
    """Return the `default` database: `DATABASE_URL`, else SQLite in the data directory."""
    url = env.str("DATABASE_URL", default=f"sqlite:///{quote(str(DATA_DIR / 'grimoire.sqlite3'))}", validate=_check_database_url)
    database: dict[str, Any] = dict(env.dj_db_url("DATABASE_URL", default=url))
    options = database.setdefault("OPTIONS", {})
    # A pool is for the one process that serves many requests at once. The forks of a cluster would break it.
    pooled = env.bool("GRIMOIRE_DATABASE_POOL", default="config.asgi" in sys.modules)
    pool_size = env.int("GRIMOIRE_DATABASE_POOL_SIZE", default=10, validate=validate.Range(min=1, max=1000))
    # A reconnect per query made django-q2's broker 20 times slower.
    database.update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)
    if database["ENGINE"] == "django.db.backends.sqlite3":
        _make_data_dir()
        # One file, wherever a process was started.
        database.update(ENGINE="config.sqlite", NAME=str(BASE_DIR / database["NAME"]))
        options.update(
            transaction_mode="IMMEDIATE",
            timeout=20,
            # FULL: an intent that was committed survives a power cut (docs/adr/0007)
            init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        )
        return database
    # Django's own backend asks before each use whether a connection still stands.
    if database["ENGINE"] == "django.db.backends.postgresql":
        database["ENGINE"] = "config.postgresql"
    # Bound on the server and prepared from the second use on: 1.6 times faster, measured, together only.
    database["OPTIONS"] = options = {"server_side_binding": True, "prepare_threshold": 2, **options}
    if pooled:
        options["pool"] = {"min_size": 1, "max_size": pool_size, "timeout": 10}
        # Every use of a pooled connection is a new one for Django, and a check by the pool itself would be a statement.
        database.update(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False)
    return database


def _check_email_url(value: str) -> None:
    if value and value.partition(":")[0] not in ("smtp", "submission", "console", "file", "memory", "dummy"):
        raise ValidationError("Expected smtp://user:password@host:25 or submission://user:password@host:587, or console: for a look.")


def email() -> dict[str, Any]:
    """Return the settings of e-mail; nothing while no server is named."""
    url = env.str("EMAIL_URL", default="", validate=_check_email_url)
    read: dict[str, Any] = env.dj_email_url("EMAIL_URL", default="") if url else {}
    return {name: value for name, value in read.items() if name != "DEFAULT_FROM_EMAIL"}


def check_addresses(value: str) -> None:
    for address in filter(None, (each.strip() for each in value.split(","))):
        try:
            validate_email(address)
        except InvalidEmailError as error:
            raise ValidationError(f"{address} is no e-mail address.") from error
