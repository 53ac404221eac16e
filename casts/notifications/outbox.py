"""The outbox: what is due is made ready to be sent, and what came of it is noted."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from casts.clock import database_now
from casts.doorbell import knock
from casts.engine import sql
from casts.engine.retrying import in_one_transaction
from casts.errands import Errand
from casts.models import Delivery, Notification, NotificationChannel, Subscription
from generations.outputs import clean_text

from . import health
from .messages import Message, Outcome, Tried, messages_of
from .receivers import Receivers, receiver_of
from .schedule import MAX_TRIES, spread, wait_before_try
from .subscriptions import WebhookDisabledError

logger = logging.getLogger(__name__)

# A message whose senders vanished so often is what makes them vanish. Waiting for a receiver counts here, too.
MAX_CLAIMS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fate:
    """What becomes of one notification: due again, delivered or given up."""

    errand: Errand
    tries: int
    said: str = ""
    due_at: datetime | None = None
    delivered_at: datetime | None = None
    given_up_at: datetime | None = None


def load(errands: Sequence[Errand], *, receivers: Receivers) -> list[Message]:
    """Return the messages to send now, and add them to what this process is sending to their `receivers`.

    What nobody wants any more is given up. What must leave its receiver alone for a while is put off: that is no try.
    """
    now = database_now()
    mine = {errand.id: errand for errand in errands}
    rows = Notification.objects.filter(pk__in=mine).select_related("subscription", "recipient", "cast__version__spell").order_by("pk")
    fates: list[_Fate] = []
    ready: list[tuple[Errand, Notification]] = []
    for row in rows.defer("cast__inputs", "cast__outputs", "cast__version__input_schema", "cast__version__outputs"):
        errand = mine[row.pk]
        useless = _useless(errand, row)
        wait = 0.0 if useless else _wait_for_receiver(row, receivers, now)
        if useless:
            fates.append(_Fate(errand=errand, tries=row.tries, said=useless, given_up_at=now))
        elif wait:
            fates.append(_Fate(errand=errand, tries=row.tries, said=row.said, due_at=now + timedelta(seconds=wait)))
        else:
            receivers.begin(receiver_of(row))
            ready.append((errand, row))
    messages, unmade = _make(ready, receivers, now)
    _write([*fates, *unmade])
    return messages


def _useless(errand: Errand, row: Notification) -> str:
    """Return why a notification is not sent any more; empty when it is."""
    subscription = row.subscription
    assert subscription is not None
    if errand.attempts > MAX_CLAIMS:
        return "Whoever sent it vanished each time."
    if not subscription.enabled:
        return f"The webhook is disabled: {subscription.disabled_reason}"
    if not row.recipient.is_active:
        return "The account is inactive."
    if subscription.channel == NotificationChannel.EMAIL and row.kind not in subscription.kinds:
        return "Its recipient wants no more such mails."
    return ""


def _wait_for_receiver(row: Notification, receivers: Receivers, now: datetime) -> float:
    """Return for how many seconds the receiver is to be left alone; 0 when there is room."""
    subscription = row.subscription
    assert subscription is not None
    if subscription.rest_until is not None and subscription.rest_until > now:
        return spread((subscription.rest_until - now).total_seconds() + 1.0)
    receiver = receiver_of(row)
    is_failing = subscription.failing_since is not None
    return 0.0 if receivers.has_room(receiver, is_failing=is_failing) else receivers.wait(receiver)


def _make(ready: Iterable[tuple[Errand, Notification]], receivers: Receivers, now: datetime) -> tuple[list[Message], list[_Fate]]:
    messages, unmade = [], []
    rows = list(ready)
    for (errand, made), (_, row) in zip(messages_of(rows, now=now), rows, strict=True):
        if isinstance(made, Message):
            messages.append(made)
            continue
        receivers.end(receiver_of(row))
        logger.error("Notification %d cannot be made into a message", row.pk, exc_info=made)
        unmade.append(_after_failure(errand, tries=row.tries + 1, said=str(made) or type(made).__name__, now=now))
    return messages, unmade


@in_one_transaction
def note(tried: Sequence[Tried]) -> list[Outcome]:
    """Write what came of these tries: the log, the notifications, the health of the receivers. One transaction.

    Returns for each what became of its notification: delivered, failed and to be tried again, or refused: given up.
    """
    now = database_now()
    Delivery.objects.bulk_create([_delivery(each) for each in tried], ignore_conflicts=True)
    fates = [_fate(each, now) for each in tried]
    _write(fates)
    health.learn(tried, now=now)
    return [_outcome(fate) for fate in fates]


def _delivery(tried: Tried) -> Delivery:
    return Delivery(
        notification_id=tried.message.errand.id,
        attempt=tried.message.errand.attempts,
        address=tried.message.address,
        at=tried.at,
        seconds=tried.seconds,
        succeeded=tried.outcome is Outcome.DELIVERED,
        status_code=tried.status_code,
        answer=tried.answer,
        error=tried.error,
    )


def _fate(tried: Tried, now: datetime) -> _Fate:
    errand, tries = tried.message.errand, tried.message.tries + 1
    if tried.outcome is Outcome.DELIVERED:
        return _Fate(errand=errand, tries=tries, delivered_at=now)
    if tried.outcome is not Outcome.FAILED:
        return _Fate(errand=errand, tries=tries, said=tried.error, given_up_at=now)
    return _after_failure(errand, tries=tries, said=tried.error, now=now, retry_after=tried.retry_after)


def _after_failure(errand: Errand, *, tries: int, said: str, now: datetime, retry_after: float | None = None) -> _Fate:
    if tries >= MAX_TRIES:
        return _Fate(errand=errand, tries=tries, said=said, given_up_at=now)
    wait = wait_before_try(tries=tries, retry_after=retry_after)
    return _Fate(errand=errand, tries=tries, said=said, due_at=now + timedelta(seconds=wait))


def _outcome(fate: _Fate) -> Outcome:
    if fate.delivered_at is not None:
        return Outcome.DELIVERED
    return Outcome.FAILED if fate.given_up_at is None else Outcome.REFUSED


_COLUMNS: Mapping[str, str] = {
    "id": "bigint",
    "attempts": "bigint",
    "tries": "bigint",
    "said": "text",
    "due_at": "timestamptz",
    "delivered_at": "timestamptz",
    "given_up_at": "timestamptz",
}


def _write(fates: Iterable[_Fate]) -> None:
    """Write what becomes of notifications, where the errand is still ours. One that arrived has arrived, whoever has it now."""
    rows = [
        {
            "id": fate.errand.id,
            "attempts": fate.errand.attempts,
            "tries": fate.tries,
            "said": clean_text(fate.said),
            "due_at": fate.due_at,
            "delivered_at": fate.delivered_at,
            "given_up_at": fate.given_up_at,
        }
        for fate in fates
    ]
    if not rows:
        return
    sql.count(
        f"""
        UPDATE casts_notification SET
            tries = told.tries, said = told.said,
            due_at = told.due_at, delivered_at = told.delivered_at, given_up_at = told.given_up_at
        FROM {sql.recordset("told", _COLUMNS)}
        WHERE casts_notification.id = told.id AND casts_notification.due_at IS NOT NULL
          AND (casts_notification.attempts = told.attempts OR told.delivered_at IS NOT NULL)
        """,  # noqa: S608 - our own words; every value is a parameter
        {"rows": sql.rows_parameter(rows)},
    )


class NotSentError(Exception):
    """What stands in the inbox is not sent anywhere."""


@transaction.atomic
def send_again(*, notification_id: int, now: datetime) -> None:
    """Send a notification now, whatever came of it before, and as often as a new one. Its id stays the same.

    Raises:
        NotSentError: it is of the inbox.
        WebhookDisabledError: nothing is sent there any more.
    """
    row = Notification.objects.select_related("subscription").get(pk=notification_id)
    if row.subscription is None:
        raise NotSentError(NotSentError.__doc__)
    if not row.subscription.enabled:
        raise WebhookDisabledError(WebhookDisabledError.__doc__)
    Subscription.objects.filter(pk=row.subscription.pk, rest_until__isnull=False).update(rest_until=None)
    Notification.objects.filter(pk=notification_id).update(tries=0, said="", due_at=now, delivered_at=None, given_up_at=None)
    knock(cast_id=row.cast_id)


def mark_read(*, recipient_id: int, now: datetime, notification_id: int | None = None) -> int:
    """Note that somebody has read their inbox, or one message of it. Returns how many were unread."""
    unread = Notification.objects.unread().filter(recipient=recipient_id)
    if notification_id is not None:
        unread = unread.filter(pk=notification_id)
    return unread.update(read_at=now)
