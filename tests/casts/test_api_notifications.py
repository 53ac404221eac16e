"""The inbox over the API: whose it is, what it shows, and what can be done with it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from casts.clock import database_now
from casts.models import Notification, Subscription
from tests.api import assert_problem, client_of, get, people, post, put
from tests.factories import UserFactory

from .factories import NOON, CastFactory, DeliveryFactory, GenerationFactory, NotificationFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db
ERROR = {"code": "broken", "message": "It broke.", "step": "one", "attempt": 1}


@pytest.fixture
def ada():
    return UserFactory.create(email="ada@example.org")


def failed(owner, **values):
    about = CastFactory.create(status="failed", initiator=owner)
    return NotificationFactory.create(cast=about, kind="cast.failed", data={"status": "failed", "error": ERROR}, **values)


def sent(owner, **values):
    """Return a notification that is on its way to a webhook of `owner`."""
    mine = SubscriptionFactory.create(owner=owner)
    return failed(owner, channel="webhook", subscription=mine, due_at=database_now(), **values)


def listed(client, **query):
    answer = get(client, "/notifications/", query)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_a_message_says_what_happened_for_people_and_for_programs(ada):
    row = failed(ada)
    (told,) = get(client_of(ada), "/notifications/").json()["results"]
    spell = row.cast.version.spell.slug
    assert (told["kind"], told["summary"], told["cast"]) == ("cast.failed", f"{spell} failed: It broke.", str(row.cast_id))
    assert told["data"]["error"]["code"] == "broken"
    assert (told["channel"], told["status"], told["target"], told["message_id"], told["read_at"]) == ("inbox", "delivered", "", "", None)
    assert get(client_of(ada), f"/notifications/{row.pk}/").json() == told


def test_what_is_sent_says_where_to_and_how_far_it_is(ada):
    row = sent(ada, tries=2, said="It answered 500.")
    told = get(client_of(ada), f"/notifications/{row.pk}/").json()
    assert (told["channel"], told["status"], told["tries"], told["said"]) == ("webhook", "pending", 2, "It answered 500.")
    assert (told["target"], told["webhook"]) == ("https://example.org/hook", row.subscription.pk)
    assert told["message_id"] == f"msg_{row.message_id.hex}"


def test_the_callback_of_a_cast_is_no_webhook_of_the_account_and_a_mail_none_at_all(ada):
    row = failed(ada, channel="webhook", due_at=NOON)
    Subscription.objects.filter(pk=row.subscription.pk).update(cast=row.cast)
    mail = failed(ada, channel="email", due_at=NOON, target="ada@example.org")
    client = client_of(ada)
    assert get(client, f"/notifications/{row.pk}/").json()["webhook"] is None
    told = get(client, f"/notifications/{mail.pk}/").json()
    assert (told["target"], told["webhook"]) == ("ada@example.org", None)


def test_the_list_is_narrowed_down(ada):
    unread, read = failed(ada), failed(ada, read_at=NOON)
    step = GenerationFactory.create(status="unknown", cast__initiator=ada)
    waiting = NotificationFactory.create(cast=step.cast, kind="cast.waiting", generation=step, data={"attention": {"step": "one"}})
    pending, given_up = sent(ada), failed(ada, channel="webhook", given_up_at=NOON, said="It is gone.")
    client = client_of(ada)
    assert listed(client) == [row.pk for row in (given_up, pending, waiting, read, unread)]
    assert listed(client, unread="true") == [waiting.pk, unread.pk]
    assert listed(client, unread="false") == [read.pk]
    assert listed(client, kind=["cast.waiting", "cast.succeeded"]) == [waiting.pk]
    assert listed(client, channel="inbox") == [waiting.pk, read.pk, unread.pk]
    assert listed(client, status="given_up") == [given_up.pk]
    assert listed(client, status="pending") == [pending.pk]
    assert listed(client, cast=str(read.cast_id)) == [read.pk]
    assert_problem(get(client, "/notifications/", {"kind": "cast.forgotten"}), 400, "kind")
    assert_problem(get(client, "/notifications/", {"status": "lost"}), 400, "status")


def test_a_message_is_read_once(ada):
    row = failed(ada)
    client = client_of(ada)
    first = post(client, f"/notifications/{row.pk}/read/").json()["read_at"]
    assert first is not None
    assert post(client, f"/notifications/{row.pk}/read/").json()["read_at"] == first


def test_all_is_read_at_once_and_nobody_elses(ada):
    failed(ada), failed(ada), sent(ada)
    theirs = failed(UserFactory.create())
    client = client_of(ada)
    assert post(client, "/notifications/read/").json() == {"read": 2}
    assert post(client, "/notifications/read/").json() == {"read": 0}
    theirs.refresh_from_db()
    assert theirs.read_at is None
    assert listed(client, unread="true") == []


def test_what_is_sent_is_not_read(ada):
    row = sent(ada)
    assert post(client_of(ada), f"/notifications/{row.pk}/read/").json()["read_at"] is None


def test_what_was_given_up_can_be_sent_again(ada):
    row = failed(ada, channel="webhook", given_up_at=NOON, said="It is gone.", tries=10)
    told = post(client_of(ada), f"/notifications/{row.pk}/resend/").json()
    assert (told["status"], told["tries"], told["said"]) == ("pending", 0, "")


def test_what_cannot_be_sent_again_is_refused(ada):
    client = client_of(ada)
    assert_problem(post(client, f"/notifications/{failed(ada).pk}/resend/"), 409, name="not-sent")
    row = sent(ada)
    Subscription.objects.update(enabled=False, disabled_at=NOON, disabled_reason="It is gone.")
    assert_problem(post(client, f"/notifications/{row.pk}/resend/"), 409, name="webhook-disabled")


def test_the_tries_to_send_it_are_listed(ada):
    row = sent(ada)
    DeliveryFactory.create(notification=row, attempt=1, succeeded=False, status_code=None, error="It cannot be reached.")
    DeliveryFactory.create(notification=row, attempt=2, status_code=503, succeeded=False, error="It answered 503.", answer="Not now.")
    second, first = get(client_of(ada), f"/notifications/{row.pk}/deliveries/").json()["results"]
    assert (second["status_code"], second["answer"], second["error"]) == (503, "Not now.", "It answered 503.")
    assert (first["status_code"], first["succeeded"]) == (None, False)


WAYS = [
    ("get", "/notifications/{id}/", 200),
    ("post", "/notifications/{id}/read/", 200),
    ("post", "/notifications/{id}/resend/", 200),
    ("get", "/notifications/{id}/deliveries/", 200),
]


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
@pytest.mark.parametrize(("method", "path", "allowed"), WAYS)
def test_a_notification_is_its_recipients_alone(who, method, path, allowed):
    crowd = people()
    row = sent(crowd["owner"])
    answer = {"get": get, "post": post}[method](client_of(crowd[who]), path.format(id=row.pk))
    expected = {"anonymous": 401, "owner": allowed}.get(who, 404)
    assert answer.status_code == expected, answer.content
    if who != "owner":
        assert_problem(answer, expected)
        before = Notification.objects.get(pk=row.pk)
        assert (before.tries, before.read_at, before.due_at) == (row.tries, row.read_at, row.due_at)


@pytest.mark.parametrize("who", ["anonymous", "stranger", "staff"])
def test_a_list_shows_ones_own_alone(who):
    crowd = people()
    sent(crowd["owner"])
    answer = get(client_of(crowd[who]), "/notifications/")
    assert answer.status_code == (401 if who == "anonymous" else 200)
    assert who == "anonymous" or answer.json()["results"] == []


@pytest.mark.parametrize("id_", [0, 999_999, 10**30])
def test_a_notification_that_is_not_there_is_not_found(ada, id_):
    for path in (f"/notifications/{id_}/", f"/notifications/{id_}/deliveries/"):
        assert_problem(get(client_of(ada), path), 404)


def test_the_list_takes_as_many_queries_for_many_as_for_one(ada):
    client = client_of(ada)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            listed(client, page_size="100")
        return len(captured)

    sent(ada)
    few = queries()
    for _ in range(10):
        sent(ada), failed(ada)
    assert queries() == few


def test_a_user_says_of_what_to_be_told_by_mail(ada, settings):
    settings.EMAIL_IS_CONFIGURED = True
    client = client_of(ada)
    assert get(client, "/notifications/email/").json() == {"address": "ada@example.org", "events": []}
    for events in (["cast.failed", "cast.waiting"], [], ["cast.failed"]):
        assert put(client, "/notifications/email/", {"events": events}).json() == {"address": "ada@example.org", "events": events}
        assert get(client, "/notifications/email/").json()["events"] == events
    assert Subscription.objects.count() == 1


def test_mail_that_cannot_be_sent_cannot_be_asked_for(ada, settings):
    client = client_of(ada)
    settings.EMAIL_IS_CONFIGURED = False
    assert_problem(put(client, "/notifications/email/", {"events": ["cast.failed"]}), 409, name="email-unavailable")
    settings.EMAIL_IS_CONFIGURED = True
    assert_problem(put(client_of(UserFactory.create()), "/notifications/email/", {"events": ["cast.failed"]}), 409)
    assert_problem(put(client, "/notifications/email/", {"events": ["cast.forgotten"]}), 422, "events[0]")
    assert_problem(put(client, "/notifications/email/", {}), 422, "events")
    assert not Subscription.objects.exists()


@pytest.mark.parametrize("query", ["unread=null", "unread=1", "unread=true&unread=false", "unread=True"])
def test_a_filter_that_is_neither_true_nor_false_is_refused(query):
    assert_problem(get(client_of(UserFactory.create()), f"/notifications/?{query}"), 400, "unread")
