"""A conductor sends what its casts have to tell, beside them: at once, many at a time, and held up by nobody."""

import threading

import pytest

from casts.clock import database_now
from casts.models import Delivery, Notification, Subscription
from casts.notifications.subscriptions import send_test, subscribe_by_email
from generations.tools import registry
from tests.fakes import mailbox
from tests.mailserver import mail_server
from tests.processes import wait_for as wait_until

from . import adapters
from .scenes import cast, user
from .telling import told, verified, webhook
from .test_conductor import conduct, conducting, ended, using, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def here(monkeypatch, settings):
    settings.WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    for each in adapters.ALL:
        monkeypatch.setitem(registry.BUILT_IN, each.key, f"{each.__module__}:{each.__name__}")
    registry.forget()
    yield
    registry.forget()


def delivered() -> int:
    return Notification.objects.filter(channel="webhook", delivered_at__isnull=False).count()


def test_a_cast_tells_its_end_in_the_same_breath():
    with mailbox() as box:
        webhook(box.url, kinds=["cast.succeeded", "generation.succeeded"])
        started = cast(using(adapters.Echo, key="one"), using(adapters.AsyncEcho, key="two"))
        conduct()
    assert [verified(each)["type"] for each in box.received].count("generation.succeeded") == 2
    assert told(started, channel="webhook") == ["generation.succeeded", "generation.succeeded", "cast.succeeded"]
    assert delivered() == Delivery.objects.count() == 3


def test_fifty_casts_that_end_at_once_are_told_of_once_each():
    with mailbox() as box:
        webhook(box.url)
        casts = [cast(using(adapters.AsyncEcho, key="one"), slug=f"scene-{number}") for number in range(50)]
        with conducting():
            wait_for(lambda: delivered() == 50, what="all that is told")
    assert sorted(verified(each)["data"]["id"] for each in box.received) == sorted(str(each.pk) for each in casts)
    assert len({each.headers["webhook-id"] for each in box.received}) == 50
    assert delivered() == Delivery.objects.filter(succeeded=True).count() == 50


def test_a_slow_receiver_holds_up_neither_casts_nor_other_receivers():
    with mailbox() as slow, mailbox() as quick:
        slow.hold()
        webhook(slow.url)
        webhook(quick.url)
        with conducting():
            for number in range(5):
                started = cast(using(adapters.AsyncEcho, key="one"), slug=f"scene-{number}")
                wait_for(lambda started=started: ended(started), what="the end of the cast")
            quick.wait(5)
            wait_until("what is sent to the slow one", lambda: slow.waiting == 5)
            wait_for(lambda: delivered() == 5, what="what the quick one got")
            slow.let_go()
            wait_for(lambda: delivered() == 10, what="what the slow one got")
    assert Subscription.objects.filter(failing_since__isnull=True).count() == 2


def test_what_was_written_while_nobody_conducted_is_sent_later(clock):
    with mailbox() as box:
        webhook(box.url)
        started = cast(using(adapters.Echo, key="one"))
        box.statuses += [500]
        conduct()  # ends before the next try is due, or makes it
        Notification.objects.filter(due_at__isnull=False).update(due_at=clock.now())
        conduct()
    assert told(started, channel="webhook") == ["cast.succeeded"]
    assert delivered() == 1
    assert len({each.headers["webhook-id"] for each in box.received}) == 1


@pytest.mark.postgresql
def test_a_conductor_hears_of_what_is_to_be_sent(clock):
    with mailbox() as box, conducting(poll=100.0, bells=100.0):
        mine = webhook(box.url)
        wait_until("the conductor listens", lambda: not_waiting(mine, box), seconds=60)


def not_waiting(mine, box):
    """Ask for a test, and tell whether it came within a moment: it is sent at a poll, or when the doorbell is heard."""
    before = len(box.received)
    send_test(webhook=mine, now=database_now())
    threading.Event().wait(0.5)
    return len(box.received) > before


def test_mails_go_out_beside_the_loop(settings, clock):
    with mail_server() as box:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_IS_CONFIGURED = "127.0.0.1", box.port, True
        ada = user()
        ada.email = "ada@example.org"
        ada.save()
        subscribe_by_email(owner=ada, kinds=["cast.succeeded"], now=clock.now())
        for number in range(12):
            cast(using(adapters.AsyncEcho, key="one"), slug=f"scene-{number}")
        with conducting():
            wait_for(lambda: Notification.objects.filter(channel="email", delivered_at__isnull=False).count() == 12, what="the mails")
    assert len(box.received) == 12
    assert len({mail["Message-ID"] for mail in box.received}) == 12
