"""Settings of Grimoire, read from the environment.

Each variable is documented in `.env.example`. A variable that cannot be read stops the start with its name.
"""

import os
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
from environs import validate

from config import logs
from config.environment import (
    BASE_DIR,
    DATA_DIR,
    check_addresses,
    check_public_url,
    check_secret_key,
    database,
    email,
    env,
    kept_secret_key,
)

django_stubs_ext.monkeypatch()

DEBUG = env.bool("DJANGO_DEBUG", default=False)

SECRET_KEY = env.str("DJANGO_SECRET_KEY", default="", validate=check_secret_key) or kept_secret_key()
# Keys of before: what they signed or encrypted can still be read.
SECRET_KEY_FALLBACKS: list[str] = env.list("DJANGO_SECRET_KEY_FALLBACKS", default=[])


# The address under which clients and providers reach us. Anything but plain http on this machine means TLS.
PUBLIC_URL = env.str("GRIMOIRE_PUBLIC_URL", default="https://localhost", validate=check_public_url).rstrip("/")
# Where providers may call back: nowhere, unless somebody (`manage.py serve` does) said how we are reached.
CALLBACK_ORIGIN = PUBLIC_URL if os.environ.get("GRIMOIRE_PUBLIC_URL") else ""
_public = urlsplit(PUBLIC_URL)
_tls = _public.scheme == "https"

_hosts = env.list("DJANGO_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", _public.hostname or "localhost"])
ALLOWED_HOSTS = [host.strip() for host in _hosts]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("GRIMOIRE_BEHIND_PROXY", default=False) else None
SECURE_SSL_REDIRECT = _tls and not DEBUG
SECURE_HSTS_SECONDS = 31_536_000 if _tls and not DEBUG else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = bool(SECURE_HSTS_SECONDS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _tls
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    # ours before the libraries: our templates and commands win
    "config",
    "casts",
    "generations",
    "spells",
    "config.apps.GrimoireAdminConfig",
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
    "config.middleware.request_ids",  # first: all that follows logs under the request's id
    "config.bodies.limit_bodies",  # before anything reads a body
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


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # serves from the packages: there is no collectstatic, and no folder to forget it in
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA_DIR / "media"}},
    # what our tools produced: never served by path, always by a view that checks ownership
    "artifacts": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA_DIR / "artifacts"}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# Bodies above this many bytes are refused with 413.
DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("GRIMOIRE_MAX_BODY_BYTES", default=5 * 1024 * 1024, validate=validate.Range(min=1024))
# The largest file that a user may bring, in bytes.
GRIMOIRE_MAX_UPLOAD_BYTES = env.int("GRIMOIRE_MAX_UPLOAD_BYTES", default=25 * 1024 * 1024, validate=validate.Range(min=1024))

# A value of an output that is larger, in bytes of JSON, is kept as an artefact. Larger than the params of one call it is of no use as it is.
LARGE_VALUE_BYTES = env.int("GRIMOIRE_LARGE_VALUE_BYTES", default=256 * 1024, validate=validate.Range(min=4096, max=1024 * 1024))

# Casts that ended longer ago, in days, are removed with all that they made (docs/operations.md); 0 keeps them for ever.
GRIMOIRE_RETENTION_DAYS = env.int("GRIMOIRE_RETENTION_DAYS", default=180, validate=validate.Range(min=0, max=36_500))

