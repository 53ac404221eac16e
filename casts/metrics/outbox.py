"""What is so right now of what people are told."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Min, Q
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from casts.models import Notification, Subscription, SubscriptionChannel


def collect(now: datetime) -> Iterator[Metric]:
    """Yield the gauges of the outbox and of webhooks. Two queries."""
    told = Notification.objects.filter(due_at__isnull=False).aggregate(count=Count("pk"), due_at=Min("due_at"))
    yield GaugeMetricFamily("grimoire_notifications_waiting", "Notifications that are not delivered yet.", value=told["count"])
    lag = max(0.0, (now - told["due_at"]).total_seconds()) if told["due_at"] else 0.0
    yield GaugeMetricFamily("grimoire_notification_lag_seconds", "For how long the notification that is due longest has waited.", value=lag)
    webhooks = Subscription.objects.standing().filter(channel=SubscriptionChannel.WEBHOOK)
    bad = webhooks.aggregate(
        failing=Count("pk", filter=Q(failing_since__isnull=False, enabled=True)), disabled=Count("pk", filter=Q(enabled=False))
    )
    family = GaugeMetricFamily("grimoire_notification_webhooks", "Webhooks to which nothing arrives, by state.", labels=["state"])
    for state in ("failing", "disabled"):
        family.add_metric([state], bad[state])
    yield family
