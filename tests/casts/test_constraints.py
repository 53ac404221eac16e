from datetime import timedelta
from decimal import Decimal
from functools import partial
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from casts.models import (
    GENERATION_KINDS,
    LIVE,
    AlertWatch,
    AttemptStatus,
    BreakerState,
    Cast,
    CastStatus,
    CollectionArtifact,
    CollectionReviewer,
    CookStatus,
    EventKind,
    FanOut,
    GateEvent,
    PieceStatus,
    ShiftRequest,
    SubscriptionChannel,
    Tally,
)
from casts.models.conductor import ConductorKind
from casts.models.notification import COOK_KINDS, NotificationChannel, NotificationKind
from tests.casts.factories import (
    ERROR,
    NOON,
    AlertFactory,
    AlertMailFactory,
    ArtifactFactory,
    CastEventFactory,
    CastFactory,
    CollectionFactory,
    ConductorProcessFactory,
    CookFactory,
    DeliveryFactory,
    ExportFactory,
    ExportItemFactory,
    FanOutFactory,
    GateFactory,
    GenerationFactory,
    NotificationFactory,
    PieceAttemptFactory,
    PieceFactory,
    PieceReviewFactory,
    ReviewEventFactory,
    SubscriptionFactory,
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


def notify_twice_of_a_generation() -> None:
    generation = GenerationFactory.create()
    about = {"cast": generation.cast, "generation": generation, "kind": NotificationKind.WAITING}
    NotificationFactory.create(**about, round=0)
    NotificationFactory.create(**about, round=1)


def send_a_message_id_twice() -> None:
    NotificationFactory.create_batch(2, channel="webhook", message_id=uuid4())


def mail_twice() -> None:
    ada = UserFactory()
    SubscriptionFactory.create_batch(2, owner=ada, channel=SubscriptionChannel.EMAIL)


def note_a_try_twice() -> None:
    first = DeliveryFactory.create()
    DeliveryFactory.create(notification=first.notification, attempt=first.attempt)


def write_the_same_collection_again() -> None:
    CollectionFactory.create().save(force_insert=True)


def keep_a_collection_twice() -> None:
    ada = UserFactory()
    CollectionFactory.create_batch(2, owner=ada, idempotency_key="again")


def write_the_same_cook_again() -> None:
    CookFactory.create().save(force_insert=True)


def begin_a_cook_twice() -> None:
    collection = CollectionFactory.create()
    CookFactory.create_batch(2, collection=collection, idempotency_key="again")


def write_the_same_piece_again() -> None:
    PieceFactory.create().save(force_insert=True)


def make_a_piece_twice() -> None:
    first = PieceFactory.create()
    PieceFactory.create(cook=first.cook, index=first.index)


def give_two_pieces_the_same_traits() -> None:
    first = PieceFactory.create(trait_hash="a" * 64)
    PieceFactory.create(cook=first.cook, trait_hash=first.trait_hash)


def number_two_attempts_alike() -> None:
    first = PieceAttemptFactory.create(status=AttemptStatus.FAILED)
    PieceAttemptFactory.create(piece=first.piece, status=AttemptStatus.FAILED)


def cast_a_piece_that_is_at_work() -> None:
    first = PieceAttemptFactory.create()
    PieceAttemptFactory.create(piece=first.piece, number=2)


def cast_a_piece_that_is_made() -> None:
    first = PieceAttemptFactory.create(status=AttemptStatus.MADE)
    PieceAttemptFactory.create(piece=first.piece, number=2)


def publish_two_exports_of_a_cook() -> None:
    first = ExportFactory.create(status="ready", published_at=NOON)
    ExportFactory.create(cook=first.cook, status="ready", published_at=NOON)


def name_an_artefact_twice() -> None:
    collection, artifact = CollectionFactory.create(), ArtifactFactory.create()
    for _ in range(2):
        CollectionArtifact.objects.create(collection=collection, artifact=artifact)


def name_a_reviewer_twice() -> None:
    collection, user = CollectionFactory.create(), UserFactory.create()
    for _ in range(2):
        CollectionReviewer.objects.create(collection=collection, user=user)


def export_twice_under_one_key() -> None:
    first = ExportFactory.create(idempotency_key="k")
    ExportFactory.create(cook=first.cook, idempotency_key="k")


def number_two_of_an_export_alike() -> None:
    first = ExportItemFactory.create()
    ExportItemFactory.create(export=first.export)


def export_a_piece_twice() -> None:
    first = ExportItemFactory.create()
    ExportItemFactory.create(export=first.export, attempt=first.attempt, number=2)


by_webhook = partial(NotificationFactory, channel=NotificationChannel.WEBHOOK)

VIOLATIONS: Violations = {
    "collection_is_unique_with_its_version": [write_the_same_collection_again],
    "collection_is_unique_with_its_owner": [write_the_same_collection_again],
    "collection_idempotency_key_is_unique_per_owner": [keep_a_collection_twice],
    "collection_idempotency_key_is_not_empty": [partial(CollectionFactory, idempotency_key="")],
    "collection_has_a_name": [partial(CollectionFactory, name="")],
    "collection_has_a_tree_or_items": [
        partial(CollectionFactory, trait_tree={"categories": []}, items=[]),
        partial(CollectionFactory, trait_tree=None, items=None),
    ],
    "collection_seed_is_not_negative": [partial(CollectionFactory, seed=-1)],
    "collection_supplies_at_least_one": [partial(CollectionFactory, target_supply=0)],
    "cook_is_unique_with_its_version": [write_the_same_cook_again],
    "cook_is_of_its_collections_version": [lambda: CookFactory(version=SpellVersionFactory.create())],
    "cook_is_of_its_collections_owner": [lambda: CookFactory(initiator=UserFactory.create())],
    "cook_idempotency_key_is_unique_per_initiator": [begin_a_cook_twice],
    "cook_idempotency_key_is_not_empty": [partial(CookFactory, idempotency_key="")],
    "cook_status_is_known": [partial(CookFactory, status="burnt")],
    "cook_on_failure_is_known": [partial(CookFactory, on_failure="weep")],
    "cook_is_due_while_it_goes_on": [
        partial(CookFactory, due_at=None),
        partial(CookFactory, status=CookStatus.STOPPING, due_at=None),
    ],
    "cook_finished_iff_ended": [
        partial(CookFactory, finished_at=NOON),
        partial(CookFactory, status=CookStatus.FINISHED, finished_at=None),
    ],
    "cook_that_does_not_go_on_has_a_reason": [
        partial(CookFactory, status=CookStatus.PAUSED, reason=""),
        partial(CookFactory, status=CookStatus.STOPPING, reason=""),
    ],
    "cook_wants_at_least_one": [partial(CookFactory, wanted=0)],
    "cook_parallel_is_bounded": [partial(CookFactory, max_parallel=0), partial(CookFactory, max_parallel=101)],
    "cook_attempts_are_bounded": [partial(CookFactory, max_attempts=0), partial(CookFactory, max_attempts=11)],
    "cook_stops_after_at_least_one_failure": [partial(CookFactory, failures_to_stop=0)],
    "cook_budget_is_not_negative": [partial(CookFactory, budget_usd=Decimal(-1))],
    "cook_quote_is_not_negative": [partial(CookFactory, quote_usd=Decimal(-1))],
    "piece_is_unique_with_its_cook": [write_the_same_piece_again],
    "piece_index_is_unique_per_cook": [make_a_piece_twice],
    "piece_traits_are_unique_per_cook": [give_two_pieces_the_same_traits],
    "piece_status_is_known": [partial(PieceFactory, status="burnt")],
    "piece_trait_hash_is_whole": [partial(PieceFactory, trait_hash="abc")],
    "piece_settled_iff_made_or_failed": [
        partial(PieceFactory, settled_at=NOON),
        partial(PieceFactory, status=PieceStatus.MADE, settled_at=None),
    ],
    "piece_error_iff_failed": [partial(PieceFactory, error=ERROR), partial(PieceFactory, status=PieceStatus.FAILED, error=None)],
    "pieceattempt_is_of_its_pieces_cook": [lambda: PieceAttemptFactory(cook=CookFactory.create())],
    "pieceattempt_is_of_its_cooks_version": [lambda: PieceAttemptFactory(version=SpellVersionFactory.create())],
    "pieceattempt_is_of_its_casts_version": [lambda: PieceAttemptFactory(cast=CastFactory.create())],
    "pieceattempt_number_is_unique_per_piece": [number_two_attempts_alike],
    "pieceattempt_one_standing_per_piece": [cast_a_piece_that_is_at_work, cast_a_piece_that_is_made],
    "pieceattempt_status_is_known": [partial(PieceAttemptFactory, status="burnt")],
    "pieceattempt_numbers_begin_at_one": [partial(PieceAttemptFactory, number=0)],
    "pieceattempt_ended_unless_live": [
        partial(PieceAttemptFactory, ended_at=NOON),
        partial(PieceAttemptFactory, status=AttemptStatus.FAILED, ended_at=None),
    ],
    "piecereview_decision_is_known": [partial(PieceReviewFactory, decision="doubtful")],
    "piecereview_decided_iff_at_a_time": [
        partial(PieceReviewFactory, decided_at=NOON),
        partial(PieceReviewFactory, decision="accepted", decided_at=None),
    ],
    "piecereview_has_somebody_who_decided": [
        partial(PieceReviewFactory, decision="accepted", reviewer=None),
        partial(PieceReviewFactory, decision="accepted", leased_until=NOON),
    ],
    "piecereview_lease_has_a_holder": [partial(PieceReviewFactory, leased_until=NOON)],
    "piecereview_rejected_for_a_reason": [partial(PieceReviewFactory, decision="rejected", reason="")],
    "reviewevent_act_is_known": [partial(ReviewEventFactory, act="doubted")],
    "collectionartifact_is_named_once": [name_an_artefact_twice],
    "collectionreviewer_is_named_once": [name_a_reviewer_twice],
    "export_idempotency_key_is_unique_per_requester": [export_twice_under_one_key],
    "export_idempotency_key_is_not_empty": [partial(ExportFactory, idempotency_key="")],
    "export_one_published_per_cook": [publish_two_exports_of_a_cook],
    "export_status_is_known": [partial(ExportFactory, status="lost", finished_at=NOON, due_at=None)],
    "export_is_due_iff_preparing": [
        partial(ExportFactory, due_at=None),
        partial(ExportFactory, finished_at=NOON),
        partial(ExportFactory, status="ready", due_at=NOON),
        partial(ExportFactory, status="failed", finished_at=None),
    ],
    "export_ready_iff_it_has_a_hash": [
        partial(ExportFactory, provenance_hash="0" * 64),
        partial(ExportFactory, status="ready", provenance_hash=""),
        partial(ExportFactory, status="ready", prepared=0),
    ],
    "export_error_iff_failed": [partial(ExportFactory, error="No."), partial(ExportFactory, status="failed", error="")],
    "export_published_when_ready": [partial(ExportFactory, published_at=NOON)],
    "export_has_pieces": [partial(ExportFactory, total=0)],
    "exportitem_number_is_unique_per_export": [number_two_of_an_export_alike],
    "exportitem_attempt_is_unique_per_export": [export_a_piece_twice],
    "exportitem_numbers_begin_at_one": [partial(ExportItemFactory, number=0)],
    "exportitem_crc32_is_one": [partial(ExportItemFactory, crc32=-1), partial(ExportItemFactory, crc32=2**32)],
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
    "shiftrequest_is_one": [partial(ShiftRequest.objects.create, pk=2)],
    "tally_is_unique_per_name_and_labels": [keep_a_tally_twice],
    "tally_is_not_negative": [partial(Tally.objects.create, name="grimoire_healed_total", labels="{}", value=-1)],
    "cast_status_is_known": [partial(CastFactory, status="resting")],
    "cast_priority_is_known": [partial(CastFactory, priority=5)],
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
    "notification_is_sent_once_per_round_and_generation": [notify_twice],
    "notification_message_id_is_unique": [send_a_message_id_twice],
    "notification_kind_is_known": [partial(NotificationFactory, kind="cast.forgotten")],
    "notification_channel_is_known": [partial(NotificationFactory, channel="pigeon")],
    "notification_of_a_generation_is_sent_once": [notify_twice_of_a_generation],
    "notification_is_of_a_cast_a_cook_or_a_webhook": [partial(NotificationFactory, cast=None)],
    "notification_names_a_cook_iff_about_one": [
        partial(NotificationFactory, cast=None, kind=NotificationKind.COOK_FINISHED),
        lambda: NotificationFactory(cook=CookFactory.create()),
        lambda: NotificationFactory(cook=CookFactory.create(), kind=NotificationKind.COOK_PAUSED),
    ],
    "notification_names_a_generation_iff_about_one": [
        partial(NotificationFactory, kind=NotificationKind.WAITING),
        *(partial(NotificationFactory, kind=kind) for kind in GENERATION_KINDS),
        lambda: NotificationFactory(generation=GenerationFactory()),
    ],
    "notification_is_due_or_delivered_or_given_up": [
        partial(by_webhook, due_at=None, delivered_at=None),
        partial(by_webhook, due_at=NOON, delivered_at=NOON),
        partial(by_webhook, due_at=NOON, given_up_at=NOON, said="It is gone."),
        partial(by_webhook, delivered_at=NOON, given_up_at=NOON, said="It is gone."),
    ],
    "notification_given_up_has_a_reason": [partial(by_webhook, given_up_at=NOON)],
    "notification_in_the_inbox_is_delivered": [partial(NotificationFactory, due_at=NOON)],
    "notification_is_sent_by_a_subscription": [
        partial(by_webhook, subscription=None, target="7"),
        partial(by_webhook, message_id=None),
        lambda: NotificationFactory(subscription=SubscriptionFactory()),
    ],
    "notification_is_read_in_the_inbox_alone": [partial(by_webhook, read_at=NOON)],
    "delivery_is_noted_once": [note_a_try_twice],
    "delivery_has_an_error_iff_it_failed": [
        partial(DeliveryFactory, succeeded=True, error="It answered 500."),
        partial(DeliveryFactory, succeeded=False),
    ],
    "subscription_channel_is_known": [partial(SubscriptionFactory, channel="pigeon")],
    "subscription_to_email_is_one_per_owner": [mail_twice],
    "subscription_has_an_address_iff_webhook": [
        partial(SubscriptionFactory, url=""),
        partial(SubscriptionFactory, channel=SubscriptionChannel.EMAIL, url="https://example.org/hook"),
        lambda: SubscriptionFactory(channel=SubscriptionChannel.EMAIL, cast=CastFactory()),
    ],
    "subscription_has_a_secret_iff_webhook_in_use": [
        partial(SubscriptionFactory, secret=""),
        partial(SubscriptionFactory, enabled=False, removed_at=NOON),
        partial(SubscriptionFactory, channel=SubscriptionChannel.EMAIL, secret="sealed"),
    ],
    "subscription_former_secret_has_an_end": [
        partial(SubscriptionFactory, former_secret="sealed"),
        partial(SubscriptionFactory, former_until=NOON),
    ],
    "subscription_disabled_iff_it_has_a_reason": [
        partial(SubscriptionFactory, enabled=False, disabled_reason=""),
        partial(SubscriptionFactory, enabled=False, disabled_at=None),
        partial(SubscriptionFactory, disabled_reason="It failed for days."),
        partial(SubscriptionFactory, disabled_at=NOON),
    ],
    "subscription_that_was_removed_is_disabled": [partial(SubscriptionFactory, removed_at=NOON, secret="")],
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
@pytest.mark.parametrize("owner", ["version", "initiator"])
def test_no_cast_is_without_its_version_and_its_initiator(owner: str):
    cast = CastFactory.create()
    with pytest.raises(IntegrityError, match=f"{owner}_id"), transaction.atomic():
        Cast.objects.filter(pk=cast.pk).update(**{owner: None})


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
@pytest.mark.parametrize("kind", [kind for kind in NotificationKind if kind not in COOK_KINDS])
@pytest.mark.parametrize("channel", NotificationChannel)
def test_a_notification_of_each_kind_over_each_channel_is_accepted(kind: NotificationKind, channel: NotificationChannel):
    is_of_a_generation = kind in (NotificationKind.WAITING, *GENERATION_KINDS)
    generation = GenerationFactory.create() if is_of_a_generation else None
    assert NotificationFactory.create(kind=kind, channel=channel, generation=generation).pk


@pytest.mark.django_db
@pytest.mark.parametrize("kind", COOK_KINDS)
@pytest.mark.parametrize("channel", NotificationChannel)
def test_a_notification_of_a_cook_is_accepted_over_each_channel(kind: NotificationKind, channel: NotificationChannel):
    assert NotificationFactory.create(kind=kind, channel=channel, cast=None, cook=CookFactory.create()).pk


@pytest.mark.django_db
@pytest.mark.parametrize("fate", ["due_at", "delivered_at", "given_up_at"])
def test_a_notification_may_be_due_delivered_or_given_up(fate: str):
    times = {"due_at": None, fate: NOON}
    status = {"due_at": "pending", "delivered_at": "delivered", "given_up_at": "given_up"}[fate]
    assert NotificationFactory.create(channel=NotificationChannel.WEBHOOK, said="It answered 500.", **times).status == status


@pytest.mark.django_db
def test_a_webhook_that_was_removed_is_kept_without_its_secrets():
    assert SubscriptionFactory.create(enabled=False, removed_at=NOON, secret="").pk


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
