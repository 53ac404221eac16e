"""Alerts: opened by what is found, closed by its absence, and told by mail without a storm."""

from datetime import timedelta

import pytest
from django_q.models import OrmQ, Schedule

from casts import alerts, errands, tasks
from casts.clock import database_now
from casts.conductor.watch import Watch
from casts.models import Alert, AlertKind, AlertMail, AlertWatch, BreakerState, CastStatus, EventKind, Gate
from casts.models.notification import NotificationChannel
from casts.schedules import REAP
from generations.models import GenerationStatus
from tests.factories import ProviderFactory, StepFactory, ToolFactory

from .factories import (
    CastEventFactory,
    CastFactory,
    ConductorProcessFactory,
    GateFactory,
    GenerationFactory,
    NotificationFactory,
    WakeupFactory,
)
from .providers import do_errands

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def addressed(settings):
    settings.GRIMOIRE_ALERT_EMAILS = ["ada@example.org", "grace@example.org"]
    settings.PUBLIC_URL = "https://grimoire.example.org"
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 2}
    Schedule.objects.filter(name=REAP).update(next_run=database_now() + timedelta(days=400))


def look(clock, **units) -> alerts.Evaluation:
    """Move the clock on, and look for alerts."""
    clock.advance(**units)
    return alerts.evaluate(now=clock.now(), at_once=True)


def found() -> set[tuple[str, str]]:
    return set(Alert.objects.open().values_list("kind", "subject"))


def trouble(slug: str = "replicate") -> None:
    """Open the breaker of a provider."""
    error = {"at": "", "tool": "t", "code": "unreachable", "message": "It cannot be reached."}
    GateFactory.create(
        provider=ProviderFactory(slug=slug),
        tool=None,
        state="open",
        since=database_now(),
        retry_at=database_now(),
        failures=5,
        errors=[error],
    )


def mend() -> None:
    Gate.objects.update(state=BreakerState.CLOSED, retry_at=None, failures=0)


# What is an alert


def test_nothing_is_an_alert_while_all_is_well(clock):
    CastEventFactory.create(kind=EventKind.REAPED, at=clock.now())
    CastFactory.create(status=CastStatus.RUNNING)
    GateFactory.create()
    look(clock)
    assert found() == set()
    assert not AlertMail.objects.exists()


def test_casts_that_had_to_be_healed_are_one_from_the_threshold_on(clock, settings):
    settings.GRIMOIRE_ALERT_HEALED_CASTS = 2
    CastEventFactory.create(kind=EventKind.REAPED, at=clock.now() - timedelta(hours=2))
    CastEventFactory.create(kind=EventKind.REAPED, at=clock.now())
    look(clock)
    assert found() == set()
    CastEventFactory.create(kind=EventKind.REAPED, at=clock.now())
    look(clock)
    assert found() == {(AlertKind.CASTS_HEALED, "")}
    assert Alert.objects.get().details == {"healed": 2}


def test_what_the_reaper_rang_for_counts_as_healed(clock):
    cast = CastFactory.create(status=CastStatus.RUNNING, deadline_at=clock.now())
    WakeupFactory.create(cast=cast, due_at=clock.now() + timedelta(hours=1))
    tasks.reap()
    assert cast.events.get(kind=EventKind.REAPED).data == {"healed": "deadline"}


def test_a_lag_is_one_when_a_second_look_finds_it_too(clock, settings):
    settings.GRIMOIRE_ALERT_WAKEUP_LAG_SECONDS = 60
    ConductorProcessFactory.create(alive_until=clock.now() + timedelta(days=1))
    WakeupFactory.create(due_at=clock.now())
    look(clock, seconds=59)
    look(clock, seconds=2)
    assert found() == set()
    assert list(AlertWatch.objects.get().pending) == ["wakeup_lag:"]
    look(clock, seconds=60)
    assert found() == {(AlertKind.WAKEUP_LAG, "")}
    assert AlertWatch.objects.get().pending == {}
    assert "1 cast wait" in Alert.objects.get().told


