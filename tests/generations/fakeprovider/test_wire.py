"""What the providers' documentation says beside what their clients read: words, headers, states, and what is charged."""

import time
from decimal import Decimal
from typing import Any

import pytest

from generations.fakeprovider.settings import Span
from tests.fakes import Mailbox, Serving, fake_provider
from tests.processes import wait_for

MODEL = "/replicate/v1/models/a/b/predictions"
HELD = {"input": {"x-fake-hold": True}}
WORKING = ("processing", "IN_PROGRESS", "running", "in_progress")


# Replicate


def test_a_prediction_that_its_client_cancels_is_canceled_also_before_its_start(fake: Serving):
    told = fake.request("POST", MODEL, json={"input": {"x-fake-latency": 600}}, headers={"Cancel-After": "60s"}).json()
    cancelled = fake.request("POST", f"/replicate/v1/predictions/{told['id']}/cancel").json()
    assert cancelled["status"] == "canceled", "aborted is one whose deadline passed before its start"
    assert "logs" in cancelled
    assert "28/28" not in cancelled["logs"]
    assert "started_at" not in cancelled


def test_throttling_says_when_to_come_back_in_words_too(fake: Serving):
    fake.tell(status=429, retry_after=7)
    told = fake.request("POST", MODEL, json={"input": {}})
    assert told.json() == {"detail": "Request was throttled. Your rate limit resets in ~7s."}
    assert told.headers["retry-after"] == "7"


def test_the_progress_of_what_was_stopped_stands_still(fake: Serving):
    run = fake.request("POST", "/comfydeploy/api/run/deployment/queue", json={"deployment_id": "d", "inputs": {"x-fake-latency": 2}}).json()
    path = f"/comfydeploy/api/run/{run['run_id']}"
    wait_for("it works", lambda: fake.request("GET", path).json()["status"] == "running")
    fake.request("POST", f"{path}/cancel")
    stopped = fake.request("GET", path).json()
    assert stopped["progress"] < 0.7
    seen_at = time.monotonic()
    wait_for("its work would have gone on", lambda: time.monotonic() > seen_at + 0.6)
    assert fake.request("GET", path).json() == stopped


# fal


def test_a_request_that_was_cancelled_says_so_wherever_it_is_asked(fake: Serving):
    place = fake.request("POST", "/fal/a/b", json={"x-fake-hold": True}, scheme="Key").json()
    paths = {name: place[name].removeprefix(fake.url) for name in ("status_url", "cancel_url", "response_url")}
    assert fake.request("PUT", paths["cancel_url"], scheme="Key").status_code == 202
    assert fake.request("GET", paths["status_url"], scheme="Key").json()["error_type"] == "request_cancelled"
    told = fake.request("GET", paths["response_url"], scheme="Key")
    assert told.headers["x-fal-error-type"] == "request_cancelled"
    assert told.json()["detail"][0]["type"] == "request_cancelled"


# OpenAI


def test_throttling_at_openai_says_when_in_milliseconds_too(fake: Serving):
    fake.tell(status=429, retry_after=1.5)
    told = fake.request("POST", "/openai/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "A fox."}]})
    assert (told.headers["retry-after-ms"], told.headers["retry-after"]) == ("1500", "1.5")
    assert told.json()["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/openai/v1/models"), ("GET", "/openai/v1/responses/x"), ("POST", "/openai/v1/responses")]
)
def test_each_answer_of_openai_has_a_request_id(fake: Serving, method: str, path: str):
    assert fake.request(method, path).headers["x-request-id"].startswith("req_")


# What is charged


@pytest.mark.parametrize(
    ("path", "scheme", "body"),
    [
        (MODEL, "Bearer", {"input": {}}),
        ("/fal/a/b", "Key", {}),
        ("/comfydeploy/api/run/deployment/queue", "Bearer", {"deployment_id": "d"}),
        ("/runpod/v2/e/run", "Bearer", {"input": {}}),
    ],
)
def test_work_that_took_no_time_is_charged_all_the_same(path: str, scheme: str, body: dict[str, Any]):
    with fake_provider(latency=Span(least=0, most=0)) as fake:
        fake.request("POST", path, json=body, scheme=scheme)
        wait_for("it is billed", fake.ledger)
        assert Decimal(fake.ledger()[0]["usd"]) > 0


def test_the_same_request_of_another_generation_fails_once_alone():
    with fake_provider(fail=1.0) as fake:
        ends = []
        for call in ("one", "two"):
            body = {"model": "m", "input": "A fox.", "metadata": {"call": call}}
            ends.append(fake.request("POST", "/openai/v1/responses", json=body).json()["status"])
        assert ends == ["failed", "completed"]


# Webhooks


def test_runpod_wants_a_200_and_nothing_else(fake: Serving, box: Mailbox):
    box.statuses = [204, 202]
    fake.request("POST", "/runpod/v2/e/run", json={"input": {}, "webhook": box.url})
    box.wait(3)
    wait_for("it was delivered", lambda: fake.control("webhooks")["counts"].get("delivered") == 1)


def test_a_sender_of_standard_webhooks_waits_as_long_as_it_is_asked_to(box: Mailbox):
    box.statuses, box.headers = [503], {"Retry-After": "2"}
    with fake_provider(retry_pace=1.0) as fake:
        fake.request("POST", MODEL, json={"input": {}, "webhook": box.url, "webhook_events_filter": ["completed"]})
        box.wait(1)
        began = time.monotonic()
        box.wait(2)
        assert time.monotonic() - began > 1.8, "its own first wait is a second"


def test_an_address_that_is_gone_is_not_tried_again(fake: Serving, box: Mailbox):
    box.statuses = [410] * 5
    fake.request("POST", MODEL, json={"input": {}, "webhook": box.url, "webhook_events_filter": ["completed"]})
    counts = wait_for("it is given up", lambda: (told := fake.control("webhooks")["counts"]).get("given_up") and told)
    assert counts["tries"] == 1


def test_a_webhook_is_signed_when_it_goes_and_not_when_it_queues(box: Mailbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("generations.fakeprovider.webhooks.AT_ONCE", 1)
    box.hold()
    with fake_provider() as fake:
        for _ in range(2):
            body = {"input": {}, "webhook": box.url, "webhook_events_filter": ["completed"]}
            fake.request("POST", MODEL, json=body, headers={"Prefer": "wait"})
        queued_at = int(time.time())
        wait_for("the second has waited for the one place that there is", lambda: int(time.time()) > queued_at + 1)
        box.let_go()
        later = box.wait(2)[1]
    assert int(later.headers["webhook-timestamp"]) > queued_at + 1
