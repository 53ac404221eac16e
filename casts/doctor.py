"""Examinations of an installation: is all there that Grimoire needs, and does it work? Each finding says what to do."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.conf import settings
from django.core import checks
from django.core.checks.security.base import check_secret_key
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.db import DatabaseError, InterfaceError, connection
from django_q.models import OrmQ

from casts import canary, installation
from casts.clock import database_now
from casts.models import Alert, AlertMail, AlertMailOutcome, BreakerState, Cast, ConductorProcess, Gate, Wakeup
from generations.artifacts import storage
from generations.catalogue import CHANGES, Outcome, sync_tools
from generations.models import Generation, GenerationStatus

SLOW_SECONDS = 1.0
LATE = timedelta(minutes=1)
CANARY_PAUSE_SECONDS = 0.05
SMALLEST_FREE_BYTES = 1024**3
MAX_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one examination found. `mend` is what to do about it, empty when all is well."""

    name: str
    told: str
    mend: str = ""

    @property
    def is_well(self) -> bool:
        return not self.mend


# What an examination tells: the fields of a finding without its name.
Told = dict[str, str]


def examine(*, wait_seconds: float) -> Iterator[Finding]:
    """Yield a finding for each examination, in order. The cluster is given `wait_seconds` to answer.

    The rest is not looked at when the database cannot be used, or has not the tables that the code wants.
    """
    for name, look in (("settings", _settings), ("secret key", _secret_key), ("storage", _storage)):
        yield _examined(name, look)
    for name, look in (("database", _database), ("migrations", _migrations)):
        finding = _examined(name, look)
        yield finding
        if not finding.is_well:
            return
    yield _examined("tools", _tools)
    yield _examined("schedules", _schedules)
    yield _examined("cluster", partial(_cluster, wait_seconds))
    yield _examined("conductors", _conductors)
    yield _examined("casts", _casts)
    yield _examined("unknown calls", _unknown)
    yield _examined("providers", _providers)
    yield _examined("alerts", _alerts)


def _examined(name: str, look: Callable[[], Told]) -> Finding:
    try:
        return Finding(name=name, **look())
    except (DatabaseError, InterfaceError) as error:
        connection.close()
        return Finding(name=name, told=f"the database cannot be used: {error}", mend="Check DATABASE_URL, and the server that it names.")


def _settings() -> Told:
    """Run the system checks; those for deployment where the site is reached by TLS."""
    is_public = settings.PUBLIC_URL.startswith("https:") and not settings.DEBUG
    found = [message for message in checks.run_checks(include_deployment_checks=is_public) if message.level >= checks.WARNING]
    if not found:
        return {"told": f"sound, for {settings.PUBLIC_URL}"}
    return {
        "told": "; ".join(f"{message.msg} ({message.id})" for message in found),
        "mend": " ".join(message.hint for message in found if message.hint) or "Run `manage.py check --deploy`.",
    }


def _secret_key() -> Told:
    told = f"{len(settings.SECRET_KEY)} characters"
    if check_secret_key(None):
        new = "python3 -c 'import secrets; print(secrets.token_urlsafe(64))'"
        return {"told": f"{told}, too weak", "mend": f"Set DJANGO_SECRET_KEY to a new one: {new}"}
    return {"told": told}


def _database() -> Told:
    began = time.monotonic()
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    took = time.monotonic() - began
    version = ".".join(map(str, connection.get_database_version()))
    told = f"{connection.display_name} {version}, {connection.settings_dict['NAME']}, answers in {took * 1000:.0f} ms"
    return {"told": told, "mend": "Find out what slows the database down." if took > SLOW_SECONDS else ""}


def _migrations() -> Told:
    missing = installation.missing_migrations()
    if missing:
        return {"told": f"{len(missing)} are not applied: {_named(missing)}", "mend": "manage.py migrate"}
    return {"told": "all are applied"}


def _storage() -> Told:
    """Write, read and remove a file."""
    store = storage()
    data = secrets.token_bytes(16)
    where = str(store.location) if isinstance(store, FileSystemStorage) else type(store).__name__
    try:
        name = store.save(f"doctor-{secrets.token_hex(8)}", ContentFile(data))
        with store.open(name) as file:
            same = file.read() == data
        store.delete(name)
    except Exception as error:  # noqa: BLE001 - each kind of storage has errors of its own
        return {"told": f"{where} cannot be written: {error}", "mend": "Give this user the folder, or set GRIMOIRE_DATA_DIR to another."}
    if not same:
        return {"told": f"{where} gives back other bytes than it was given", "mend": "Check the disk or the storage service."}
    free = shutil.disk_usage(where).free if Path(where).exists() else None
    if free is not None and free < SMALLEST_FREE_BYTES:
        return {"told": f"{where} has {free // 1024**2} MiB left", "mend": "Make room on that disk."}
    return {"told": f"{where} can be written" + (f", {free // 1024**3} GiB are free" if free is not None else "")}


def _tools() -> Told:
    changes = sync_tools(write=False)
    broken = [f"{change.slug} ({change.detail})" for change in changes if change.outcome == Outcome.BROKEN]
    if broken:
        return {"told": f"cannot be loaded: {_named(broken)}", "mend": "Mend or remove the package that offers it."}
    pending = [change.slug for change in changes if change.outcome in CHANGES]
    if pending:
        return {"told": f"{len(pending)} differ from the code: {_named(pending)}", "mend": "manage.py sync_tools"}
    return {"told": f"{len(changes)}, as the code declares them"}


