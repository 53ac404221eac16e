from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import IntegrityError, transaction

from casts.models import LIVE, AlertWatch, BreakerState, CastStatus, EventKind, FanOut, GateEvent, Tally
from casts.models.conductor import ConductorKind
from casts.models.notification import NotificationChannel, NotificationKind
from tests.casts.factories import (
    ERROR,
    NOON,
    AlertFactory,
    AlertMailFactory,
    CastEventFactory,
    CastFactory,
    ConductorProcessFactory,
    FanOutFactory,
    GateFactory,
    GenerationFactory,
    NotificationFactory,
    WaiterFactory,
    WakeupFactory,
)
from tests.constraints import Violation, Violations, assert_refused, cases
from tests.factories import ProviderFactory, SpellVersionFactory, StepFactory, ToolFactory, UserFactory

LATER = NOON + timedelta(seconds=30)


def write_the_same_cast_again() -> None:
    cast = CastFactory.create()
    cast.save(force_insert=True)


def use_an_idempotency_key_twice() -> None:
    ada = UserFactory()
    CastFactory.create_batch(2, initiator=ada, idempotency_key="again")


def keep_a_tally_twice() -> None:
    for _ in range(2):
        Tally.objects.create(name="grimoire_healed_total", labels="{}")


def evaluate_a_fan_out_twice() -> None:
    first = FanOutFactory()
    FanOutFactory(cast=first.cast, step=first.step)


def notify_twice() -> None:
    cast = CastFactory.create()
    NotificationFactory.create_batch(2, cast=cast, target="ada@example.org")


def open_an_alert_twice() -> None:
    AlertFactory.create_batch(2, kind="no_conductor", subject="")


VIOLATIONS: Violations = {
    "alert_kind_is_known": [partial(AlertFactory, kind="boredom")],
    "alert_one_open_per_kind_and_subject": [open_an_alert_twice],
    "alert_closes_after_calm": [
        partial(AlertFactory, closed_at=LATER),
        partial(AlertFactory, calm_since=LATER, closed_at=NOON),
    ],
    "alert_calms_after_it_opened": [partial(AlertFactory, calm_since=NOON - timedelta(seconds=1))],
    "alertmail_outcome_is_known": [partial(AlertMailFactory, outcome="lost")],
    "alertmail_due_iff_pending": [
        partial(AlertMailFactory, due_at=None),
        partial(AlertMailFactory, outcome="sent", due_at=NOON),
    ],
    "alertmail_done_unless_pending": [
        partial(AlertMailFactory, done_at=NOON),
        partial(AlertMailFactory, outcome="failed", done_at=None),
    ],
    "alertwatch_is_one": [partial(AlertWatch.objects.create, pk=2, due_at=NOON)],
    "tally_is_unique_per_name_and_labels": [keep_a_tally_twice],
    "tally_is_not_negative": [partial(Tally.objects.create, name="grimoire_healed_total", labels="{}", value=-1)],
    "cast_status_is_known": [partial(CastFactory, status="resting")],
    "cast_is_unique_with_its_version": [write_the_same_cast_again],
    "cast_idempotency_key_is_unique_per_initiator": [use_an_idempotency_key_twice],
    "cast_idempotency_key_is_not_empty": [partial(CastFactory, idempotency_key="")],
    "cast_finished_iff_ended": [
        partial(CastFactory, status=CastStatus.SUCCEEDED, finished_at=None),
        partial(CastFactory, status=CastStatus.FAILED, finished_at=None),
        partial(CastFactory, status=CastStatus.CANCELLED, finished_at=None),
        partial(CastFactory, status=CastStatus.QUEUED, finished_at=LATER),
        partial(CastFactory, status=CastStatus.RUNNING, finished_at=LATER),
        partial(CastFactory, status=CastStatus.PAUSED, finished_at=LATER),
    ],
    "cast_started_unless_queued": [
        partial(CastFactory, status=CastStatus.QUEUED, started_at=NOON),
        partial(CastFactory, status=CastStatus.RUNNING, started_at=None),
        partial(CastFactory, status=CastStatus.SUCCEEDED, started_at=None),
    ],
    "cast_outputs_iff_succeeded": [
        partial(CastFactory, status=CastStatus.SUCCEEDED, outputs=None),
        partial(CastFactory, status=CastStatus.RUNNING, outputs={}),
        partial(CastFactory, status=CastStatus.FAILED, outputs={"part": 1}),
    ],
    "cast_error_iff_failed": [
        partial(CastFactory, status=CastStatus.FAILED, error=None),
        partial(CastFactory, status=CastStatus.RUNNING, error=ERROR),
        partial(CastFactory, status=CastStatus.SUCCEEDED, error=ERROR),
    ],
    "cast_cancelled_has_a_reason": [partial(CastFactory, status=CastStatus.CANCELLED, reason="")],
    "cast_traceparent_is_whole": [partial(CastFactory, traceparent="00-1"), partial(CastFactory, traceparent="0" * 54)],
    "cast_cost_is_not_negative": [partial(CastFactory, cost_usd=Decimal("-0.0000000001"))],
    "cast_budget_is_not_negative": [partial(CastFactory, max_cost_usd=Decimal(-1))],
    "conductorprocess_kind_is_known": [partial(ConductorProcessFactory, kind="thread")],
    "conductorprocess_lives_after_its_start": [partial(ConductorProcessFactory, alive_until=NOON - timedelta(seconds=1))],
    "castevent_kind_is_known": [partial(CastEventFactory, kind="forgotten")],
    "fanout_is_evaluated_once": [evaluate_a_fan_out_twice],
    "fanout_count_is_not_negative": [partial(FanOutFactory, count=-1)],
    "fanout_cast_pins_its_version": [lambda: FanOutFactory(version=SpellVersionFactory())],
    "fanout_step_belongs_to_its_version": [lambda: FanOutFactory(step=StepFactory())],
    "notification_is_sent_once_per_round": [notify_twice],
    "notification_kind_is_known": [partial(NotificationFactory, kind="cast.forgotten")],
    "notification_channel_is_known": [partial(NotificationFactory, channel="pigeon")],
    "notification_due_iff_undelivered": [
        partial(NotificationFactory, due_at=None, delivered_at=None),
        partial(NotificationFactory, due_at=NOON, delivered_at=NOON),
    ],
    "wakeup_priority_is_known": [partial(WakeupFactory, priority=5)],
    "gate_is_of_a_tool_or_a_provider": [
        partial(GateFactory, tool=None),
        lambda: GateFactory(tool=ToolFactory(), provider=ProviderFactory()),
    ],
    "gate_state_is_known": [partial(GateFactory, state="ajar", since=NOON)],
    "gate_tells_since_when": [partial(GateFactory, state=state, since=None) for state in ("open", "half_open")],
    "gate_retries_only_while_open": [
        partial(GateFactory, retry_at=NOON),
        partial(GateFactory, state=BreakerState.HALF_OPEN, since=NOON, retry_at=NOON),
    ],
    "gate_probes_only_half_open": [lambda: GateFactory(probe=GenerationFactory())],
    "gateevent_kind_is_known": [lambda: GateEvent.objects.create(gate=GateFactory.create(), kind="forgotten", at=NOON)],
    "gateevent_of_an_actor_bears_a_name": [
        lambda: GateEvent.objects.create(gate=GateFactory.create(), kind="opened", actor=UserFactory.create(), at=NOON)
    ],
    "waiter_is_rung_after_it_came": [partial(WaiterFactory, since=LATER, rung_at=NOON)],
    "wakeup_epoch_is_not_negative": [partial(WakeupFactory, epoch=-1)],
    "wakeup_claimed_is_parked_at_its_lease": [partial(WakeupFactory, claimed_until=LATER, due_at=NOON)],
}


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "violate"), cases(VIOLATIONS))
def test_the_database_refuses(name: str, violate: Violation):
    assert_refused(name, violate)


