"""What is in the outbox is sent, to real receivers: signed, logged, tried again for days, and never in two voices."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from standardwebhooks.webhooks import Webhook

from casts import engine, errands
from casts.clock import database_now
from casts.models import Cast, Delivery, Notification, Subscription
from casts.notifications import outbox, signing, subscriptions
from casts.notifications.schedule import DISABLE_AFTER, MAX_TRIES, WAITS
from generations.models import Generation
from tests.api import client_of, get
from tests.fakes import Reply, mailbox

from .factories import SECRET, CancellationFactory, CastFactory, DeliveryFactory, GenerationFactory, NotificationFactory
from .scenes import Hand, billed, cast, refusal, user
from .telling import only, send_due, sender, verified, webhook

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def here(settings):
    """Receivers are on this machine."""
    settings.WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    settings.PUBLIC_URL = "https://testserver"


@pytest.fixture
def box():
    with mailbox() as box:
        yield box


def ended(*news, key="one", slug="scene") -> Cast:
    hand = Hand(cast({"key": key, "max_attempts": 1}, slug=slug))
    hand.look()
    hand.answer(key, *(news or ({"n": 1},)))
    return hand.cast


def try_until(clock, *, most=20) -> int:
    """Send whenever something is due, until nothing waits any more. Returns how often something was sent."""
    for count in range(most):
        waiting = Notification.objects.filter(due_at__isnull=False).order_by("due_at").first()
        if waiting is None:
            return count
        clock.advance(seconds=max(0.0, (waiting.due_at - clock.now()).total_seconds()) + 0.01)
        send_due()
    raise AssertionError("It does not end.")


def test_a_webhook_arrives_signed_and_says_what_the_api_says(box):
    webhook(box.url)
    started = ended()
    (tried,) = send_due()
    (received,) = box.received
    event = verified(received)
    assert (event["type"], event["data"]["id"], event["data"]["status"]) == ("cast.succeeded", str(started.pk), "succeeded")
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == tried.message.id == f"msg_{only().message_id.hex}"
    assert event["data"] == get(client_of(started.initiator), f"/casts/{started.pk}/").json()
    assert event["timestamp"] == only().created_at.isoformat().replace("+00:00", "Z")


def test_each_try_is_logged_and_a_delivered_notification_is_done(box):
    webhook(box.url)
    ended()
    box.statuses.append(Reply(202, body=b"Thanks."))
    send_due()
    row, log = only(), Delivery.objects.get()
    assert (row.status, row.tries, row.due_at) == ("delivered", 1, None)
    assert (log.succeeded, log.status_code, log.answer, log.error, log.address) == (True, 202, "Thanks.", "", box.url)
    assert 0 < log.seconds < 20
    assert abs(log.at - row.delivered_at) < timedelta(seconds=30)
    assert send_due() == []


def test_a_generation_is_told_as_the_api_shows_it(box):
    webhook(box.url, kinds=["generation.succeeded"])
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    hand.answer("one", {"n": 1})
    generation = hand.generation("one")
    CancellationFactory.create(generation=generation)
    send_due()
    event = verified(box.received[0])
    assert event["type"] == "generation.succeeded"
    assert event["data"] == get(client_of(hand.cast.initiator), f"/generations/{generation.pk}/").json()


def test_a_failure_is_told_as_it_was_though_the_cast_was_retried_since(box, clock):
    webhook(box.url)
    started = ended(refusal("It broke.", code="broken"))
    engine.retry(cast_id=started.pk, actor_id=None, now=clock.now())
    send_due()
    data = verified_whenever(box.received[0])["data"]
    assert (data["status"], data["error"]["code"], data["outputs"]) == ("failed", "broken", None)
    assert data["finished_at"]


def verified_whenever(received):
    """Verify a webhook of another time: the clock of the database was moved."""
    headers = received.headers
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC)
    assert Webhook(SECRET).sign(headers["webhook-id"], at, received.body.decode()) in headers["webhook-signature"].split()
    return json.loads(received.body)


def test_a_cast_that_waits_for_somebody_says_for_what(box):
    webhook(box.url)
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    hand.answer("one", refusal("The connection was lost.", ambiguous=True))
    send_due()
    event = verified(box.received[0])
    assert (event["type"], event["data"]["status"]) == ("cast.waiting", "waiting")
    assert event["data"]["attention"]["generation"] == str(hand.generation("one").pk)


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_receiver_that_refuses_is_asked_again_under_the_same_id(box, clock, status):
    webhook(box.url)
    ended()
    box.statuses.append(status)
    send_due()
    row = only()
    assert (row.status, row.tries, row.said) == ("pending", 1, f"It answered {status}.")
    assert 4 < (row.due_at - clock.now()).total_seconds() < 7
    clock.advance(seconds=7)
    send_due()
    assert only().status == "delivered"
    first, second = box.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert [log.status_code for log in Delivery.objects.order_by("pk")] == [status, 200]


def test_it_is_tried_for_days_and_then_given_up(box, clock, caplog):
    webhook(box.url)
    ended()
    box.statuses += [500] * MAX_TRIES
    begun = clock.now()
    assert try_until(clock) == MAX_TRIES == len(box.received)
    row = only()
    assert (row.status, row.said) == ("given_up", "It answered 500.")
    assert "is given up" in caplog.text
    assert sum(WAITS) <= (clock.now() - begun).total_seconds() <= 1.3 * sum(WAITS)
    assert 3 < sum(WAITS) / 86_400 < 4
    assert list(WAITS) == sorted(WAITS)


def test_a_receiver_that_wants_rest_gets_it_for_all_that_is_sent_there(box, clock):
    webhook(box.url)
    ended()
    box.statuses.append(Reply(429, headers={"Retry-After": "1200"}))
    send_due()
    assert 1200 <= (only().due_at - clock.now()).total_seconds() <= 1445
    ended(slug="other")
    assert send_due() == []
    assert len(box.received) == 1
    second = Notification.objects.filter(channel="webhook").last()
    assert second.tries == 0
    assert 1190 < (second.due_at - clock.now()).total_seconds() < 1500
    try_until(clock)
    assert len(box.received) == 3
    assert Subscription.objects.get().rest_until is None


def test_a_longer_rest_than_a_day_is_not_granted(box, clock):
    webhook(box.url)
    ended()
    box.statuses.append(Reply(503, headers={"Retry-After": "99999999"}))
    send_due()
    assert (only().due_at - clock.now()).total_seconds() < 1.25 * 86_400


def test_a_receiver_that_is_gone_is_disabled_and_its_owner_told(box):
    mine = webhook(box.url)
    started = ended()
    box.statuses.append(410)
    send_due()
    mine.refresh_from_db()
    assert (mine.enabled, mine.disabled_reason) == (False, "It answered 410 Gone.")
    assert only().status == "given_up"
    word = Notification.objects.get(kind="webhook.disabled")
    assert (word.channel, word.recipient, word.cast, word.data["url"]) == ("inbox", mine.owner, None, box.url)
    ended(slug="other")
    assert not Notification.objects.filter(channel="webhook").exclude(cast=started).exists()


def test_a_callback_that_is_gone_is_disabled_for_its_cast(box):
    hand = Hand(cast({"key": "one"}))
    mine = webhook(box.url, cast=hand.cast)
    hand.look()
    hand.answer("one", {})
    box.statuses.append(410)
    send_due()
    mine.refresh_from_db()
    assert not mine.enabled
    assert Notification.objects.get(kind="webhook.disabled").cast == hand.cast


def test_a_redirect_is_not_followed(box):
    with mailbox() as elsewhere:
        webhook(box.url)
        ended()
        box.statuses.append(Reply(302, headers={"Location": elsewhere.url}))
        send_due()
        assert elsewhere.received == []
    row = only()
    assert row.status == "pending"
    assert f"a redirect to {elsewhere.url}" in row.said
    assert Delivery.objects.get().status_code == 302


def test_a_large_answer_is_read_no_further_than_its_beginning(box):
    webhook(box.url)
    ended()
    box.statuses.append(Reply(200, body=b"x" * 5_000_000))
    send_due()
    assert only().status == "delivered"
    assert Delivery.objects.get().answer == "x" * 1000


@pytest.mark.parametrize("url", ["https://127.0.0.1/hook", "https://localhost/hook", "https://[::1]/hook", "https://10.0.0.7/hook"])
def test_no_private_address_is_called(settings, url):
    settings.WEBHOOK_PRIVATE_HOSTS = []
    webhook(url)
    ended()
    (tried,) = send_due()
    assert "not on the public internet" in tried.error
    assert (only().status, Delivery.objects.get().status_code) == ("pending", None)


def test_a_name_that_leads_to_a_private_address_is_not_called(settings, monkeypatch, box):
    settings.WEBHOOK_PRIVATE_HOSTS = []

    async def rebound(*_, **__):
        return ["127.0.0.1"]

    monkeypatch.setattr("generations.tools.addresses.resolve", rebound)
    webhook(f"https://hooks.example.org:{urlsplit(box.url).port}/hook")
    ended()
    (tried,) = send_due()
    assert tried.error == "The address is not on the public internet."
    assert box.received == []


def test_plain_http_is_not_spoken_where_it_is_not_allowed_any_more(settings, box):
    webhook(box.url)
    ended()
    settings.WEBHOOK_PRIVATE_HOSTS = []
    (tried,) = send_due()
    assert tried.error == "The address must be https."
    assert box.received == []


def test_a_receiver_that_cannot_be_reached_is_left_alone_for_a_while(clock):
    with mailbox() as box:
        url = box.url
    webhook(url)
    for slug in ("one", "two", "three"):
        ended(slug=slug)
    send_due()
    mine = Subscription.objects.get()
    assert mine.failing_since is not None
    assert 25 < (mine.rest_until - clock.now()).total_seconds() < 40
    clock.advance(seconds=10)
    assert send_due() == []  # the retry of the first try is due, and waits
    clock.advance(seconds=60)
    assert len(send_due()) == 1  # one is enough to know


def test_a_webhook_that_failed_for_days_is_disabled_and_its_owner_told(box, clock):
    mine = webhook(box.url)
    started = ended()
    box.statuses += [500] * 50
    send_due()
    clock.advance(seconds=DISABLE_AFTER.total_seconds())
    send_due()
    mine.refresh_from_db()
    assert not mine.enabled
    assert "It answered 500." in mine.disabled_reason
    assert Notification.objects.filter(kind="webhook.disabled", recipient=started.initiator).count() == 1


def test_one_success_clears_the_record(box, clock):
    mine = webhook(box.url)
    ended()
    box.statuses.append(500)
    send_due()
    clock.advance(seconds=DISABLE_AFTER.total_seconds())
    send_due()
    mine.refresh_from_db()
    assert (mine.enabled, mine.failing_since, mine.rest_until) == (True, None, None)


def test_what_waits_for_a_webhook_that_was_removed_is_given_up(box, clock):
    mine = webhook(box.url)
    ended()
    subscriptions.remove(webhook_id=mine.pk, now=clock.now())
    assert send_due() == []
    assert (only().status, only().said) == ("given_up", "The webhook is disabled: Its owner removed it.")
    assert box.received == []


def test_nothing_is_sent_to_whom_may_not_sign_in_any_more(box):
    webhook(box.url)
    started = ended()
    started.initiator.__class__.objects.update(is_active=False)
    assert send_due() == []
    assert only().said == "The account is inactive."


def test_a_kill_between_sending_and_noting_sends_it_again_under_the_same_id(box, clock):
    webhook(box.url)
    ended()
    kind = sender()
    (message,) = kind.load(errands.claim(Notification, limit=5))
    asyncio.run(kind.do(message))  # and nobody is left to note it
    assert send_due() == []
    clock.advance(seconds=errands.LEASE_SECONDS + 1)
    send_due()
    first, second = box.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert only().status == "delivered"
    assert only().tries == 1


def test_the_one_who_lost_the_errand_may_say_that_it_arrived_but_not_that_it_failed(box, clock):
    webhook(box.url)
    ended()
    zombie = sender()
    jobs = zombie.load(errands.claim(Notification, limit=5))
    box.statuses.append(500)
    late = [asyncio.run(zombie.do(job)) for job in jobs]
    clock.advance(seconds=errands.LEASE_SECONDS + 1)
    (other,) = sender().load(errands.claim(Notification, limit=5))
    zombie.note(late)
    assert only().tries == 0
    late = [asyncio.run(zombie.do(job)) for job in jobs]
    zombie.note(late)
    assert only().status == "delivered"
    assert Delivery.objects.count() == 1  # of one claim one try is logged: the first
    outbox.note([asyncio.run(sender().do(other))])
    assert only().status == "delivered"


def test_both_secrets_sign_while_one_is_being_replaced(box, clock):
    mine = webhook(box.url)
    new = subscriptions.rotate_secret(webhook_id=mine.pk, now=clock.now())
    ended()
    send_due()
    (received,) = box.received
    assert verified(received, secret=SECRET) == verified(received, secret=new)
    clock.advance(hours=25)
    ended(slug="other")
    send_due()
    assert len(box.received[1].headers["webhook-signature"].split()) == 1


def test_a_secret_that_cannot_be_read_any_more_is_told_and_holds_up_nobody(box, settings, clock, caplog):
    theirs = webhook(box.url)
    settings.SECRET_KEY = "another-key-that-nobody-told-anybody-of-0123456789"
    well = webhook(box.url)
    ended()
    with caplog.at_level(logging.ERROR):
        send_due()
    assert len(box.received) == 1
    assert "DJANGO_SECRET_KEY" in theirs.notifications.get().said
    assert well.notifications.get().status == "delivered"


def test_a_value_that_is_too_large_is_left_out_and_named(box, monkeypatch):
    monkeypatch.setattr("casts.notifications.payloads.MAX_VALUE_CHARACTERS", 1000)
    webhook(box.url, kinds=["cast.succeeded", "generation.succeeded"])
    hand = Hand(cast({"key": "one"}, outputs={"text": "{{ steps.one.text }}"}))
    hand.look()
    hand.answer("one", {"text": "x" * 2000})
    send_due()
    of_step, of_cast = sorted((verified(received) for received in box.received), key=lambda event: event["type"], reverse=True)
    assert (of_step["data"]["output"], of_step["data"]["omitted"]) == (None, ["output"])
    assert (of_cast["data"]["outputs"], of_cast["data"]["omitted"]) == (None, ["outputs"])


def test_to_one_receiver_no_more_than_ten_are_sent_at_once(box):
    mine = webhook(box.url)
    for _ in range(15):
        NotificationFactory.create(cast=CastFactory.create(status="succeeded"), channel="webhook", subscription=mine, due_at=database_now())
    kind = sender()
    assert len(kind.load(errands.claim(Notification, limit=50))) == 10
    put_off = Notification.objects.filter(tries=0, due_at__lt=database_now() + timedelta(seconds=5))
    assert put_off.count() == 5


def test_making_messages_takes_as_many_queries_for_many_as_for_one(box, django_assert_max_num_queries):
    mine = webhook(box.url)
    for _ in range(8):
        step = GenerationFactory.create(status="succeeded", cast__status="succeeded")
        about = {"channel": "webhook", "subscription": mine, "due_at": database_now(), "cast": step.cast}
        NotificationFactory.create(**about)
        NotificationFactory.create(**about, kind="generation.succeeded", generation=step, data={"status": "succeeded"})
    taken = errands.claim(Notification, limit=10)
    with django_assert_max_num_queries(14):
        assert len(sender().load(taken)) == 10


def test_what_was_given_up_or_delivered_can_be_sent_again(box, clock):
    webhook(box.url)
    ended()
    box.statuses += [500] * MAX_TRIES
    try_until(clock)
    outbox.send_again(notification_id=only().pk, now=clock.now())
    assert (only().status, only().tries) == ("pending", 0)
    send_due()
    assert only().status == "delivered"
    outbox.send_again(notification_id=only().pk, now=clock.now())
    send_due()
    assert len({received.headers["webhook-id"] for received in box.received}) == 1
    assert len(box.received) == MAX_TRIES + 2 == Delivery.objects.count()


def test_what_waits_can_be_sent_at_once(box, clock):
    webhook(box.url)
    ended()
    box.statuses.append(Reply(429, headers={"Retry-After": "7200"}))
    send_due()
    outbox.send_again(notification_id=only().pk, now=clock.now())
    send_due()
    assert only().status == "delivered"


def test_what_stands_in_the_inbox_or_goes_to_nobody_is_not_sent_again(clock):
    with pytest.raises(outbox.NotSentError):
        outbox.send_again(notification_id=NotificationFactory.create().pk, now=clock.now())
    mine = webhook(enabled=False)
    row = NotificationFactory.create(channel="webhook", subscription=mine)
    with pytest.raises(subscriptions.WebhookDisabledError):
        outbox.send_again(notification_id=row.pk, now=clock.now())


def test_a_test_is_sent_like_any_other_message(box, clock):
    mine = webhook(box.url)
    sent = subscriptions.send_test(webhook=mine, now=clock.now())
    send_due()
    event = verified(box.received[0])
    assert (event["type"], event["data"]["webhook"]) == ("webhook.test", mine.pk)
    sent.refresh_from_db()
    assert sent.status == "delivered"


def test_a_secret_is_kept_encrypted_and_read_by_keys_of_before(settings):
    sealed = signing.seal(SECRET)
    assert SECRET not in sealed
    assert signing.unseal(sealed) == SECRET
    before = settings.SECRET_KEY
    settings.SECRET_KEY = "another-key-that-nobody-told-anybody-of-0123456789"
    with pytest.raises(signing.UnreadableSecretError):
        signing.unseal(sealed)
    settings.SECRET_KEY_FALLBACKS = [before]
    assert signing.unseal(sealed) == SECRET


def test_the_vector_of_the_specification_is_signed_as_it_says():
    at = datetime.fromtimestamp(1614265330, tz=UTC)
    told = signing.headers(message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, body=b'{"test": 2432232314}', signing=[SECRET])
    assert told == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_deleted_cast_takes_its_callback_and_all_that_was_told_along():
    started = CastFactory.create(status="succeeded", initiator=user())
    mine = webhook(cast=started)
    DeliveryFactory.create(notification=NotificationFactory.create(cast=started, channel="webhook", subscription=mine))
    Generation.objects.filter(cast=started).delete()
    started.delete()
    assert not Subscription.objects.exists()
    assert not Delivery.objects.exists()
