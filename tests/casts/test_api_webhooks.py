"""Webhooks over the API: those of accounts, and those that come with a cast."""

import json

import pytest
from standardwebhooks.webhooks import Webhook

from casts.models import CAST_KINDS, Cast, Notification, Subscription
from casts.notifications import signing
from casts.notifications.subscriptions import MAX_WEBHOOKS
from spells.models import Spell
from tests.api import assert_problem, client_of, get, patch, people, post
from tests.factories import UserFactory, published

from .factories import NOON, SECRET, SubscriptionFactory
from .scenes import tool

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.org/grimoire?shop=7"
BAD_URLS = {
    "http://hooks.example.org/": "https",
    "ftp://hooks.example.org/": "http://",
    "https://user:word@hooks.example.org/": "name or password",
    "https://127.0.0.1/": "public internet",
    "https://[::ffff:10.0.0.1]/": "public internet",
    "https://169.254.169.254/latest/": "public internet",
    "https://localhost/": "public internet",
    "https://hooks.example.org/#top": "fragment",
    "hooks.example.org": "http://",
    "https://": "http://",
}
BAD_SECRETS = [
    "",
    "whsec_",
    "whsec_c2hvcnQ=",
    "whsec_!!!",
    "c2VjcmV0LXNlY3JldC1zZWNyZXQ=",
    f"whsec_{'QUFB' * 40}",
    f"whsec_{'QUFB' * 4000}",
]


@pytest.fixture
def ada():
    return UserFactory.create()


def add(client, **values):
    answer = post(client, "/webhooks/", {"url": URL, **values})
    assert answer.status_code == 201, answer.content
    return answer


# Of accounts


def test_a_webhook_is_added_and_its_secret_shown_once(ada):
    client = client_of(ada)
    answer = add(client, events=["cast.failed"], description="The shop")
    made = answer.json()
    assert (made["url"], made["events"], made["description"], made["enabled"]) == (URL, ["cast.failed"], "The shop", True)
    assert Webhook(made["secret"])
    row = Subscription.objects.get()
    assert signing.unseal(row.secret) == made["secret"]
    assert made["secret"] not in row.secret
    assert answer.headers["Location"].endswith(f"/api/v1/webhooks/{row.pk}/")
    del made["secret"]
    assert get(client, f"/webhooks/{row.pk}/").json() == made
    assert get(client, "/webhooks/").json()["results"] == [made]


def test_a_webhook_that_asks_for_nothing_in_particular_is_told_of_casts_and_cooks(ada):
    assert add(client_of(ada)).json()["events"] == [*CAST_KINDS, "cook.finished", "cook.paused"]


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_address_where_nothing_may_go_is_refused(ada, url):
    told = assert_problem(post(client_of(ada), "/webhooks/", {"url": url}), 422, "url")
    assert BAD_URLS[url] in told["detail"]
    assert not Subscription.objects.exists()


def test_an_operator_may_allow_hosts(ada, settings):
    settings.WEBHOOK_PRIVATE_HOSTS = ["hooks.internal", "127.0.0.1"]
    for url in ("http://hooks.internal/", "http://127.0.0.1:8000/hook"):
        add(client_of(ada), url=url)
    assert_problem(post(client_of(ada), "/webhooks/", {"url": "http://other.internal/"}), 422, "url")
    settings.WEBHOOK_PRIVATE_HOSTS = ["*"]
    add(client_of(ada), url="http://localhost/")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "url"),
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": ["cast.forgotten"]}, "events[0]"),
        ({"url": URL, "events": ["webhook.test"]}, "events[0]"),
        ({"url": URL, "secret": SECRET}, "secret"),
        ({"url": URL, "enabled": False}, "enabled"),
        ({"url": f"https://example.org/{'x' * 2000}"}, "url"),
    ],
)
def test_a_body_that_says_something_else_is_refused(ada, body, path):
    assert_problem(post(client_of(ada), "/webhooks/", body), 422, path)


def test_an_account_has_only_so_many(ada):
    SubscriptionFactory.create_batch(MAX_WEBHOOKS, owner=ada)
    assert_problem(post(client_of(ada), "/webhooks/", {"url": URL}), 409, name="too-many-webhooks")
    Subscription.objects.filter(pk=Subscription.objects.first().pk).update(
        enabled=False, disabled_at=NOON, disabled_reason="gone", removed_at=NOON, secret=""
    )
    add(client_of(ada))


