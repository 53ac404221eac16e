"""What /metrics tells: held against what was done, by the parser of those who will read it."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from prometheus_client.parser import text_string_to_metric_families

from casts import casting, engine
from casts.clock import database_now
from casts.metrics import counters, tallies
from casts.models import Tally, Wakeup
from generations.tools import registry
from tests.api import client_of
from tests.factories import UserFactory
from tests.fakes import Reply, mailbox

from . import adapters
from .factories import NotificationFactory, SubscriptionFactory
from .scenes import cast, user, version
from .test_conductor import conduct, using

pytestmark = pytest.mark.django_db(transaction=True)
OUTCOMES = ("delivered", "failed", "given_up")


@pytest.fixture(autouse=True)
def from_nothing(monkeypatch, settings):
    """Forget what earlier tests counted in this process, and offer the test adapters."""
    settings.GRIMOIRE_METRICS_TOKEN = "scrape-me"
    for each in adapters.ALL:
        monkeypatch.setitem(registry.BUILT_IN, each.key, f"{each.__module__}:{each.__name__}")
    registry.forget()
    tallies.hand_in()
    Tally.objects.all().delete()
    yield
    registry.forget()


def scrape() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Ask for the metrics as Prometheus would; return each sample by its name and labels."""
    response = Client().get("/metrics", headers={"Authorization": "Bearer scrape-me"})
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples}


def value(name: str, **labels: str) -> float:
    return scrape().get((name, tuple(sorted(labels.items()))), 0.0)


def test_a_conducted_cast_is_counted_with_its_steps_their_time_and_their_cost():
    cast(using(adapters.AsyncEcho, key="one"), using(adapters.Raises, key="two", params={"how": "once"}))
    conduct()
    told = scrape()
    assert told["grimoire_casts_ended_total", (("outcome", "succeeded"),)] == 1
    assert told["grimoire_steps_ended_total", (("outcome", "succeeded"), ("tool", "test.async_echo"))] == 1
    assert told["grimoire_steps_ended_total", (("outcome", "failed"), ("tool", "test.raises"))] == 1
    assert told["grimoire_steps_ended_total", (("outcome", "succeeded"), ("tool", "test.raises"))] == 1
    assert told["grimoire_step_retries_total", (("tool", "test.raises"),)] == 1
    assert told["grimoire_provider_errors_total", (("code", "busy"), ("tool", "test.raises"))] == 1
    assert told["grimoire_cost_usd_total", (("tool", "test.async_echo"),)] == pytest.approx(0.01)
    assert told["grimoire_step_duration_seconds_count", (("tool", "test.raises"),)] == 2
    assert told["grimoire_step_duration_seconds_bucket", (("le", "3600.0"), ("tool", "test.raises"))] == 2
    assert told["grimoire_settlements_total", (("outcome", "in_time"),)] == 3
    assert told["grimoire_continuations_total", (("outcome", "advanced"),)] >= 3
    assert told["grimoire_casts", (("status", "running"),)] == 0


def test_requests_for_casts_are_counted_by_what_came_of_them():
    published = version(using(adapters.Echo, key="one"))
    client = client_of(user())
    url, body = reverse("api:casts"), {"spell": published.spell.slug}
    for wanted in (201, 200):
        assert client.post(url, body, content_type="application/json", headers={"Idempotency-Key": "k"}).status_code == wanted
    assert client.post(url, {"spell": "nothing-like-it"}, content_type="application/json").status_code == 422
    told = scrape()
    outcomes = {
        outcome: told.get(("grimoire_casts_started_total", (("outcome", outcome),))) for outcome in ("created", "repeated", "refused")
    }
    assert outcomes == {"created": 1, "repeated": 1, "refused": 1}


def test_a_request_that_we_could_not_serve_is_counted_as_failed(monkeypatch):
    published = version(using(adapters.Echo, key="one"))

    def broken(**_):
        raise ConnectionError("the database went away")

    monkeypatch.setattr(engine, "start", broken)
    order = casting.Order(spell=published.spell.slug, inputs={})
    with pytest.raises(ConnectionError):
        casting.place(order=order, user=user())
    assert value("grimoire_casts_started_total", outcome="failed") == 1