def test_a_lag_that_was_over_at_the_second_look_was_none(clock):
    wakeup = WakeupFactory.create(due_at=clock.now())
    ConductorProcessFactory.create(alive_until=clock.now() + timedelta(days=1))
    look(clock, seconds=121)
    type(wakeup).objects.update(due_at=clock.now() + timedelta(hours=1))
    look(clock, seconds=60)
    assert found() == set()
    assert AlertWatch.objects.get().pending == {}


def test_calls_of_which_nobody_knows_are_one_for_each_tool_while_their_casts_wait(clock):
    for slug in ("image.paint", "image.paint", "text.chat"):
        step = StepFactory(tool=ToolFactory(slug=slug))
        GenerationFactory.create(
            step=step, version=step.version, cast=CastFactory(version=step.version, status="running"), status="unknown"
        )
    ended = GenerationFactory.create(status=GenerationStatus.UNKNOWN, cast=CastFactory(status=CastStatus.FAILED))
    look(clock)
    assert found() == {(AlertKind.UNKNOWN_CALLS, "image.paint"), (AlertKind.UNKNOWN_CALLS, "text.chat")}
    assert Alert.objects.get(subject="image.paint").details["calls"] == 2
    assert ended.tool.slug not in {subject for _, subject in found()}


@pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.HALF_OPEN])
def test_a_breaker_that_is_not_closed_is_one_and_tells_the_last_error(clock, state):
    trouble()
    if state == BreakerState.HALF_OPEN:
        Gate.objects.update(state=state, retry_at=None)
    look(clock)
    assert found() == {(AlertKind.BREAKER_OPEN, "replicate")}
    assert "It cannot be reached." in Alert.objects.get().told


def test_a_breaker_that_an_operator_opened_is_told_as_such(clock):
    GateFactory.create(provider=ProviderFactory(slug="fal"), tool=None, state="open", since=database_now())
    look(clock)
    assert "An operator opened its breaker" in Alert.objects.get().told


def test_notifications_that_are_not_delivered_for_long_are_one(clock, settings):
    settings.GRIMOIRE_ALERT_NOTIFICATION_LAG_SECONDS = 60
    NotificationFactory.create_batch(2, channel=NotificationChannel.WEBHOOK, created_at=clock.now(), due_at=clock.now())
    look(clock, seconds=59)
    assert found() == set()
    look(clock, seconds=2)
    assert found() == {(AlertKind.NOTIFICATION_BACKLOG, "")}
    assert Alert.objects.get().details["waiting"] == 2


def test_that_no_conductor_is_alive_is_one_only_while_casts_are_due(clock):
    wakeup = WakeupFactory.create(due_at=clock.now() + timedelta(hours=1))
    for _ in range(3):
        look(clock, seconds=60)
    assert found() == set()
    type(wakeup).objects.update(due_at=clock.now())
    for _ in range(3):
        look(clock, seconds=60)
    assert found() == {(AlertKind.NO_CONDUCTOR, ""), (AlertKind.WAKEUP_LAG, "")}


def test_a_conductor_that_only_ends_its_calls_is_none_that_conducts(clock):
    WakeupFactory.create(due_at=clock.now())
    ConductorProcessFactory.create(alive_until=clock.now() + timedelta(days=1), draining=True)
    for _ in range(3):
        look(clock, seconds=60)
    assert (AlertKind.NO_CONDUCTOR, "") in found()


@pytest.mark.parametrize("sign", ["schedule", "task"])
def test_a_cluster_that_does_nothing_is_one(clock, sign):
    long_ago = database_now() - timedelta(minutes=5)
    if sign == "schedule":
        Schedule.objects.filter(name=REAP).delete()
        Schedule.objects.create(name=REAP, func="casts.tasks.reap", next_run=long_ago)
    else:
        OrmQ.objects.create(key="grimoire", payload="", lock=long_ago)
    look(clock)
    assert found() == set()
    look(clock, seconds=101)
    assert found() == {(AlertKind.CLUSTER_SILENT, "")}