def test_a_webhook_is_changed_and_a_new_address_begins_anew(ada):
    row = SubscriptionFactory.create(owner=ada, failing_since=NOON)
    client = client_of(ada)
    told = patch(client, f"/webhooks/{row.pk}/", {"events": ["generation.failed"], "description": "Steps"}).json()
    assert (told["events"], told["description"], told["failing_since"]) == (["generation.failed"], "Steps", "2026-01-01T12:00:00Z")
    assert patch(client, f"/webhooks/{row.pk}/", {"url": URL}).json()["failing_since"] is None
    assert_problem(patch(client, f"/webhooks/{row.pk}/", {"url": "http://10.0.0.1/"}), 422, "url")
    assert_problem(patch(client, f"/webhooks/{row.pk}/", {}), 422)


def test_a_new_secret_is_shown_once_and_the_old_one_goes_on_for_a_day(ada):
    row = SubscriptionFactory.create(owner=ada)
    client = client_of(ada)
    new = post(client, f"/webhooks/{row.pk}/rotate/").json()["secret"]
    row.refresh_from_db()
    assert (signing.unseal(row.secret), signing.unseal(row.former_secret)) == (new, SECRET)
    told = get(client, f"/webhooks/{row.pk}/")
    assert told.json()["former_secret_until"] is not None
    assert new not in told.content.decode()


def test_a_webhook_is_disabled_and_enabled_again(ada):
    row = SubscriptionFactory.create(owner=ada, failing_since=NOON)
    client = client_of(ada)
    told = post(client, f"/webhooks/{row.pk}/disable/").json()
    assert (told["enabled"], told["disabled_reason"]) == (False, "Its owner disabled it.")
    assert_problem(post(client, f"/webhooks/{row.pk}/test/"), 409, name="webhook-disabled")
    told = post(client, f"/webhooks/{row.pk}/enable/").json()
    assert (told["enabled"], told["disabled_reason"], told["failing_since"]) == (True, "", None)


def test_a_test_can_be_sent_and_followed(ada):
    row = SubscriptionFactory.create(owner=ada)
    client = client_of(ada)
    answer = post(client, f"/webhooks/{row.pk}/test/")
    assert answer.status_code == 201
    assert (answer.json()["kind"], answer.json()["status"], answer.json()["webhook"]) == ("webhook.test", "pending", row.pk)
    assert client.get(answer.headers["Location"]).json() == answer.json()
    assert get(client, f"/notifications/{answer.json()['id']}/deliveries/").json()["results"] == []


def test_a_webhook_that_was_deleted_is_gone_with_its_secrets(ada):
    row = SubscriptionFactory.create(owner=ada, former_secret="sealed", former_until=NOON)
    client = client_of(ada)
    assert client.delete(f"/api/v1/webhooks/{row.pk}/").status_code == 204
    assert_problem(get(client, f"/webhooks/{row.pk}/"), 404)
    assert get(client, "/webhooks/").json()["results"] == []
    row.refresh_from_db()
    assert (row.secret, row.former_secret, row.enabled) == ("", "", False)


WAYS = [
    ("get", "", 200),
    ("delete", "", 204),
    ("patch", "", 200),
    *(("post", verb, 200) for verb in ("enable/", "disable/", "rotate/")),
    ("post", "test/", 201),
]


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
@pytest.mark.parametrize(("method", "verb", "allowed"), WAYS)
def test_a_webhook_is_its_owners_alone(who, method, verb, allowed):
    crowd = people()
    row = SubscriptionFactory.create(owner=crowd["owner"])
    body = json.dumps({"description": "Mine"}) if method == "patch" else ""
    send = getattr(client_of(crowd[who]), method)
    answer = send(f"/api/v1/webhooks/{row.pk}/{verb}", **({} if method == "get" else {"data": body, "content_type": "application/json"}))
    expected = {"anonymous": 401, "owner": allowed}.get(who, 404)
    assert answer.status_code == expected, answer.content
    if who != "owner":
        before = Subscription.objects.get()
        assert (before.enabled, before.description, before.former_secret, before.removed_at) == (True, "", "", None)
        assert not Notification.objects.exists()


