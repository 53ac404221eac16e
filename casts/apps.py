from typing import Any

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.signals import post_migrate


class CastsConfig(AppConfig):
    name = "casts"

    def ready(self) -> None:
        """See to it that the schedules stand after each migration."""
        post_migrate.connect(make_schedules, sender=self)


def make_schedules(*, using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    """Make our schedules stand, once the tables of django-q2 are there. Changes nothing that is as it should be."""
    from django_q.models import Schedule  # noqa: PLC0415 - models cannot be imported before the apps are ready

    from casts.schedules import sync_schedules  # noqa: PLC0415

    if using == DEFAULT_DB_ALIAS and Schedule._meta.db_table in connections[using].introspection.table_names():
        sync_schedules()
