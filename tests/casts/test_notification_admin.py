"""Notifications and subscriptions in the admin: what an operator sees, and may do."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from casts.clock import database_now
from casts.models import Notification, Subscription
from tests.operators import messages_of, operator, page, queries_of, superuser

from .factories import NOON, SECRET, CastFactory, DeliveryFactory, NotificationFactory, SubscriptionFactory

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # pages are the same on each database; what they ask of it is marked


def given_up(**values) -> Notification:
    return NotificationFactory.create(channel="webhook", given_up_at=NOON, said="It answered <500>.", tries=10, **values)


def act(client, name, action, *rows):
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(reverse(f"admin:casts_{name}_changelist"), data, follow=True)


def test_the_list_tells_what_is_undelivered():
    rows = {
        "pending": NotificationFactory.create(channel="webhook", due_at=NOON),
        "delivered": NotificationFactory.create(channel="webhook"),
        "given_up": given_up(),
    }
    client = superuser()

    def shown(**query):
        text = page(client, "casts_notification_changelist", **query)
        return {status for status, row in rows.items() if f"/{row.pk}/change/" in text}

    assert shown() == set(rows)
    assert shown(status="undelivered") == {"pending", "given_up"}
    for status in rows:
        assert shown(status=status) == {status}
    assert shown(status="nonsense") == set(rows)
    assert shown(q=f"msg_{rows['pending'].message_id.hex}") == {"pending"}
    assert shown(q=rows["given_up"].recipient.username) == {"given_up"}
    assert shown(subscription=rows["delivered"].subscription.pk) == {"delivered"}
    assert "It answered &lt;500&gt;." in page(client, "casts_notification_changelist")


def test_the_page_of_one_shows_the_log():
    row = given_up(data={"status": "succeeded"})
    DeliveryFactory.create(notification=row, attempt=1, succeeded=False, status_code=503, error="It answered <503>.")
    DeliveryFactory.create(notification=row, attempt=2, succeeded=False, status_code=None, error="It cannot be reached.")
    text = page(superuser(), "casts_notification_change", row.pk)
    assert "It answered &lt;503&gt;." in text
    assert text.index("It cannot be reached.") < text.index("It answered &lt;503&gt;.")
    assert f"msg_{row.message_id.hex}" in text
    assert f"{row.cast.version.spell.slug} succeeded." in text


def test_a_message_that_belongs_to_no_cast_has_a_page():
    row = NotificationFactory.create(
        cast=None, kind="webhook.disabled", data={"url": "https://example.org/hook", "reason": "It answered 410 Gone."}
    )
    assert "It answered 410 Gone." in page(superuser(), "casts_notification_change", row.pk)
    assert page(superuser(), "casts_notification_changelist")


def test_an_operator_sends_again_what_was_given_up():
    rows = [given_up(), given_up()]
    client = superuser()
    assert messages_of(act(client, "notification", "send_again", *rows)) == ["2 are on their way."]
    assert {row.status for row in Notification.objects.all()} == {"pending"}
    assert LogEntry.objects.filter(user=client.user).count() == 2


def test_what_cannot_be_sent_again_is_told_of():
    off = given_up()
    Subscription.objects.update(enabled=False, disabled_at=NOON, disabled_reason="It is gone.")
    told = messages_of(act(superuser(), "notification", "send_again", off, NotificationFactory.create()))
    assert any("disabled or removed" in each for each in told)
    assert any("is not sent anywhere" in each for each in told)
    assert not LogEntry.objects.exists()


def test_too_many_at_once_are_refused(monkeypatch):
    monkeypatch.setattr("casts.admin.notification.MOST_AT_ONCE", 1)
    assert "select at most 1" in messages_of(act(superuser(), "notification", "send_again", given_up(), given_up()))[0]
    assert {row.status for row in Notification.objects.all()} == {"given_up"}


def test_sending_again_and_disabling_need_the_permission():
    row = given_up()
    act(operator("casts.view_notification"), "notification", "send_again", row)
    act(operator("casts.view_subscription"), "subscription", "disable", row.subscription)
    row.refresh_from_db()
    assert row.status == "given_up"
    assert row.subscription.enabled
    act(operator("casts.view_notification", "casts.change_notification"), "notification", "send_again", row)
    row.refresh_from_db()
    assert row.status == "pending"


def test_subscriptions_show_how_they_are_and_no_secret():
    rows = {
        "enabled": SubscriptionFactory.create(),
        "failing": SubscriptionFactory.create(failing_since=NOON),
        "disabled": SubscriptionFactory.create(enabled=False),
        "removed": SubscriptionFactory.create(enabled=False, removed_at=NOON, secret=""),
    }
    SubscriptionFactory.create(channel="email", owner__email="ada@example.org", kinds=[])
    callback = SubscriptionFactory.create(cast=CastFactory.create())
    client = superuser()
    text = page(client, "casts_subscription_changelist")
    for state in rows:
        assert f">{state}<" in text
    assert "ada@example.org" in text
    assert str(callback.cast_id) in text
    for row in (*rows.values(), callback):
        shown = page(client, "casts_subscription_change", row.pk)
        assert SECRET not in shown
        assert not row.secret or row.secret not in shown


def test_an_operator_disables_a_webhook_whose_owner_is_told_and_enables_it_again():
    row = SubscriptionFactory.create()
    client = superuser()
    assert messages_of(act(client, "subscription", "disable", row)) == ["1 disabled."]
    row.refresh_from_db()
    assert (row.enabled, row.disabled_reason) == (False, "An operator disabled it.")
    assert Notification.objects.get().recipient == row.owner
    assert messages_of(act(client, "subscription", "enable", row)) == ["1 enabled."]
    row.refresh_from_db()
    assert row.enabled
    assert LogEntry.objects.count() == 2


@pytest.mark.parametrize("name", ["notification", "subscription"])
def test_lists_take_as_many_queries_for_many_rows_as_for_one(name):
    client = superuser()

    def add(count):
        for _ in range(count):
            NotificationFactory.create(channel="webhook", due_at=database_now())
            given_up()
            SubscriptionFactory.create(cast=CastFactory.create())

    add(1)
    few = queries_of(client, f"casts_{name}_changelist")
    add(10)
    assert queries_of(client, f"casts_{name}_changelist") == few
