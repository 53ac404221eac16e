"""How receivers are: what fails is left alone for a while, and disabled when it has failed for days."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Q, Value
from django.db.models.functions import Coalesce

from casts.models import NotificationChannel, Subscription

from .messages import Outcome, Tried
from .schedule import DISABLE_AFTER, MAX_RETRY_AFTER_SECONDS, rest
from .subscriptions import disable


def learn(tried: Iterable[Tried], *, now: datetime) -> None:
    """Note how webhooks are, by what came of tries. Part of the transaction that notes these.

    Of several tries in one set, one success outweighs the failures.
    """
    by_webhook: dict[int, list[Tried]] = defaultdict(list)
    for each in tried:
        if each.message.channel == NotificationChannel.WEBHOOK:
            by_webhook[each.message.subscription_id].append(each)
    gone = sorted(pk for pk, some in by_webhook.items() if any(each.outcome is Outcome.GONE for each in some))
    well = [pk for pk, some in by_webhook.items() if any(each.outcome is Outcome.DELIVERED for each in some)]
    _recover(well)
    for pk in sorted(by_webhook.keys() - {*gone, *well}):
        _suffer(pk, by_webhook[pk], now)
    if gone:
        disable(webhook_ids=gone, reason="It answered 410 Gone.", now=now)


def _recover(webhook_ids: Sequence[int]) -> None:
    ailing = Subscription.objects.filter(Q(failing_since__isnull=False) | Q(rest_until__isnull=False), pk__in=webhook_ids)
    if webhook_ids:
        ailing.update(failing_since=None, rest_until=None)


def _suffer(webhook_id: int, tried: Sequence[Tried], now: datetime) -> None:
    """Note failures: since when there was no success, and until when to leave the receiver alone."""
    row = Subscription.objects.filter(pk=webhook_id)
    row.update(failing_since=Coalesce("failing_since", Value(now)))
    webhook = row.get()
    assert webhook.failing_since is not None
    failing = now - webhook.failing_since
    if failing >= DISABLE_AFTER:
        why = f"It has failed since {webhook.failing_since:%d %B %Y, %H:%M} UTC. The last time: {tried[-1].error}"
        disable(webhook_ids=[webhook_id], reason=why, now=now)
        return
    asked = max((each.retry_after or 0.0 for each in tried), default=0.0)
    silent = rest(failing_seconds=failing.total_seconds()) if all(each.is_silent for each in tried) else 0.0
    seconds = max(min(asked, MAX_RETRY_AFTER_SECONDS), silent)
    if seconds:
        row.update(rest_until=now + timedelta(seconds=seconds))
