"""What is so right now, each by one query that an index holds together."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Min, QuerySet
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from casts.clock import database_now
from casts.models import LIVE, Cast, ConductorProcess, Notification, Wakeup
from generations.models import Generation, GenerationStatus


def collect() -> Iterator[Metric]:
    """Yield all gauges, read at one moment."""
    now = database_now()
    yield _casts()
    due = Wakeup.objects.filter(due_at__lte=now)
    yield GaugeMetricFamily("grimoire_wakeups_due", "Casts that are due for a look and that nobody holds.", value=due.count())
    yield GaugeMetricFamily("grimoire_wakeup_lag_seconds", "Age of the oldest due wakeup.", value=_age(due, "due_at", now))
    yield GaugeMetricFamily("grimoire_casts_stranded", "Unfinished casts without a wakeup.", value=Cast.objects.stranded().count())
    yield GaugeMetricFamily("grimoire_conductors_alive", "Conductors whose heart beats.", value=ConductorProcess.objects.alive().count())
    yield _calls()
    waiting = Notification.objects.filter(due_at__isnull=False)
    yield GaugeMetricFamily("grimoire_notifications_waiting", "Notifications that are not delivered yet.", value=waiting.count())
    age = _age(waiting, "created_at", now)
    yield GaugeMetricFamily("grimoire_notification_lag_seconds", "Age of the oldest notification that is not delivered yet.", value=age)


def wakeup_lag_seconds() -> float:
    """Return the age of the oldest due wakeup that nobody holds; 0 when there is none."""
    now = database_now()
    return _age(Wakeup.objects.filter(due_at__lte=now), "due_at", now)


def _casts() -> Metric:
    family = GaugeMetricFamily("grimoire_casts", "Unfinished casts, by stored status.", labels=["status"])
    counts = dict(Cast.objects.live().order_by().values_list("status").annotate(count=Count("pk")))
    for status in LIVE:
        family.add_metric([status], counts.get(status, 0))
    return family


def _calls() -> Metric:
    """Return the calls that are open or that somebody must look into. A call that a cast's deadline ended is no more open."""
    family = GaugeMetricFamily("grimoire_calls_open", "Calls that are running, submitted or of unknown outcome.", labels=["status"])
    open_statuses = (GenerationStatus.RUNNING, GenerationStatus.SUBMITTED, GenerationStatus.UNKNOWN)
    rows = Generation.objects.filter(status__in=open_statuses, cast__status__in=LIVE).order_by()
    counts = dict(rows.values_list("status").annotate(count=Count("pk")))
    for status in open_statuses:
        family.add_metric([status], counts.get(status, 0))
    return family


def _age(rows: "QuerySet[Wakeup] | QuerySet[Notification]", column: str, now: datetime) -> float:
    oldest = rows.aggregate(oldest=Min(column))["oldest"]
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
