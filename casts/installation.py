"""Whether all is in place that the code needs of the database."""

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.migrations.executor import MigrationExecutor
from django_q.models import Schedule

from casts.schedules import SCHEDULES


def missing_migrations() -> list[str]:
    """Return the migrations that the code has and the database has not, as `app.name`."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def migrate() -> None:
    """Apply all migrations, without a word."""
    call_command("migrate", database=DEFAULT_DB_ALIAS, interactive=False, verbosity=0)


def missing_schedules() -> list[str]:
    """Return the names of our schedules that do not stand, or not as the code wants them."""
    rows = Schedule.objects.filter(repeats=-1, schedule_type=Schedule.MINUTES)
    standing = set(rows.values_list("name", "func", "minutes"))
    return [wanted.name for wanted in SCHEDULES if (wanted.name, wanted.func, wanted.minutes) not in standing]
