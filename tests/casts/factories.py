"""Rows of casts and generations for tests. What a status demands is filled in; what a test gives stands."""

from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import uuid4

from factory.declarations import LazyAttribute, LazyFunction, SelfAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory

from casts.models import (
    CAST_KINDS,
    ENDED,
    Alert,
    AlertKind,
    AlertMail,
    AlertMailOutcome,
    AttemptStatus,
    Cast,
    CastEvent,
    CastStatus,
    Collection,
    ConductorProcess,
    Cook,
    CookStatus,
    Decision,
    Delivery,
    EventKind,
    Export,
    ExportItem,
    ExportStatus,
    FanOut,
    Gate,
    Notification,
    Piece,
    PieceAttempt,
    PieceReview,
    PieceStatus,
    Priority,
    ReviewAct,
    ReviewEvent,
    Subscription,
    SubscriptionChannel,
    Waiter,
    Wakeup,
)
from casts.models.conductor import ConductorKind
from casts.models.notification import NotificationChannel, NotificationKind
from casts.notifications import signing
from generations.models import ENDED as ENDED_GENERATIONS
from generations.models import Artifact, Callback, Cancellation, Generation, GenerationStatus
from generations.models.callback import CallbackOutcome
from generations.models.cancellation import CancellationOutcome
from tests.factories import SpellVersionFactory, StepFactory, ToolFactory, UserFactory

_Row = TypeVar("_Row", FanOut, Generation)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ERROR = {"code": "tool_failed", "message": "It broke."}


class CastFactory(DjangoModelFactory[Cast]):
    class Meta:
        model = Cast

    version = SubFactory(SpellVersionFactory)
    initiator = SubFactory(UserFactory)
    status = CastStatus.QUEUED
    created_at = NOON
    deadline_at = LazyAttribute(lambda cast: cast.created_at + timedelta(hours=1))
    started_at = LazyAttribute(lambda cast: None if cast.status == CastStatus.QUEUED else cast.created_at)
    finished_at = LazyAttribute(lambda cast: cast.created_at if cast.status in ENDED else None)
    outputs = LazyAttribute(lambda cast: {} if cast.status == CastStatus.SUCCEEDED else None)
    error = LazyAttribute(lambda cast: ERROR if cast.status == CastStatus.FAILED else None)
    reason = LazyAttribute(lambda cast: "Its initiator cancelled it." if cast.status == CastStatus.CANCELLED else "")


class WakeupFactory(DjangoModelFactory[Wakeup]):
    class Meta:
        model = Wakeup

    cast = SubFactory(CastFactory)
    initiator = SelfAttribute("cast.initiator")
    due_at = NOON


class CastEventFactory(DjangoModelFactory[CastEvent]):
    class Meta:
        model = CastEvent

    cast = SubFactory(CastFactory)
    kind = EventKind.STARTED
    at = NOON


SECRET = signing.PREFIX + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class SubscriptionFactory(DjangoModelFactory[Subscription]):
    class Meta:
        model = Subscription

    owner = SubFactory(UserFactory)
    channel = SubscriptionChannel.WEBHOOK
    kinds = LazyFunction(lambda: list(CAST_KINDS))
    url = LazyAttribute(lambda row: "https://example.org/hook" if row.channel == SubscriptionChannel.WEBHOOK else "")
    secret = LazyAttribute(lambda row: signing.seal(SECRET) if row.channel == SubscriptionChannel.WEBHOOK else "")
    disabled_at = LazyAttribute(lambda row: None if row.enabled else NOON)
    disabled_reason = LazyAttribute(lambda row: "" if row.enabled else "It failed for days.")
    enabled = True
    created_at = NOON


class NotificationFactory(DjangoModelFactory[Notification]):
    """A notification of the inbox, or with another channel one that is delivered unless it is due."""

    class Meta:
        model = Notification

    cast = SubFactory(CastFactory)
    recipient = LazyAttribute(lambda row: row.cast.initiator if row.cast else UserFactory.create())
    round = 0
    kind = NotificationKind.SUCCEEDED
    channel = NotificationChannel.INBOX
    subscription = LazyAttribute(lambda row: None if row.channel == NotificationChannel.INBOX else _subscription_of(row))
    target = LazyAttribute(lambda row: str(row.subscription.pk) if row.subscription else str(row.recipient.pk))
    message_id = LazyAttribute(lambda row: None if row.channel == NotificationChannel.INBOX else uuid4())
    created_at = NOON
    due_at = None
    given_up_at = None
    delivered_at = LazyAttribute(lambda row: NOON if row.due_at is None and row.given_up_at is None else None)


def _subscription_of(row: Any) -> Subscription:
    is_mail = row.channel == NotificationChannel.EMAIL
    channel = SubscriptionChannel.EMAIL if is_mail else SubscriptionChannel.WEBHOOK
    return SubscriptionFactory.create(owner=row.recipient, channel=channel)