def test_a_cluster_with_one_worker_is_given_the_time_of_its_longest_task(clock, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 1}
    OrmQ.objects.create(key="grimoire", payload="", lock=database_now() - timedelta(minutes=10))
    for _ in range(2):
        look(clock, seconds=101)
    assert found() == set()


# How long it is one


def test_an_alert_is_updated_while_it_lasts_and_stays_one(clock):
    trouble()
    look(clock)
    trouble("fal")
    look(clock, seconds=60)
    look(clock, seconds=60)
    assert Alert.objects.count() == 2
    assert all(alert.calm_since is None for alert in Alert.objects.all())


def test_it_closes_when_it_was_calm_for_a_while_and_what_comes_and_goes_is_one_alert(clock):
    trouble()
    look(clock)
    for _ in range(3):  # it flaps
        mend()
        look(clock, minutes=5)
        assert Alert.objects.open().get().calm_since is not None
        Gate.objects.update(state=BreakerState.OPEN)
        look(clock, minutes=5)
        assert Alert.objects.open().get().calm_since is None
    mend()
    look(clock, minutes=1)
    look(clock, minutes=10, seconds=1)
    alert = Alert.objects.get()
    assert alert.closed_at is not None
    assert Alert.objects.count() == 1
    look(clock, minutes=1)
    assert AlertMail.objects.filter(target="ada@example.org").count() == 2


def test_what_comes_back_after_its_end_is_another_alert(clock):
    trouble()
    look(clock)
    mend()
    look(clock, minutes=1)
    look(clock, minutes=11)
    Gate.objects.update(state=BreakerState.OPEN)
    look(clock, minutes=1)
    assert [alert.closed_at is None for alert in Alert.objects.order_by("pk")] == [False, True]


# Who is told, and how often


def test_each_operator_gets_one_mail_whatever_opens_at_once(clock):
    for number in range(20):
        trouble(f"provider-{number}")
    look(clock)
    assert AlertMail.objects.count() == 2
    mail = AlertMail.objects.get(target="ada@example.org")
    assert mail.subject == "[Grimoire] alerts: 20 new"
    assert "provider-7" in mail.body
    assert "https://grimoire.example.org/admin/casts/alert/" in mail.body


def test_operators_are_told_at_the_opening_once_a_day_and_at_the_close(clock):
    trouble()
    look(clock)
    for _ in range(30):
        look(clock, hours=1)
    mend()
    look(clock, minutes=1)
    look(clock, minutes=11)
    subjects = list(AlertMail.objects.filter(target="ada@example.org").order_by("pk").values_list("subject", flat=True))
    what = "a provider is left alone: replicate"
    assert subjects == [f"[Grimoire] alert: {what}", f"[Grimoire] still: {what}", f"[Grimoire] over: {what}"]


def test_without_addresses_alerts_are_kept_and_nobody_is_written_to(clock, settings):
    settings.GRIMOIRE_ALERT_EMAILS = []
    trouble()
    look(clock)
    assert found()
    assert not AlertMail.objects.exists()


# Who looks


def test_the_reapers_schedule_looks(clock):
    trouble()
    tasks.reap()
    assert found() == {(AlertKind.BREAKER_OPEN, "replicate")}


def test_a_conductor_looks_when_nobody_has_for_a_while(clock):
    tasks.reap()
    trouble()
    assert not errands.is_any_due(AlertWatch)
    clock.advance(seconds=91)
    do_errands(lambda **_: Watch())
    assert found() == {(AlertKind.BREAKER_OPEN, "replicate")}
    assert not errands.is_any_due(AlertWatch)


def test_who_comes_just_after_another_does_not_look_again(clock, django_assert_max_num_queries):
    alerts.evaluate(now=clock.now())
    trouble()
    clock.advance(seconds=5)
    with django_assert_max_num_queries(6):
        assert alerts.evaluate(now=clock.now()) == alerts.Evaluation()
    assert found() == set()
