"""Cooks that finish or pause: told to webhooks and by e-mail beside the inbox, as their receivers get it."""

import pytest

from casts.clock import database_now
from casts.conductor.cooks import Cooks, Look
from casts.cooks import verbs
from casts.cooks.beginning import extend
from casts.errands import Errand
from casts.models import Cook, CookStatus, Delivery, Notification, OnPieceFailure, Subscription, SubscriptionChannel
from casts.notifications.subscriptions import subscribe_by_email
from tests.api import client_of, get, post
from tests.casts.factories import SubscriptionFactory
from tests.casts.telling import only, send_due, verified, webhook
from tests.fakes import mailbox
from tests.mailserver import mail_server

from .test_cooks import BROKEN, cook, finish, live, look

pytestmark = pytest.mark.django_db
KINDS = ["cook.finished", "cook.paused"]


@pytest.fixture
def box(settings):
    settings.WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    with mailbox() as box:
        yield box


def finished(**wish) -> Cook:
    row = look(cook(1, **wish))
    finish(live(row)[0])
    return look(row)


def paused() -> Cook:
    row = look(cook(3, max_parallel=1, on_failure=OnPieceFailure.STOP, failures_to_stop=1))
    finish(live(row)[0], BROKEN)
    return look(row)


def kinds(channel: str) -> list[str]:
    return list(Notification.objects.filter(channel=channel).order_by("pk").values_list("kind", flat=True))


def test_a_webhook_is_told_once_that_a_cook_has_finished_and_how_it_stands(box):
    webhook(box.url, kinds=KINDS)
    row = finished()
    look(row)
    send_due()
    assert send_due() == []
    (received,) = box.received
    event = verified(received)
    assert (event["type"], event["timestamp"]) == ("cook.finished", only().created_at.isoformat().replace("+00:00", "Z"))
    shown = get(client_of(row.initiator), f"/cooks/{row.pk}/").json()
    assert event["data"] == {**shown, "cook": row.pk, "made": 1, "failed": 0, "total": 1}
    assert (only().status, Delivery.objects.count(), kinds("inbox")) == ("delivered", 1, ["cook.finished"])


def test_a_webhook_is_told_why_a_cook_paused_by_itself_also_when_somebody_resumed_it_since(box):
    webhook(box.url, kinds=KINDS)
    row = paused()
    reason = row.reason
    verbs.resume(cook_id=row.pk, now=database_now())
    send_due()
    (received,) = box.received
    data = verified(received)["data"]
    assert (data["status"], data["reason"], data["failed"]) == ("paused", reason, 1)


def test_a_cook_that_cannot_go_on_is_told_of(box):
    webhook(box.url, kinds=KINDS)
    row = cook(2)
    Cooks().fail(Look(errand=Errand(id=row.pk, attempts=1)), why="KeyError: 'x'")
    send_due()
    (received,) = box.received
    assert verified(received)["data"]["reason"] == "It cannot go on: KeyError: 'x'"


def test_what_people_do_themselves_is_told_to_nobody(box):
    webhook(box.url, kinds=KINDS)
    row = look(cook(2))
    verbs.pause(cook_id=row.pk, now=database_now())
    verbs.stop(cook_id=row.pk, now=database_now())
    look(row)
    assert not Notification.objects.filter(kind__in=KINDS).exists()


def test_a_cook_that_goes_on_and_finishes_again_is_told_of_again(box):
    webhook(box.url, kinds=KINDS)
    row = finished()
    extend(cook_id=row.pk, pieces=2, now=database_now())
    finish(live(look(row))[0])
    look(row)
    send_due()
    assert [verified(each)["data"]["total"] for each in box.received] == [1, 2]
    assert len({each.headers["webhook-id"] for each in box.received}) == 2


def test_only_who_asked_for_cooks_is_told_of_them(box):
    row = look(cook(1))
    cast = live(row)[0]
    mine = webhook(box.url, kinds=["cook.finished"])
    webhook(kinds=["cast.failed", "cook.paused"])
    webhook(kinds=KINDS, enabled=False, disabled_at=database_now(), disabled_reason="Off.")
    webhook(kinds=KINDS, name="eve")
    SubscriptionFactory.create(owner=row.initiator, cast=cast, kinds=KINDS)
    SubscriptionFactory.create(owner=row.initiator, channel=SubscriptionChannel.EMAIL, kinds=KINDS)  # without an address
    finish(cast)
    assert look(row).status == CookStatus.FINISHED
    assert list(Notification.objects.exclude(channel="inbox").values_list("subscription", flat=True)) == [mine.pk]


def test_what_fails_is_sent_again_under_the_same_id(box, clock):
    webhook(box.url, kinds=KINDS)
    box.statuses += [500]
    row = finished()
    send_due()
    assert (only().status, only().tries) == ("pending", 1)
    clock.advance(seconds=10)
    send_due()
    assert len({each.headers["webhook-id"] for each in box.received}) == 1
    answer = post(client_of(row.initiator), f"/notifications/{only().pk}/resend/")
    assert (answer.status_code, answer.json()["cook"]) == (200, row.pk)
    send_due()
    assert len(box.received) == 3


@pytest.mark.parametrize("is_staff", [False, True])
def test_a_mail_arrives_with_the_figures_the_reason_and_a_link(settings, is_staff: bool):
    with mail_server() as box:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", box.port, 10
        settings.EMAIL_IS_CONFIGURED, settings.PUBLIC_URL = True, "https://grimoire.example.org"
        row = look(cook(3, max_parallel=1, on_failure=OnPieceFailure.STOP, failures_to_stop=1))
        owner = row.initiator
        owner.email, owner.is_staff = "ada@example.org", is_staff
        owner.save()
        subscribe_by_email(owner=owner, kinds=KINDS, now=database_now())
        finish(live(row)[0], BROKEN)
        look(row)
        send_due()
    (mail,) = box.received
    assert mail["To"] == "ada@example.org"
    assert f"The cook {row.pk} of Portraits is paused, and waits for somebody: 1 casts in a row failed" in mail["Subject"]
    place = f"admin/casts/cook/{row.pk}/change/" if is_staff else f"api/v1/cooks/{row.pk}/"
    for form in ("plain", "html"):
        text = mail.get_body((form,)).get_content()
        assert f"https://grimoire.example.org/{place}" in text
        assert "0 made, 1 failed, of 3" in text
        assert "Cast" not in text
    assert kinds("email") == ["cook.paused"]


def test_mails_and_webhooks_may_be_asked_for_cooks():
    row = finished()
    client = client_of(row.initiator)
    added = post(client, "/webhooks/", {"url": "https://example.org/hook", "events": ["cook.paused"]})
    assert (added.status_code, added.json()["events"]) == (201, ["cook.paused"])
    assert Subscription.objects.get().kinds == ["cook.paused"]
