"""Health: whether this process answers, and whether it can work. Open to everybody, so they tell no more than that."""

from functools import cache

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from casts.metrics.gauges import wakeup_lag_seconds

log = structlog.get_logger(__name__)


class UnappliedMigrationsError(Exception):
    """The database is behind the code: run `manage.py migrate`."""


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - every view gets it
    """Answer 200 while the process can answer at all."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 - every view gets it
    """Answer 200 when the database can be reached, its migrations are applied and somebody conducts; else 503 and what is not so."""
    try:
        require_migrations()
        lag = wakeup_lag_seconds()
    except (DatabaseError, InterfaceError):
        log.exception("readiness.database_unreachable")
        return JsonResponse({"status": "unavailable", "database": "unreachable"}, status=503)
    except UnappliedMigrationsError as error:
        log.warning("readiness.migrations_missing", migrations=error.args)
        return JsonResponse({"status": "unavailable", "database": "ok", "migrations": "missing"}, status=503)
    if lag > settings.GRIMOIRE_MAX_WAKEUP_LAG_SECONDS:
        log.warning("readiness.nobody_conducts", lag_seconds=lag)
        return JsonResponse({"status": "unavailable", "database": "ok", "migrations": "ok", "casts": "waiting"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok", "migrations": "ok", "casts": "ok"})


@cache
def require_migrations() -> None:
    """Return when all migrations of this code are applied. Asks until they are, and then no more.

    Raises:
        UnappliedMigrationsError: some are missing; its arguments name them.
    """
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        raise UnappliedMigrationsError(*(f"{migration.app_label}.{migration.name}" for migration, _ in missing))