def test_what_the_reaper_heals_is_counted_by_reason():
    started = cast(using(adapters.Echo, key="one"))
    Wakeup.objects.all().delete()
    assert value("grimoire_casts_stranded") == 1
    engine.reap(now=database_now(), dry_run=True)
    assert value("grimoire_healed_total", reason="wakeup_missing") == 0
    engine.reap(now=database_now())
    assert value("grimoire_healed_total", reason="wakeup_missing") == 1
    assert Wakeup.objects.filter(cast=started).exists()


def test_the_lag_is_the_age_of_the_oldest_wakeup_that_nobody_took(clock):
    assert value("grimoire_wakeup_lag_seconds") == 0
    cast(using(adapters.Echo, key="one"))
    clock.advance(seconds=90)
    assert 89 < value("grimoire_wakeup_lag_seconds") < 120
    [claim] = engine.claim(limit=1)
    assert value("grimoire_wakeup_lag_seconds") == 0
    assert value("grimoire_wakeups_due") == 0
    engine.hand_back(claims=[claim])
    assert value("grimoire_wakeups_due") == 1


def test_what_two_threads_hand_in_at_once_is_counted_once():
    counters.HEALED.labels("test").inc(1000)

    def hand_in(_: int) -> None:
        try:
            tallies.hand_in()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(hand_in, range(8)))
    assert Tally.objects.get(name="grimoire_healed_total", labels=json.dumps({"reason": "test"})).value == 1000


def test_processes_add_to_one_tally(monkeypatch):
    """Another process starts with counters of its own: its increments come on top."""
    counters.HEALED.labels("test").inc(3)
    tallies.hand_in()
    handed_in = dict(tallies._handed_in)
    counters.HEALED.labels("test").inc(4)
    assert tallies.hand_in() == 1
    assert value("grimoire_healed_total", reason="test") == 7
    assert tallies.hand_in() == 0
    assert tallies._handed_in != handed_in


def test_an_unreachable_database_keeps_the_counts_for_later(monkeypatch):
    counters.HEALED.labels("test").inc(2)
    with monkeypatch.context() as patched:
        patched.setattr(tallies, "_handed_in_at", -1000.0)
        patched.setattr(tallies, "_add", _refuse)
        tallies.hand_in_when_due()
    assert value("grimoire_healed_total", reason="test") == 2


def _refuse(_: object) -> None:
    raise OperationalError("connection refused")


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "Basic scrape-me"}]
)
def test_metrics_are_not_for_strangers(headers):
    response = Client().get("/metrics", headers=headers)
    assert response.status_code == 401
    assert b"GRIMOIRE_METRICS_TOKEN" in response.content
    assert b"grimoire_casts" not in response.content


def test_without_a_token_metrics_are_for_the_staff_alone(settings):
    settings.GRIMOIRE_METRICS_TOKEN = ""
    client = Client()
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401
    client.force_login(UserFactory.create())
    assert client.get("/metrics").status_code == 401
    client.force_login(UserFactory.create(is_staff=True))
    assert client.get("/metrics").status_code == 200


def test_what_is_sent_is_counted_by_channel_and_outcome(settings):
    settings.WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    with mailbox() as box:
        box.statuses += [Reply(503, headers={"Retry-After": "600"}), 410]
        for _ in range(3):
            SubscriptionFactory.create(owner=user(), url=box.url, kinds=["cast.succeeded"])
        SubscriptionFactory.create(owner=user(), url=box.url, enabled=False)
        cast(using(adapters.Echo, key="one"))
        conduct()
    told = scrape()
    outcomes = {outcome: told.get(("grimoire_notifications_total", (("channel", "webhook"), ("outcome", outcome)))) for outcome in OUTCOMES}
    assert outcomes == {"delivered": 1, "failed": 1, "given_up": 1}
    assert told["grimoire_notifications_waiting", ()] == 1
    assert told["grimoire_notification_webhooks", (("state", "failing"),)] == 1
    assert told["grimoire_notification_webhooks", (("state", "disabled"),)] == 2


def test_what_nobody_sends_is_seen_by_how_long_it_is_due(clock):
    NotificationFactory.create(channel="webhook", due_at=clock.now())  # written long ago
    clock.advance(minutes=10)
    told = scrape()
    assert told["grimoire_notifications_waiting", ()] == 1
    assert 600 <= told["grimoire_notification_lag_seconds", ()] < 660