class DeliveryFactory(DjangoModelFactory[Delivery]):
    class Meta:
        model = Delivery

    notification = SubFactory(NotificationFactory, channel=NotificationChannel.WEBHOOK)
    attempt = Sequence(lambda n: n + 1)
    address = "https://example.org/hook"
    at = NOON
    seconds = 0.1
    succeeded = True
    status_code = 200


class AlertFactory(DjangoModelFactory[Alert]):
    class Meta:
        model = Alert

    kind = AlertKind.BREAKER_OPEN
    subject = Sequence(lambda n: f"provider{n}")
    told = "No calls are made to it."
    opened_at = NOON
    seen_at = NOON
    told_at = NOON


class AlertMailFactory(DjangoModelFactory[AlertMail]):
    class Meta:
        model = AlertMail

    target = "ada@example.org"
    subject = "[Grimoire] alert: nobody conducts"
    body = "Start one."
    created_at = NOON
    due_at = LazyAttribute(lambda mail: NOON if mail.outcome == AlertMailOutcome.PENDING else None)
    done_at = LazyAttribute(lambda mail: None if mail.outcome == AlertMailOutcome.PENDING else NOON)
    outcome = AlertMailOutcome.PENDING


class GateFactory(DjangoModelFactory[Gate]):
    class Meta:
        model = Gate

    tool = SubFactory(ToolFactory)


class WaiterFactory(DjangoModelFactory[Waiter]):
    class Meta:
        model = Waiter

    cast = SubFactory(CastFactory)
    gate = SubFactory(GateFactory)
    initiator = SelfAttribute("cast.initiator")
    since = NOON


class ConductorProcessFactory(DjangoModelFactory[ConductorProcess]):
    class Meta:
        model = ConductorProcess

    kind = ConductorKind.PROCESS
    host = "here"
    pid = 7
    started_at = NOON
    alive_until = NOON + timedelta(seconds=15)


class _OfAStep(DjangoModelFactory[_Row], Generic[_Row]):
    """A row of one step of one cast. Both belong to the same version, which is the cast's."""

    class Meta:
        abstract = True

    cast = SubFactory(CastFactory, status=CastStatus.RUNNING)
    version = SelfAttribute("cast.version")
    step = SubFactory(StepFactory, version=SelfAttribute("..cast.version"))


class FanOutFactory(_OfAStep[FanOut]):
    class Meta:
        model = FanOut

    items = LazyFunction(list)
    count = LazyAttribute(lambda fan_out: len(fan_out.items))
    created_at = NOON


def _in(*statuses: GenerationStatus, then: Any, otherwise: Any = None) -> Any:
    return LazyAttribute(lambda generation: then if generation.status in statuses else otherwise)


class GenerationFactory(_OfAStep[Generation]):
    class Meta:
        model = Generation

    tool = SelfAttribute("step.tool")
    status = GenerationStatus.PENDING
    epoch = 1
    output = _in(GenerationStatus.SUCCEEDED, then={})
    error = _in(GenerationStatus.FAILED, GenerationStatus.UNKNOWN, then=ERROR)
    reason = _in(GenerationStatus.CANCELLED, GenerationStatus.SKIPPED, then="Nobody needed it.", otherwise="")
    created_at = NOON
    started_at = _in(GenerationStatus.PENDING, then=None, otherwise=NOON)
    finished_at = _in(*ENDED_GENERATIONS, then=NOON)


class ArtifactFactory(DjangoModelFactory[Artifact]):
    class Meta:
        model = Artifact

    owner = SubFactory(UserFactory)
    sha256 = Sequence(lambda n: f"{n:064x}")
    mime_type = "text/plain"
    size = 0
    created_at = NOON


class CancellationFactory(DjangoModelFactory[Cancellation]):
    class Meta:
        model = Cancellation

    generation = SubFactory(GenerationFactory, status=GenerationStatus.SUBMITTED, job_id="job-7")
    outcome = CancellationOutcome.PENDING
    created_at = NOON
    due_at = LazyAttribute(lambda row: NOON if row.outcome == CancellationOutcome.PENDING else None)
    done_at = LazyAttribute(lambda row: None if row.outcome == CancellationOutcome.PENDING else NOON)


class CallbackFactory(DjangoModelFactory[Callback]):
    class Meta:
        model = Callback

    adapter = "fake"
    delivery_id = Sequence(lambda n: f"delivery-{n}")
    generation = SubFactory(GenerationFactory)
    outcome = CallbackOutcome.RECEIVED
    payload = LazyFunction(dict)
    received_at = NOON
    addressed_to = LazyAttribute(lambda callback: callback.generation.pk if callback.generation else uuid4())
    due_at = LazyAttribute(lambda callback: callback.received_at if callback.outcome == CallbackOutcome.RECEIVED else None)
    applied_at = LazyAttribute(lambda callback: None if callback.outcome == CallbackOutcome.RECEIVED else callback.received_at)


