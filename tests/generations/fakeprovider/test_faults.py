"""The faults that a whole system is tested with: lost answers after the bill, outages for a while, webhooks in masses and too early."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from generations.fakeprovider.instructions import BadInstruction, Instruction, Rules
from generations.tools.http_client import certificates
from tests.fakes import Mailbox, Serving
from tests.processes import wait_for

MODEL = "/replicate/v1/models/a/b/predictions"
CHAT = "/openai/v1/chat/completions"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "A fox."}]}
SUBMISSIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "replicate": (MODEL, "Bearer", {"input": {}}),
    "fal": ("/fal/a/b", "Key", {}),
    "openai": (CHAT, "Bearer", QUESTION),
    "comfydeploy": ("/comfydeploy/api/run/deployment/queue", "Bearer", {"deployment_id": "d"}),
    "runpod": ("/runpod/v2/e/run", "Bearer", {"input": {}}),
}


def submit(fake: Serving, dialect: str, **options: Any) -> httpx2.Response:
    path, scheme, body = SUBMISSIONS[dialect]
    return fake.request("POST", path, json=body, scheme=scheme, **options)


def is_lost(fake: Serving, dialect: str) -> None:
    """Submit, and see no answer come. The request was there when this returns."""
    with pytest.raises(httpx2.TransportError):
        submit(fake, dialect, timeout=httpx2.Timeout(30, read=0.1))
    wait_for("the rule was followed", lambda: fake.control("rules") == {"left": 0})


def billed(fake: Serving) -> int:
    return len(fake.ledger())


# Answers that are lost after the work was taken


@pytest.mark.parametrize("dialect", SUBMISSIONS)
@pytest.mark.parametrize("told", [{"drop": "after"}, {"hang": "after"}])
def test_work_is_taken_and_billed_though_its_answer_never_comes(fake: Serving, dialect: str, told: dict[str, Any]):
    fake.tell(**told)
    is_lost(fake, dialect)
    wait_for("it is billed", lambda: billed(fake) == 1)


@pytest.mark.parametrize("dialect", SUBMISSIONS)
@pytest.mark.parametrize("told", [{"drop": "before"}, {"hang": "before"}, {"hang": True}])
def test_nothing_is_taken_when_the_request_is_lost(fake: Serving, dialect: str, told: dict[str, Any]):
    fake.tell(**told)
    is_lost(fake, dialect)
    assert fake.control("counts")["dialects"] == {}


def test_an_answer_comes_late_and_the_bill_before_it(fake: Serving):
    fake.tell(delay=0.5)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        answer = pool.submit(submit, fake, "openai")
        wait_for("it is billed", lambda: billed(fake) == 1)
        assert not answer.done()
        assert answer.result().status_code == 200
    assert time.monotonic() - began >= 0.5


def test_an_answer_goes_on_its_way_with_further_headers(fake: Serving):
    fake.tell(status=429, headers={"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT", "x-should-retry": "false"})
    headers = submit(fake, "openai").headers
    assert (headers["retry-after"], headers["x-should-retry"]) == ("Wed, 21 Oct 2065 07:28:00 GMT", "false")


# Outages


def test_a_rule_can_be_for_all_places_and_dialects(fake: Serving):
    job = submit(fake, "replicate").json()
    fake.control("rules", {"place": "any", "seconds": 60, "do": {"status": 503, "retry_after": 3}})
    told = [submit(fake, dialect) for dialect in SUBMISSIONS]
    told.append(fake.request("GET", f"/replicate/v1/predictions/{job['id']}"))
    told.append(fake.request("POST", f"/replicate/v1/predictions/{job['id']}/cancel"))
    told.append(fake.request("GET", "/files/x/y.png"))
    assert {(each.status_code, each.headers["retry-after"]) for each in told} == {(503, "3")}
    fake.control("rules", method="DELETE")
    assert fake.request("GET", f"/replicate/v1/predictions/{job['id']}").status_code == 200


def test_a_provider_that_is_down_for_a_while_comes_back(fake: Serving):
    fake.control("rules", {"place": "any", "seconds": 0.3, "do": {"status": 503}})
    assert submit(fake, "fal").status_code == 503
    wait_for("it is over", lambda: submit(fake, "fal").status_code == 200)


def test_a_rule_holds_for_its_time_and_for_any_number_of_requests_unless_there_is_one():
    now = 0.0
    rules = Rules(clock=lambda: now)

    def taken() -> int:
        return rules.take(dialect="fal", place="submit", path="/fal/a").status

    rules.add({"seconds": 10, "do": {"status": 429}})
    assert [taken() for _ in range(5)] == [429] * 5
    now = 10.0
    assert taken() == 0
    rules.add({"seconds": 10, "count": 2, "do": {"status": 503}})
    assert rules.left() == 1
    assert [taken() for _ in range(3)] == [503, 503, 0]
    assert rules.left() == 0
    assert rules.clear() == 0, "what is over or used up is no rule any more"


def test_an_upload_does_not_use_up_what_was_meant_for_a_submission(fake: Serving):
    fake.tell(status=503)
    files = {"content": ("a.txt", b"text", "text/plain")}
    assert fake.request("POST", "/replicate/v1/files", files=files).status_code == 201
    assert fake.request("POST", "/fal/storage/upload/initiate", json={"file_name": "a"}, scheme="Key").status_code == 200
    assert submit(fake, "fal").status_code == 503
    fake.tell(place="upload", status=503)
    assert fake.request("POST", "/replicate/v1/files", files=files).status_code == 503


@pytest.mark.parametrize("told", [{"drop": "after"}, {"hang": "after"}, {"drop": "before"}])
def test_a_file_may_be_lost_on_its_way_too(fake: Serving, told: dict[str, Any]):
    url = submit(fake, "replicate", headers={"Prefer": "wait"}).json()["output"][0]
    fake.tell(place="file", **told)
    with pytest.raises(httpx2.TransportError):
        fake.request("GET", url.removeprefix(fake.url), timeout=httpx2.Timeout(30, read=0.1))
    assert fake.file(url)


@pytest.mark.parametrize(
    "rule",
    [
        {"do": {}, "seconds": 0},
        {"do": {}, "seconds": "1"},
        {"do": {}, "seconds": True},
        {"do": {}, "count": True},
        {"do": {}, "place": ["any"]},
    ],
)
def test_a_rule_for_no_time_or_no_place_is_none(rule: dict[str, Any]):
    with pytest.raises(BadInstruction):
        Rules().add(rule)


@pytest.mark.parametrize(
    "told",
    [
        {"delay": -1},
        {"hang": "later"},
        {"copies": 0},
        {"copies": 1001},
        {"copies": 1.5},
        {"webhook_first": 1},
        {"headers": []},
        {"headers": {"a b": "c"}},
        {"headers": {"a": 1}},
        {"headers": {"a": "b\r\nc"}},
    ],
)
def test_a_fault_that_is_none_is_refused(told: dict[str, Any]):
    with pytest.raises(BadInstruction):
        Instruction.read(told)


# Webhooks


@pytest.mark.parametrize("dialect", ["replicate", "fal", "comfydeploy", "runpod"])
def test_a_webhook_arrives_before_the_answer_to_its_submission(fake: Serving, box: Mailbox, dialect: str):
    path, scheme, body = SUBMISSIONS[dialect]
    fake.tell(webhook_first=True)
    if dialect == "fal":
        path += f"?fal_webhook={box.url}"
    told = fake.request("POST", path, json={**body, "webhook": box.url}, scheme=scheme)
    assert told.status_code in (200, 201)
    ends = [mail.json.get("status") for mail in box.received]
    assert ends[-1] in ("succeeded", "OK", "success", "COMPLETED")
    job = told.json()
    assert job.get("status", "queued").lower() in ("starting", "in_queue", "queued"), "the answer is as if it had come at once"


def test_an_answer_waits_for_no_webhook_that_nobody_wants(fake: Serving):
    fake.tell(webhook_first=True)
    assert submit(fake, "runpod", timeout=10).json()["status"] == "IN_QUEUE"


def test_a_webhook_comes_fifty_times_at_once(fake: Serving, box: Mailbox):
    box.hold()
    told = fake.request("POST", "/runpod/v2/e/run", json={"input": {"x-fake-copies": 50}, "webhook": box.url}).json()
    wait_for("all are there", lambda: box.waiting == 50)
    box.let_go()
    assert {mail.json["id"] for mail in box.wait(50)} == {told["id"]}
    wait_for("they were delivered", lambda: fake.control("webhooks")["under_way"] == 0)
    counts = fake.control("webhooks")["counts"]
    assert (counts["mails"], counts["doubled"], counts["delivered"]) == (1, 49, 50)


def test_a_webhook_is_sent_again_fifty_times_at_once(fake: Serving, box: Mailbox):
    told = fake.request("POST", MODEL, json={"input": {}, "webhook": box.url, "webhook_events_filter": ["completed"]}).json()
    box.wait(1)
    box.hold()
    assert fake.control("webhooks", {"job": told["id"], "copies": 50}) == {"sent": 50}
    wait_for("all are there", lambda: box.waiting == 50)
    box.let_go()
    assert len({mail.headers["webhook-id"] for mail in box.wait(51)}) == 1


@pytest.mark.parametrize("copies", [0, 1001, "x", True])
def test_a_webhook_is_not_sent_again_so_often(fake: Serving, copies: Any):
    job = submit(fake, "runpod").json()["id"]
    response = httpx2.post(f"{fake.url}/__fake/webhooks", json={"job": job, "copies": copies}, trust_env=False, verify=certificates())
    assert response.status_code == 400
