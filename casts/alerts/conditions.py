"""What is wrong at this moment, by rows alone. Each condition is a query or two that an index holds together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from casts.metrics.gauges import age
from casts.models import LIVE, AlertKind, BreakerState, CastEvent, ConductorProcess, EventKind, Gate, Notification, Wakeup
from casts.schedules import REAP
from generations.models import Generation, GenerationStatus

HEALED_WITHIN = timedelta(hours=1)
# The schedule of a shift comes each minute, and is noticed half a minute later at most.
UNCONDUCTED_SECONDS = 90.0
SILENCE_SECONDS = 180.0
# Any breaker more than these is a sign of something that many of them have in common.
MOST_BREAKERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that is wrong: the words for it, and the numbers behind them. It becomes an alert once it lasted for `hold`."""

    kind: AlertKind
    told: str
    subject: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    hold: timedelta = timedelta(0)


def find(*, now: datetime) -> Iterator[Found]:
    """Yield all that is wrong, at most one of each kind and subject."""
    for condition in CONDITIONS:
        yield from condition(now)


def _healed(now: datetime) -> Iterator[Found]:
    count = CastEvent.objects.filter(kind=EventKind.REAPED, at__gt=now - HEALED_WITHIN).count()
    if count >= settings.GRIMOIRE_ALERT_HEALED_CASTS:
        told = f"The reaper had to heal {_casts(count)} within an hour. Their histories say which; the logs of the time before may say why."
        yield Found(kind=AlertKind.CASTS_HEALED, told=told, details={"healed": count})


def _lag(now: datetime) -> Iterator[Found]:
    due = Wakeup.objects.filter(due_at__lte=now)
    seconds = age(due, "due_at", now)
    if seconds > settings.GRIMOIRE_ALERT_WAKEUP_LAG_SECONDS:
        count = due.count()
        told = f"{_casts(count)} wait for a conductor, the longest for {seconds:.0f} s. Is one alive, and has it room?"
        yield Found(kind=AlertKind.WAKEUP_LAG, told=told, details={"due": count, "seconds": round(seconds)}, hold=timedelta(seconds=30))


def _unknown(now: datetime) -> Iterator[Found]:  # noqa: ARG001 - the others need it
    rows = Generation.objects.filter(status=GenerationStatus.UNKNOWN, cast__status__in=LIVE).order_by()
    found = rows.values_list("tool__slug").annotate(count=Count("pk"), oldest=Min("finished_at")).order_by("tool__slug")
    for tool, count, oldest in found:
        calls = "1 call" if count == 1 else f"{count} calls"
        told = (
            f"{calls} of {tool} may have been billed, and the answers were lost, first at {oldest:%Y-%m-%d %H:%M} UTC. "
            "Look them up at the provider, and settle them on the pages of their casts: those wait for it until their deadlines."
        )
        yield Found(kind=AlertKind.UNKNOWN_CALLS, subject=tool, told=told, details={"calls": count})


def _breakers(now: datetime) -> Iterator[Found]:  # noqa: ARG001 - the others need it
    gates = Gate.objects.exclude(state=BreakerState.CLOSED).select_related("tool", "provider").order_by("pk")
    for gate in gates[:MOST_BREAKERS]:
        by_hand = gate.state == BreakerState.OPEN and gate.retry_at is None
        last = gate.errors[0]["message"] if gate.errors and gate.failures else "no error is known"
        why = "An operator opened its breaker, and it stays so until somebody closes it." if by_hand else f"Its last error: {last}"
        told = f"No calls are made to {gate}. {why} Casts that need it wait."
        yield Found(kind=AlertKind.BREAKER_OPEN, subject=str(gate), told=told, details={"gate": gate.pk, "failures": gate.failures})


def _notifications(now: datetime) -> Iterator[Found]:
    waiting = Notification.objects.filter(due_at__isnull=False)
    seconds = age(waiting, "due_at", now)  # not since it was written: a receiver may be away for days
    if seconds > settings.GRIMOIRE_ALERT_NOTIFICATION_LAG_SECONDS:
        count = waiting.filter(due_at__lte=now).count()
        told = f"{count} notifications are due and not sent, the first for {seconds:.0f} s."
        yield Found(kind=AlertKind.NOTIFICATION_BACKLOG, told=told, details={"waiting": count, "seconds": round(seconds)})


def _conductors(now: datetime) -> Iterator[Found]:
    """Find that work is due and no heart beats. Without work that is no fault: the cluster takes a shift when there is some."""
    seconds = age(Wakeup.objects.filter(due_at__lte=now), "due_at", now)
    if seconds > UNCONDUCTED_SECONDS and not ConductorProcess.objects.alive().claiming().exists():
        told = (
            "Casts are due, no conductor is alive, and no shift of the cluster took them. Start `manage.py serve`, or `manage.py conduct`."
        )
        yield Found(kind=AlertKind.NO_CONDUCTOR, told=told, details={"seconds": round(seconds)}, hold=timedelta(seconds=30))


def _cluster(now: datetime) -> Iterator[Found]:
    """Find that django-q2 has stopped to schedule, or to take tasks. A single worker may be busy with one for as long as it may take."""
    patience = SILENCE_SECONDS if settings.Q_CLUSTER["workers"] > 1 else settings.Q_CLUSTER["timeout"] + 60.0
    moment = min(now, timezone.now())  # django-q2 writes the times of its machine, not those of the database
    seconds = _age_of(Schedule.objects.filter(name=REAP).values_list("next_run", flat=True).first(), moment)
    waits = _age_of(OrmQ.objects.aggregate(oldest=Min("lock"))["oldest"], moment)
    if seconds > SILENCE_SECONDS:
        told = f"The schedules of the cluster are {seconds:.0f} s late. Is `manage.py serve` or `manage.py qcluster` running?"
    elif waits > patience:
        told = f"A task has been waiting for {waits:.0f} s, and the cluster takes none. Restart it, if `manage.py serve` does not do so itself."
    else:
        return
    yield Found(
        kind=AlertKind.CLUSTER_SILENT,
        told=told,
        details={"schedule_seconds": round(seconds), "task_seconds": round(waits)},
        hold=timedelta(seconds=100),
    )


def _age_of(then: datetime | None, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds()) if then else 0.0


def _casts(count: int) -> str:
    return "1 cast" if count == 1 else f"{count} casts"


CONDITIONS: tuple[Callable[[datetime], Iterator[Found]], ...] = (
    _healed,
    _lag,
    _unknown,
    _breakers,
    _notifications,
    _conductors,
    _cluster,
)
