"""Settings of Grimoire, read from the environment.

Each variable is documented in `.env.example`. A variable that cannot be read stops the start with its name.
"""

import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import Env

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
env.read_env(env.str("GRIMOIRE_ENV_FILE", default=str(BASE_DIR / ".env")), recurse=False)

DEBUG = env.bool("DJANGO_DEBUG", default=False)

# Where the SQLite file, the artefacts and a generated secret key live.
DATA_DIR = Path(env.str("GRIMOIRE_DATA_DIR", default=str(BASE_DIR / "data"))).resolve()


def _secret_key() -> str:
    """Return the key of `DJANGO_SECRET_KEY`, else one kept in the data directory, made at first use."""
    given = env.str("DJANGO_SECRET_KEY", default="")
    if given:
        return str(given)
    path = DATA_DIR / "secret_key"
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="ascii") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(64))
    except FileExistsError:
        pass
    return path.read_text(encoding="ascii")


SECRET_KEY = _secret_key()

# The address under which clients and providers reach us. Anything but plain http on this machine means TLS.
PUBLIC_URL = env.str("GRIMOIRE_PUBLIC_URL", default="https://localhost").rstrip("/")
_public = urlsplit(PUBLIC_URL)
_tls = _public.scheme == "https"

ALLOWED_HOSTS = env.list("DJANGO_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", _public.hostname or "localhost"])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("GRIMOIRE_BEHIND_PROXY", default=False) else None
SECURE_SSL_REDIRECT = _tls and not DEBUG
SECURE_HSTS_SECONDS = 31_536_000 if _tls and not DEBUG else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = bool(SECURE_HSTS_SECONDS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _tls
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    # ours before the libraries: our templates and commands win
    "config",
    "casts",
    "generations",
    "spells",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _database() -> dict[str, Any]:
    """Return the `default` database: `DATABASE_URL`, else SQLite in the data directory."""
    database: dict[str, Any] = dict(env.dj_db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'grimoire.sqlite3'}"))
    options = database.setdefault("OPTIONS", {})
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["ENGINE"] = "config.sqlite"
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        options.update(
            transaction_mode="IMMEDIATE",
            timeout=20,
            # FULL: an intent that was committed survives a power cut (docs/adr/0007)
            init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        )
    else:
        # Bound on the server and prepared from the second use on: 1.6 times faster, measured, together only.
        options.update(server_side_binding=True, prepare_threshold=2)
    if env.bool("GRIMOIRE_DATABASE_POOL", default=False) and database["ENGINE"] == "django.db.backends.postgresql":
        # For the web process only: a pool is broken by the forks of a cluster.
        options["pool"] = {"min_size": 1, "max_size": env.int("GRIMOIRE_DATABASE_POOL_SIZE", default=10)}
        database["CONN_MAX_AGE"] = 0
    else:
        # A reconnect per query made django-q2's broker 20 times slower.
        database["CONN_MAX_AGE"] = None
        database["CONN_HEALTH_CHECKS"] = True
    return database


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True  # serves from the packages: no collectstatic before the first start
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA_DIR / "media"}},
    # what our tools produced: never served by path, always by a view that checks ownership
    "artifacts": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA_DIR / "artifacts"}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# Bodies above this many bytes are refused with 413.
DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("GRIMOIRE_MAX_BODY_BYTES", default=5 * 1024 * 1024)

Q_CLUSTER = {
    "name": "grimoire",
    "orm": "default",
    "workers": env.int("GRIMOIRE_CLUSTER_WORKERS", default=2),
    "bulk": 8,
    "queue_limit": 4,
    "poll": 0.05,
    "timeout": 600,
    "retry": 900,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "recycle": 50_000,
    "guard_cycle": 0.5,
    "catch_up": False,
    "ALT_CLUSTERS": {},
}

TESTING = "pytest" in sys.modules
