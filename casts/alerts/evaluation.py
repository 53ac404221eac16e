"""Which alerts stand: opened by what is found, closed by its absence. Whoever looks when changes nothing but the time of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from casts.engine.retrying import in_one_transaction
from casts.models import THE_WATCH, Alert, AlertWatch

from . import mails
from .conditions import Found, find

# An alert closes when nothing of it was found for so long: what comes and goes is one alert, and two mails.
CALM = timedelta(minutes=10)
REMIND_AFTER = timedelta(days=1)
# Whoever comes within so long after somebody else looked need not look again.
JUST_NOW = timedelta(seconds=20)
# When nobody has looked for so long, a conductor does.
LATEST = timedelta(seconds=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a look changed."""

    opened: Sequence[Alert] = field(default_factory=tuple)
    closed: Sequence[Alert] = field(default_factory=tuple)
    reminded: Sequence[Alert] = field(default_factory=tuple)


@in_one_transaction
def evaluate(*, now: datetime, at_once: bool = False) -> Evaluation:
    """Look at what is wrong, open and close alerts by it, and write the mails that tell of them. One transaction.

    All who look lock one row first. Nothing is done when somebody looked just now, unless it must be `at_once`.
    """
    watch, _ = AlertWatch.objects.get_or_create(pk=THE_WATCH, defaults={"due_at": now})
    watch = AlertWatch.objects.select_for_update().get(pk=THE_WATCH)
    if watch.evaluated_at is not None and now - watch.evaluated_at < JUST_NOW and not at_once:
        return Evaluation()
    found = {(each.kind.value, each.subject): each for each in find(now=now)}
    standing = {(alert.kind, alert.subject): alert for alert in Alert.objects.open().order_by("pk")}
    ripe = _ripe(watch, [each for key, each in found.items() if key not in standing], now=now)
    opened = Alert.objects.bulk_create([_new(each, now=now) for each in ripe])
    for key, alert in standing.items():
        _go_on(alert, found.get(key), now=now)
    closed = [alert for alert in standing.values() if alert.closed_at is not None]
    reminded = [alert for alert in standing.values() if alert.told_at == now]
    fields = ["told", "details", "seen_at", "told_at", "calm_since", "closed_at"]
    Alert.objects.bulk_update(standing.values(), fields)
    mails.write(opened=opened, closed=closed, reminded=reminded, now=now)
    AlertWatch.objects.filter(pk=THE_WATCH).update(pending=watch.pending, evaluated_at=now, due_at=now + LATEST)
    return Evaluation(opened=opened, closed=closed, reminded=reminded)


def _ripe(watch: AlertWatch, found: Sequence[Found], *, now: datetime) -> list[Found]:
    """Return what has lasted for long enough to be an alert, and have the watch remember the rest."""
    first_seen = {_name(each): str(watch.pending.get(_name(each), now.isoformat())) for each in found}
    ripe = [each for each in found if now - datetime.fromisoformat(first_seen[_name(each)]) >= each.hold]
    names = {_name(each) for each in ripe}
    watch.pending = {name: since for name, since in first_seen.items() if name not in names}
    return ripe


def _name(found: Found) -> str:
    return f"{found.kind}:{found.subject}"


def _new(found: Found, *, now: datetime) -> Alert:
    return Alert(
        kind=found.kind,
        subject=found.subject,
        told=found.told,
        details=found.details,
        opened_at=now,
        seen_at=now,
        told_at=now,
    )


def _go_on(alert: Alert, found: Found | None, *, now: datetime) -> None:
    """Take what was found of an open alert into it, or that nothing was."""
    if found is None:
        alert.calm_since = alert.calm_since or now
        alert.closed_at = now if now - alert.calm_since >= CALM else None
        return
    alert.told, alert.details, alert.seen_at, alert.calm_since = found.told, found.details, now, None
    if now - alert.told_at >= REMIND_AFTER:
        alert.told_at = now
