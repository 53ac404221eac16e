"""Webhooks that come to the one address of an adapter: the job that they name is found by its id."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from standardwebhooks.webhooks import Webhook

from generations.models import Callback
from generations.tools.contract import Submitted
from tests.api import ApiClient, assert_problem

from .providers import do_errands
from .scenes import Hand, billed, cast

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/callbacks/openai.responses/"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "B" * 32


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", OTHER)
    monkeypatch.setenv("SECOND_SECRET", SECRET)


def submitted(job_id="resp_1") -> Hand:
    """Cast a step that OpenAI has taken as a response, with a tool of another project beside it."""
    billed("openai.first", adapter="openai.responses", config={"model": "m"})
    paid = billed("openai.second", adapter="openai.responses", config={"model": "m", "webhook_secret_env": "SECOND_SECRET"})
    hand = Hand(cast({"key": "one", "tool": paid}))
    hand.look()
    hand.answer("one", Submitted(job_id=job_id, poll_after=600))
    return hand


def event(job_id="resp_1", kind="response.completed"):
    return {"id": "evt_1", "object": "event", "type": kind, "data": {"id": job_id}}


def send(payload, *, secret=SECRET, delivery_id=None, address=ADDRESS, raw=None):
    body = json.dumps(payload) if raw is None else raw
    delivery_id, now = delivery_id or f"wh_{uuid4().hex}", datetime.now(UTC)
    signature = Webhook(secret).sign(delivery_id, now, body)
    told = {"webhook-id": delivery_id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    return ApiClient().post(address, body, content_type="application/json", headers=told)


def test_the_job_that_it_names_is_asked_for_at_once():
    hand = submitted()
    response = send(event())
    assert (response.status_code, response.json()) == (200, {"received": True, "repeated": False, "known": True})
    do_errands()
    assert [attempt.job_id for attempt in hand.look().polls()] == ["resp_1"]


def test_a_repeat_is_stored_once():
    submitted()
    answers = [send(event(), delivery_id="wh_1").json() for _ in range(2)]
    assert [answer["repeated"] for answer in answers] == [False, True]
    assert Callback.objects.count() == 1


@pytest.mark.parametrize(
    "payload", [event("resp_of_others"), event(kind="batch.completed"), {"data": 7}, {"type": "response.completed", "data": {"id": 7}}]
)
@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_what_is_genuine_and_names_no_job_of_ours_is_answered_and_not_kept(payload, secret):
    submitted()
    assert send(payload, secret=secret).json() == {"received": True, "repeated": False, "known": False}
    assert not Callback.objects.exists()


@pytest.mark.parametrize("job_id", ["resp_1", "resp_of_others"])
def test_what_is_not_signed_by_its_project_is_refused(job_id):
    submitted()
    wrong = "whsec_" + "C" * 32
    assert_problem(send(event(job_id), secret=wrong), 401, name="callback-refused")
    assert not Callback.objects.exists()


def test_a_job_is_vouched_for_by_the_secret_of_its_own_project_alone():
    submitted()
    assert_problem(send(event(), secret=OTHER), 401, name="callback-refused")


@pytest.mark.parametrize("adapter", ["replicate", "text.join", "no.such"])
def test_adapters_whose_providers_know_each_call_have_no_such_address(adapter):
    assert_problem(send(event(), address=f"/api/v1/callbacks/{adapter}/"), 404)


@pytest.mark.parametrize("raw", ["", "no json", "[]", '{"a": NaN}', "\x00"])
def test_what_cannot_be_read_is_refused(raw):
    submitted()
    assert_problem(send(None, raw=raw), 400)


def test_a_payload_that_is_too_much_to_keep_names_no_job():
    submitted()
    assert send({**event(), "padding": "x" * 70_000}).json()["known"] is False