def test_the_callback_of_a_cast_is_no_webhook_of_the_account(ada):
    cast_id = order(client_of(ada)).json()["id"]
    row = Subscription.objects.get(cast=cast_id)
    assert get(client_of(ada), "/webhooks/").json()["results"] == []
    assert_problem(get(client_of(ada), f"/webhooks/{row.pk}/"), 404)


# Of casts


def order(client, *, key="", status=201, **callback):
    if not Spell.objects.filter(slug="story").exists():
        published(slug="story", visibility="public")
    headers = {"Idempotency_Key": key} if key else {}
    asked = {"url": URL, "secret": SECRET, **callback}
    answer = post(client, "/casts/", {"spell": "story", "callback": asked}, **headers)
    assert answer.status_code == status, answer.content
    return answer


def test_a_cast_comes_with_a_callback_that_shows_no_secret(ada):
    client = client_of(ada)
    answer = order(client, events=["cast.succeeded", "generation.succeeded"])
    shown = {"url": URL, "events": ["cast.succeeded", "generation.succeeded"], "enabled": True, "disabled_reason": ""}
    assert answer.json()["callback"] == shown
    path = f"/casts/{answer.json()['id']}/"
    for told in (answer, get(client, path), get(client, "/casts/"), get(client, f"{path}events/", Accept="text/event-stream")):
        assert SECRET not in told.content.decode()
    assert get(client, "/casts/").json()["results"][0]["callback"] == shown
    row = Subscription.objects.get()
    assert (row.owner, str(row.cast_id), signing.unseal(row.secret)) == (ada, answer.json()["id"], SECRET)


def test_a_callback_is_told_of_its_cast_by_default():
    order(client_of(UserFactory.create()))
    assert Subscription.objects.get().kinds == list(CAST_KINDS)


def test_a_callback_of_a_cast_is_told_of_no_cook():
    published(slug="story", visibility="public")
    asked = {"url": URL, "secret": SECRET, "events": ["cook.finished"]}
    assert_problem(post(client_of(UserFactory.create()), "/casts/", {"spell": "story", "callback": asked}), 422, "callback.events[0]")


def test_a_cast_without_a_callback_says_so(ada):
    published(slug="story", visibility="public")
    assert post(client_of(ada), "/casts/", {"spell": "story"}).json()["callback"] is None


def test_the_run_of_a_tool_comes_with_one_too(ada):
    tool("test.any")
    answer = post(client_of(ada), "/tools/test.any/run/", {"inputs": {}, "callback": {"url": URL, "secret": SECRET}})
    assert answer.status_code == 201
    assert answer.json()["callback"]["url"] == URL


def test_the_same_order_again_has_one_callback_and_another_callback_is_another_order(ada):
    client = client_of(ada)
    first = order(client, key="k")
    assert order(client, key="k", status=200).json()["id"] == first.json()["id"]
    assert Subscription.objects.count() == 1
    for other in ({"url": "https://elsewhere.example.org/"}, {"secret": signing.new_secret()}, {"events": ["cast.failed"]}):
        order(client, key="k", status=409, **other)
    assert Cast.objects.count() == Subscription.objects.count() == 1


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_callback_where_nothing_may_go_starts_no_cast(ada, url):
    assert_problem(order(client_of(ada), url=url, status=422), 422, "callback.url")
    assert not Cast.objects.exists()


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_a_secret_that_cannot_sign_is_refused_and_not_repeated(ada, secret):
    told = assert_problem(order(client_of(ada), secret=secret, status=422), 422, "callback.secret")
    assert len(secret) < 10 or secret not in json.dumps(told)
    assert not Cast.objects.exists()


@pytest.mark.parametrize(
    "callback",
    [{}, {"url": URL}, {"secret": SECRET}, {"url": URL, "secret": SECRET, "more": 1}, "https://example.org/", {"url": URL, "secret": 7}],
)
def test_a_callback_that_says_something_else_is_refused(ada, callback):
    published(slug="story", visibility="public")
    assert_problem(post(client_of(ada), "/casts/", {"spell": "story", "callback": callback}), 422)
    assert not Cast.objects.exists()
