"""What is so right now, each by one query that an index holds together: what they cost grows with what is unfinished, not with the history."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, QuerySet
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from casts.clock import database_now
from casts.models import LIVE, Alert, AlertKind, BreakerState, Cast, ConductorProcess, Gate, Waiter, Wakeup
from generations.models import Callback, Generation, GenerationStatus

from . import outbox


def collect() -> Iterator[Metric]:
    """Yield all gauges, read at one moment."""
    now = database_now()
    yield _casts()
    due = Wakeup.objects.filter(due_at__lte=now)
    yield _gauge("wakeups_due", "Casts that are due for a look and that nobody holds.", due.count())
    yield _gauge("wakeup_lag_seconds", "Age of the oldest due wakeup.", age(due, "due_at", now))
    yield _gauge("casts_stranded", "Unfinished casts without a wakeup.", Cast.objects.stranded().count())
    yield _gauge("casts_waiting_for_room", "Casts that a limit or a breaker holds back.", Waiter.objects.count())
    yield _gauge("conductors_alive", "Conductors whose heart beats.", ConductorProcess.objects.alive().count())
    yield _calls()
    yield _breakers()
    yield _alerts()
    yield from outbox.collect(now)
    unread = Callback.objects.filter(due_at__isnull=False)
    yield _gauge("callbacks_waiting", "Webhooks of providers that are stored and not applied yet.", unread.count())
    yield _gauge("callback_lag_seconds", "Age of the oldest webhook that is not applied yet.", age(unread, "received_at", now))


def wakeup_lag_seconds() -> float:
    """Return the age of the oldest due wakeup that nobody holds; 0 when there is none."""
    now = database_now()
    return age(Wakeup.objects.filter(due_at__lte=now), "due_at", now)


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"grimoire_{name}", told, value=value)


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


def _breakers() -> Metric:
    """Return for each gate which of its states is the present one. There is a gate where there are limits or was trouble."""
    told = "1 for the state in which the breaker of a tool or provider is, 0 for the others."
    family = GaugeMetricFamily("grimoire_breaker_state", told, labels=["kind", "owner", "state"])
    rows = Gate.objects.order_by("pk").values_list("provider__slug", "tool__slug", "state")
    for provider, tool, present in rows:
        for state in BreakerState:
            family.add_metric(["provider" if provider else "tool", provider or tool, state], float(state == present))
    return family


def _alerts() -> Metric:
    family = GaugeMetricFamily("grimoire_alert_open", "Alerts that are open, by kind.", labels=["kind"])
    counts = dict(Alert.objects.open().order_by().values_list("kind").annotate(count=Count("pk")))
    for kind in AlertKind:
        family.add_metric([kind], counts.get(kind, 0))
    return family


def age(rows: "QuerySet[Any]", column: str, now: datetime) -> float:
    """Return for how many seconds the oldest of these rows has been waiting, by this column; 0 when there is none."""
    oldest = rows.aggregate(oldest=Min(column))["oldest"]
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
