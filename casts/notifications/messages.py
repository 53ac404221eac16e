"""Messages, ready to be sent: all that needs the database has been read. And what came of sending one."""

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from casts.errands import Errand
from casts.models import GENERATION_KINDS, Notification, NotificationChannel, Subscription

from . import signing
from .mail import Mail, mail_of
from .payloads import casts_shown, cooks_shown, generations_shown, shown_error, shown_time

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to one address. `body` is what a webhook posts, `mail` what is mailed.

    `read_at` is the database's time when this was made, `clock` this process's own at that moment.
    """

    errand: Errand
    subscription_id: int
    tries: int
    id: str
    channel: str
    address: str
    body: bytes = b""
    secrets: Sequence[str] = field(default=(), repr=False)
    mail: Mail | None = None
    read_at: datetime
    clock: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """Return the database's time, as far as a process knows it that does not ask."""
        return self.read_at + timedelta(seconds=time.monotonic() - self.clock)


class Outcome(Enum):
    """What came of a try. `REFUSED` will be refused each time, `GONE` is an address that wants nothing any more."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A try. `status_code` is what the other side answered, if it did, `answer` its words, `error` what was wrong."""

    message: Message
    at: datetime
    seconds: float
    outcome: Outcome
    status_code: int | None = None
    answer: str = ""
    error: str = ""
    retry_after: float | None = None

    @property
    def is_silent(self) -> bool:
        """Tell whether nobody answered."""
        return self.status_code is None


def message_id_of(notification: Notification) -> str:
    """Return the `webhook-id`: the same however often it is sent."""
    assert notification.message_id is not None
    return f"msg_{notification.message_id.hex}"


def messages_of(rows: Iterable[tuple[Errand, Notification]], *, now: datetime) -> list[tuple[Errand, Message | Exception]]:
    """Return the messages that these notifications are to be sent as. At most thirteen queries, whatever their number.

    Where one cannot be made, what was wrong stands in its place: it concerns no other.
    """
    pairs = list(rows)
    shown = _Shown([notification for _, notification in pairs])
    made: list[tuple[Errand, Message | Exception]] = []
    for errand, notification in pairs:
        try:
            made.append((errand, _message(errand, notification, shown, now)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are sent
            made.append((errand, error))
    return made


class _Shown:
    """The casts, generations and cooks that a set of notifications is about, as the API shows them."""

    def __init__(self, notifications: Collection[Notification]) -> None:
        """Read them."""
        of_generations = [each for each in notifications if each.kind in GENERATION_KINDS]
        self._generations = generations_shown({each.generation_id for each in of_generations if each.generation_id})
        about_casts = {each.cast_id for each in notifications if each.kind not in GENERATION_KINDS or _is_mail(each)}
        self._casts = casts_shown({cast_id for cast_id in about_casts if cast_id})
        about_cooks = {each.cook_id for each in notifications if each.cook_id}
        self._cooks = cooks_shown(about_cooks) if about_cooks else {}

    def cast(self, cast_id: UUID | None) -> Mapping[str, Any]:
        return self._casts[cast_id] if cast_id else {}

    def subject(self, notification: Notification) -> Mapping[str, Any]:
        if notification.kind in GENERATION_KINDS and notification.generation_id:
            return self._generations[notification.generation_id]
        if notification.cook_id:
            return self._cooks[notification.cook_id]
        return self.cast(notification.cast_id)


def _is_mail(notification: Notification) -> bool:
    return notification.channel == NotificationChannel.EMAIL


def _message(errand: Errand, notification: Notification, shown: _Shown, now: datetime) -> Message:
    subscription = notification.subscription
    assert subscription is not None
    document = event_of(notification, shown.subject(notification))
    known: Json = {
        "errand": errand,
        "subscription_id": subscription.pk,
        "tries": notification.tries,
        "id": message_id_of(notification),
        "channel": notification.channel,
        "read_at": now,
    }
    if _is_mail(notification):
        mail = mail_of(notification, document=document, cast=shown.cast(notification.cast_id), message_id=known["id"])
        return Message(**known, address=notification.target, mail=mail)
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return Message(**known, address=subscription.url, body=body, secrets=_secrets(subscription, now))


def _secrets(webhook: Subscription, now: datetime) -> list[str]:
    """Return the secrets that sign for a webhook just now. Raises UnreadableSecretError."""
    sealed = [webhook.secret]
    if webhook.former_until is not None and webhook.former_until > now:
        sealed.append(webhook.former_secret)
    return [signing.unseal(each) for each in sealed]


def event_of(notification: Notification, subject: Mapping[str, Any]) -> Json:
    """Return the event that a message tells of: the cast, generation or cook as it is now, but for what the event itself says."""
    data = {**subject, **notification.told}
    if "error" in data:
        data["error"] = shown_error(data["error"])
    return {"type": notification.kind, "timestamp": shown_time(notification.created_at), "data": data}