def _schedules() -> Told:
    missing = installation.missing_schedules()
    if missing:
        return {"told": f"do not stand as they should: {_named(missing)}", "mend": "manage.py sync_schedules"}
    return {"told": "all stand"}


def _cluster(wait_seconds: float) -> Told:
    """Send a canary and wait for it."""
    began = time.monotonic()
    sent = canary.send(now=database_now())
    while not canary.is_back(sent):
        if time.monotonic() - began > wait_seconds:
            return _silence(sent, wait_seconds)
        time.sleep(CANARY_PAUSE_SECONDS)
    return {"told": f"answered within {time.monotonic() - began:.1f} s"}


def _silence(sent: canary.Canary, wait_seconds: float) -> Told:
    if canary.is_discarded(sent):
        return {"told": "throws our tasks away unread", "mend": "Give all processes the same DJANGO_SECRET_KEY: it signs the tasks."}
    canary.call_off(sent)
    return {
        "told": f"did not answer within {wait_seconds:g} s; {OrmQ.objects.count()} tasks wait",
        "mend": "Start `manage.py serve` or `manage.py qcluster`. If it runs, all its workers are busy, or it is dead: restart it.",
    }


def _conductors() -> Told:
    alive = [f"{conductor} ({conductor.kind}, {conductor.in_flight} in flight)" for conductor in ConductorProcess.objects.alive()]
    dead = ConductorProcess.objects.dead().count()
    if alive:
        return {"told": f"{_named(alive)}" + (f"; {dead} ended without a word" if dead else "")}
    return {"told": "none is alive now: casts are conducted by the cluster, and by nobody without one"}


def _casts() -> Told:
    """Look for casts that nobody seems to look at."""
    now = database_now()
    kinds = {
        "have no wakeup": Cast.objects.stranded().values_list("pk", flat=True),
        "are overdue by more than a minute": Wakeup.objects.filter(due_at__lt=now - LATE).values_list("pk", flat=True),
        "have lost their holder twice in a row": Wakeup.objects.filter(lost__gt=1).values_list("pk", flat=True),
    }
    stuck = {what: [str(cast_id) for cast_id in rows[: MAX_NAMED + 1]] for what, rows in kinds.items()}
    told = "; ".join(f"{len(ids)} {what}: {_named(ids)}" for what, ids in stuck.items() if ids)
    if told:
        return {"told": told, "mend": "manage.py reap; see that a conductor is alive (manage.py serve), and look at them in the admin."}
    return {"told": f"{Cast.objects.live().count()} unfinished, none of them stuck"}


def _unknown() -> Told:
    unknown = Generation.objects.filter(status=GenerationStatus.UNKNOWN, cast__finished_at__isnull=True)
    ids = [str(generation_id) for generation_id in unknown.values_list("pk", flat=True)[: MAX_NAMED + 1]]
    if ids:
        mend = "Ask the provider what became of them, and resolve them in the admin: their casts wait for it."
        return {"told": f"may have been billed: {_named(ids)}", "mend": mend}
    return {"told": "none"}


def _providers() -> Told:
    """Look for breakers that keep calls back, and for providers that asked for rest."""
    away = [_of_breaker(gate) for gate in Gate.objects.exclude(state=BreakerState.CLOSED).select_related("tool", "provider").order_by("pk")]
    resting = Gate.objects.filter(quiet_until__gt=database_now()).select_related("tool", "provider").order_by("pk")
    told = "; ".join([*away[:MAX_NAMED], *(f"{gate} asked for rest until {gate.quiet_until:%H:%M:%S} UTC" for gate in resting[:MAX_NAMED])])
    if away:
        mend = "See what is wrong at the provider. Casts wait for it, and go on by themselves; by hand: manage.py breaker close PROVIDER"
        return {"told": told, "mend": mend}
    return {"told": told or "none is known to be away"}


def _of_breaker(gate: Gate) -> str:
    last = f": {gate.errors[0]['message']}" if gate.errors and gate.failures else ""
    return f"{gate} is {gate.get_state_display()}, since {gate.since:%Y-%m-%d %H:%M} UTC{last}"


def _alerts() -> Told:
    """Name what operators were alerted of, and mails that cannot reach them."""
    unsent = AlertMail.objects.filter(outcome=AlertMailOutcome.PENDING, attempts__gt=1).order_by("pk").first()
    mails = "" if unsent is None else f"; mails to operators are not taken: {unsent.said or 'no answer yet'}"
    alerts = list(Alert.objects.open().order_by("pk"))
    open_ones = [f"{alert} since {alert.opened_at:%Y-%m-%d %H:%M} UTC" for alert in alerts if alert.calm_since is None]
    if open_ones or unsent:
        mend = "See Alerts in the admin, and docs/monitoring.md." if open_ones else "Check EMAIL_URL, and the server that it names."
        return {"told": f"{len(open_ones)} open: {_named(open_ones)}{mails}" if open_ones else f"none is open{mails}", "mend": mend}
    calming = len(alerts)
    return {"told": f"none is open, {calming} calming down" if calming else "none is open"}


def _named(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (" …" if len(names) > MAX_NAMED else "")