# Live events of casts that one web process serves at once, and how many of them for one user.
GRIMOIRE_MAX_STREAMS = env.int("GRIMOIRE_MAX_STREAMS", default=500, validate=validate.Range(min=1, max=10_000))
GRIMOIRE_MAX_STREAMS_PER_USER = env.int("GRIMOIRE_MAX_STREAMS_PER_USER", default=100, validate=validate.Range(min=1, max=10_000))

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "config.authentication.BearerAuthentication",  # first: a 401 asks for a key
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["config.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "config.pagination.Cursors",
    "DEFAULT_FILTER_BACKENDS": ["config.filters.StrictFilters"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": "config.metadata.Methods",
    "EXCEPTION_HANDLER": "config.problems.handle",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_TTL": None,  # a key lives until it is deleted, unless its maker says otherwise
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Grimoire",
    "DESCRIPTION": "Runs chains of generative tools and never loses one. Errors are problem documents (RFC 9457).",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_NO_READ_ONLY_REQUIRED": False,
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "config.openapi.add_problems"],
    "ENUM_NAME_OVERRIDES": {
        "CastStatusEnum": "casts.progress.ShownStatus",
        "GenerationStatusEnum": "generations.models.GenerationStatus",
        "VisibilityEnum": "spells.models.Visibility",
        "EffectsEnum": "spells.models.Effects",
        "EventKindEnum": "casts.models.EventKind",
        "NotificationKindEnum": "casts.models.NotificationKind",
        "NotificationStatusEnum": "casts.models.NotificationStatus",
        "NotificationChannelEnum": "casts.models.NotificationChannel",
    },
    "PATH_CONVERTER_OVERRIDES": {
        "spell": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
        "tool": {"type": "string", "pattern": r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$"},
    },
    # from our own static files, not from a CDN
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": True},
}


EMAIL_IS_CONFIGURED = bool(_mail := email())
vars().update(_mail)
# A server that says nothing for so many seconds is not waited for.
EMAIL_TIMEOUT = _mail.get("EMAIL_TIMEOUT") or 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("GRIMOIRE_EMAIL_FROM", default=f"Grimoire <grimoire@{_public.hostname}>")
# Hosts that outgoing webhooks may reach though they are not on the public internet, or speak plain http. `*` is any.
_private: list[str] = env.list("GRIMOIRE_WEBHOOK_PRIVATE_HOSTS", default=[])
WEBHOOK_PRIVATE_HOSTS = [host.strip().lower() for host in _private if host.strip()]

# For how many seconds a conductor holds a cast without renewing its claim: after a crash, others wait as long.
LEASE_SECONDS = env.float("GRIMOIRE_LEASE_SECONDS", default=30.0, validate=validate.Range(min=2, max=3600))

# Who has it may read /metrics. Empty: staff alone.
GRIMOIRE_METRICS_TOKEN = env.str("GRIMOIRE_METRICS_TOKEN", default="")
# /readyz fails when a due wakeup has waited for longer than this.
GRIMOIRE_MAX_WAKEUP_LAG_SECONDS = env.float("GRIMOIRE_MAX_WAKEUP_LAG_SECONDS", default=300.0, validate=validate.Range(min=5))


# Operators who get a mail when an alert opens, once a day while it stays open, and when it closes.
GRIMOIRE_ALERT_EMAILS = [
    each.strip() for each in env.str("GRIMOIRE_ALERT_EMAILS", default="", validate=check_addresses).split(",") if each.strip()
]
# From when on something is an alert: seconds that a cast waits for a conductor, or a notification for its delivery, and
# how many casts the reaper had to heal within an hour.
GRIMOIRE_ALERT_WAKEUP_LAG_SECONDS = env.float("GRIMOIRE_ALERT_WAKEUP_LAG_SECONDS", default=120.0, validate=validate.Range(min=5))
GRIMOIRE_ALERT_NOTIFICATION_LAG_SECONDS = env.float(
    "GRIMOIRE_ALERT_NOTIFICATION_LAG_SECONDS", default=900.0, validate=validate.Range(min=5)
)
GRIMOIRE_ALERT_HEALED_CASTS = env.int("GRIMOIRE_ALERT_HEALED_CASTS", default=3, validate=validate.Range(min=1))

# The collector of OpenTelemetry (OTLP over HTTP) that gets our traces. The exporter reads this and its other variables itself.
TRACES_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="")
# Whether providers are told in which trace they are called.
TRACE_PROVIDERS = env.bool("GRIMOIRE_TRACE_PROVIDERS", default=False)

LOG_FORMAT = env.str("GRIMOIRE_LOG_FORMAT", default="auto", validate=validate.OneOf(["auto", "json", "console"]))
LOGGING = logs.configuration(
    level=env.str("GRIMOIRE_LOG_LEVEL", default="INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])), form=LOG_FORMAT
)

_workers = env.int("GRIMOIRE_CLUSTER_WORKERS", default=2, validate=validate.Range(min=1, max=64))
Q_CLUSTER: dict[str, Any] = {
    "name": "grimoire",
    "orm": "default",
    "workers": _workers,
    "bulk": 8,
    "queue_limit": 2 * _workers,
    "poll": env.float("GRIMOIRE_CLUSTER_POLL_SECONDS", default=0.05, validate=validate.Range(min=0.01, max=10)),
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

# All that is read above. A system check warns of names that are almost these.
ENVIRONMENT_VARIABLES = frozenset(env.dump())
