"""What the tests of notifications play with: who is told, and what a conductor would send."""

from collections.abc import Sequence
from typing import Any

from standardwebhooks.webhooks import Webhook

from casts.conductor.notifications import Notifications
from casts.conductor.threads import Threads
from casts.models import Cast, Notification, Subscription
from casts.notifications.messages import Tried
from tests.fakes import Received

from .factories import SECRET, SubscriptionFactory
from .providers import do_errands
from .scenes import user

ALL_TOLD = ("kind", "channel", "target")


def webhook(url: str = "https://example.org/hook", *, name: str = "ada", **values: Any) -> Subscription:
    """Have a user told by webhook of what becomes of their casts."""
    return SubscriptionFactory.create(owner=user(name), url=url, **values)


def told(started: Cast, *, channel: str = "inbox") -> list[str]:
    """Return the kinds of what is told of a cast over one channel, in order."""
    return list(Notification.objects.filter(cast=started, channel=channel).order_by("pk").values_list("kind", flat=True))


def sender(*, threads: Threads | None = None) -> Notifications:
    """Return the errand as a conductor has it."""
    return Notifications(threads=(threads or Threads(each=1)).mails)


def send_due() -> Sequence[Tried]:
    """Send what is due, as a conductor does, and return what came of it."""
    tried: Sequence[Tried] = do_errands(sender)
    return tried


def verified(received: Received, *, secret: str = SECRET) -> Any:
    """Return what a webhook says, verified as its receiver would."""
    return Webhook(secret).verify(received.body, dict(received.headers))


def only(channel: str = "webhook") -> Notification:
    return Notification.objects.get(channel=channel)
