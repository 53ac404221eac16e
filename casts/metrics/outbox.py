"""What is so right now of what people are told."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Min, Q
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from casts.models import Notification, Subscription, SubscriptionChannel


def collect(now: datetime) -> Iterator[Metric]:
    """Yield the gauges of the outbox and of webhooks. Two queries."""
    waiting = Notification.objects.filter(due_at__isnull=False)
    told = waiting.aggregate(count=Count("pk"), written_at=Min("created_at"), due_at=Min("due_at"))
    yield GaugeMetricFamily("grimoire_notifications_waiting", "Notifications that are not delivered yet.", value=told["count"])
    yield GaugeMetricFamily(
        "grimoire_notification_lag_seconds",
        "Age of the oldest notification that is not delivered yet.",
        value=_age(told["written_at"], now),
    )
    yield GaugeMetricFamily(
        "grimoire_notification_overdue_seconds",
        "For how long the notification that is due longest has waited for a conductor to send it.",
        value=_age(told["due_at"], now),
    )
    webhooks = Subscription.objects.standing().filter(channel=SubscriptionChannel.WEBHOOK)
    bad = webhooks.aggregate(
        failing=Count("pk", filter=Q(failing_since__isnull=False, enabled=True)), disabled=Count("pk", filter=Q(enabled=False))
    )
    family = GaugeMetricFamily("grimoire_notification_webhooks", "Webhooks to which nothing arrives, by state.", labels=["state"])
    for state in ("failing", "disabled"):
        family.add_metric([state], bad[state])
    yield family


def _age(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0