@pytest.mark.django_db
@pytest.mark.parametrize("status", CastStatus)
def test_a_cast_of_each_status_is_accepted(status: CastStatus):
    assert CastFactory.create(status=status).finished_at == (None if status in LIVE else NOON)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [CastStatus.PAUSED, CastStatus.CANCELLED, CastStatus.FAILED])
def test_a_cast_may_be_held_or_ended_before_it_started(status: CastStatus):
    assert CastFactory.create(status=status, started_at=None).pk


@pytest.mark.django_db
def test_many_casts_of_one_initiator_may_be_without_an_idempotency_key():
    ada = UserFactory()
    assert len(CastFactory.create_batch(2, initiator=ada)) == 2


@pytest.mark.django_db
def test_two_initiators_may_use_the_same_idempotency_key():
    assert len(CastFactory.create_batch(2, idempotency_key="again")) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("kind", EventKind)
def test_an_event_of_each_kind_is_accepted(kind: EventKind):
    assert CastEventFactory.create(kind=kind).pk


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ConductorKind)
def test_a_conductor_of_each_kind_is_accepted(kind: ConductorKind):
    assert ConductorProcessFactory.create(kind=kind).pk


@pytest.mark.django_db
@pytest.mark.parametrize("kind", NotificationKind)
@pytest.mark.parametrize("channel", NotificationChannel)
def test_a_notification_of_each_kind_over_each_channel_is_accepted(kind: NotificationKind, channel: NotificationChannel):
    assert NotificationFactory.create(kind=kind, channel=channel).pk


@pytest.mark.django_db
def test_a_claimed_wakeup_is_parked_at_the_end_of_its_lease():
    assert WakeupFactory.create(claimed_until=LATER, due_at=LATER).pk


@pytest.mark.django_db(transaction=True)
def test_a_step_of_another_version_is_refused_at_the_commit():
    stranger = StepFactory()
    cast = CastFactory.create(status=CastStatus.RUNNING)
    with pytest.raises(IntegrityError), transaction.atomic():
        FanOutFactory(cast=cast, step=stranger)
    assert not FanOut.objects.exists()
