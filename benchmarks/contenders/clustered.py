"""django-q2 alone: a chain of its tasks on PostgreSQL, its broker the ORM. A chain hands no result on: each step gets the first text."""

import time
from datetime import UTC, datetime

import django
from django.conf import settings

from benchmarks.contenders.work import STEPS, TEXT, Asked, Measured, contend, wait_until
from config.environment import env

WORKERS = 2
STEP = "benchmarks.contenders.work.step"


def set_up(url: str) -> None:
    """Have Django serve an empty database, and make the tables of django-q2 in it."""
    database = dict(env.dj_db_url("BENCHMARK_DATABASE_URL", default=url))
    cluster = {"name": "benchmark", "orm": "default", "workers": WORKERS, "poll": 0.01, "log_level": "ERROR", "timeout": 60, "retry": 120}
    settings.configure(
        DATABASES={"default": {**database, "CONN_MAX_AGE": None}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django_q"],
        Q_CLUSTER={**cluster, "save_limit": 0, "catch_up": False},
        SECRET_KEY="benchmark",  # noqa: S106 - it signs tasks of this run
        USE_TZ=True,
    )
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - apps are ready from here on

    call_command("migrate", verbosity=0)


def measure(asked: Asked) -> Measured:
    set_up(asked.url)
    from django.db import connections  # noqa: PLC0415
    from django.db.models import Min  # noqa: PLC0415
    from django_q.cluster import Cluster  # noqa: PLC0415
    from django_q.models import Success, Task  # noqa: PLC0415
    from django_q.tasks import async_chain  # noqa: PLC0415

    def start() -> None:
        async_chain([(STEP, (TEXT,))] * STEPS)

    def has_done(workflows: int) -> bool:
        return int(Success.objects.count()) >= workflows * STEPS

    for _ in range(asked.workflows):
        start()
    connections.close_all()  # the processes of the cluster are forks
    cluster = Cluster()
    cluster.start()
    try:
        ended_at = wait_until(lambda: has_done(asked.workflows), pause=0.01)
        since = datetime.now(UTC) - Task.objects.aggregate(first=Min("started"))["first"]
        many = since.total_seconds() - (time.monotonic() - ended_at)
        alone = []
        for number in range(1, asked.alone + 1):
            started_at = time.monotonic()
            start()
            alone.append(wait_until(lambda done=asked.workflows + number: has_done(done), pause=0.001) - started_at)  # type: ignore[misc]
    finally:
        cluster.stop()
    assert Task.objects.count() == Success.objects.count() == (asked.workflows + asked.alone) * STEPS
    return Measured(many=many, alone=alone)


if __name__ == "__main__":
    contend(measure)