class CollectionFactory(DjangoModelFactory[Collection]):
    """A list of three texts."""

    class Meta:
        model = Collection

    owner = SubFactory(UserFactory)
    name = Sequence(lambda n: f"Portraits {n}")
    version = SubFactory(SpellVersionFactory)
    items = LazyAttribute(lambda row: ["a fox", "an owl", "a hare"] if row.trait_tree is None else None)
    trait_tree = None
    target_supply = 3
    created_at = NOON


class CookFactory(DjangoModelFactory[Cook]):
    class Meta:
        model = Cook

    collection = SubFactory(CollectionFactory)
    version = SelfAttribute("collection.version")
    initiator = SelfAttribute("collection.owner")
    status = CookStatus.RUNNING
    reason = LazyAttribute(lambda cook: "" if cook.status in (CookStatus.RUNNING, CookStatus.FINISHED) else "By hand.")
    wanted = 3
    created_at = NOON
    finished_at = LazyAttribute(lambda cook: NOON if cook.status in (CookStatus.STOPPED, CookStatus.FINISHED) else None)
    due_at = LazyAttribute(lambda cook: NOON if cook.status in (CookStatus.RUNNING, CookStatus.STOPPING) else None)


class PieceFactory(DjangoModelFactory[Piece]):
    class Meta:
        model = Piece

    cook = SubFactory(CookFactory)
    index = Sequence(lambda n: n)
    status = PieceStatus.PENDING
    error = LazyAttribute(lambda piece: ERROR if piece.status == PieceStatus.FAILED else None)
    settled_at = LazyAttribute(lambda piece: NOON if piece.status in (PieceStatus.MADE, PieceStatus.FAILED) else None)


class PieceAttemptFactory(DjangoModelFactory[PieceAttempt]):
    class Meta:
        model = PieceAttempt

    piece = SubFactory(PieceFactory)
    cook = SelfAttribute("piece.cook")
    version = SelfAttribute("cook.version")
    number = 1
    cast = LazyAttribute(lambda row: CastFactory.create(version=row.version, initiator=row.cook.initiator, priority=Priority.BATCH))
    status = AttemptStatus.LIVE
    created_at = NOON
    ended_at = LazyAttribute(lambda row: None if row.status == AttemptStatus.LIVE else NOON)


class PieceReviewFactory(DjangoModelFactory[PieceReview]):
    """A review that is open, or was decided."""

    class Meta:
        model = PieceReview

    attempt = SubFactory(PieceAttemptFactory, status=AttemptStatus.MADE)
    decision = ""
    reason = LazyAttribute(lambda row: "Blurred." if row.decision == Decision.REJECTED else "")
    reviewer = LazyAttribute(lambda row: UserFactory.create() if row.decision else None)
    decided_at = LazyAttribute(lambda row: NOON if row.decision else None)


class ReviewEventFactory(DjangoModelFactory[ReviewEvent]):
    class Meta:
        model = ReviewEvent

    attempt = SubFactory(PieceAttemptFactory, status=AttemptStatus.MADE)
    piece = SelfAttribute("attempt.piece")
    act = ReviewAct.ACCEPTED
    actor = SubFactory(UserFactory)
    at = NOON


class ExportFactory(DjangoModelFactory[Export]):
    """An export of one piece that is being prepared, or has been."""

    class Meta:
        model = Export

    cook = SubFactory(CookFactory)
    requested_by = SelfAttribute("cook.initiator")
    status = ExportStatus.PREPARING
    name_template = "{{ number }}"
    total = 1
    prepared = LazyAttribute(lambda row: 1 if row.status == ExportStatus.READY else 0)
    provenance_hash = LazyAttribute(lambda row: "0" * 64 if row.status == ExportStatus.READY else "")
    error = LazyAttribute(lambda row: "A file is gone." if row.status == ExportStatus.FAILED else "")
    created_at = NOON
    finished_at = LazyAttribute(lambda row: None if row.status == ExportStatus.PREPARING else NOON)
    due_at = LazyAttribute(lambda row: NOON if row.status == ExportStatus.PREPARING else None)


class ExportItemFactory(DjangoModelFactory[ExportItem]):
    class Meta:
        model = ExportItem

    export = SubFactory(ExportFactory)
    number = 1
    attempt = LazyAttribute(lambda row: PieceAttemptFactory.create(piece__cook=row.export.cook, status=AttemptStatus.MADE))
    name = "Sailor 1"
    sha256 = "0" * 64
    mime_type = "image/png"
    size = 3
