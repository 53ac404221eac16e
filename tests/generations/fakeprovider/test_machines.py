"""ComfyDeploy and RunPod: what their documentation says of runs, webhooks and what is charged."""

import io
from decimal import Decimal
from typing import Any

import pytest
from PIL import Image

from tests.fakes import Mailbox, Serving, fake_provider
from tests.processes import wait_for


def queue(fake: Serving, inputs: dict[str, Any] | None = None, **body: Any) -> str:
    told = fake.request("POST", "/comfydeploy/api/run/deployment/queue", json={"deployment_id": "d-1", "inputs": inputs or {}, **body})
    return str(told.json()["run_id"])


def ended_run(fake: Serving, run_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        run: dict[str, Any] = fake.request("GET", f"/comfydeploy/api/run/{run_id}").json()
        return run if run["ended_at"] else None

    return wait_for("the end of the run", look)


def test_a_run_ends_with_pictures_and_costs_its_seconds(fake: Serving):
    run = ended_run(fake, queue(fake, {"prompt": "a fox", "width": 96, "height": 64}))
    [image] = run["outputs"][0]["data"]["images"]
    assert (run["status"], run["progress"]) == ("success", 1.0)
    assert Image.open(io.BytesIO(fake.file(image["url"]))).size == (96, 64)
    [entry] = fake.ledger()
    assert Decimal(entry["usd"]) == Decimal(str(run["run_duration"])) * Decimal("0.0012")


def test_a_run_that_failed_is_charged_too(fake: Serving):
    run = ended_run(fake, queue(fake, {"x-fake-fail": "node 9 broke"}))
    assert (run["status"], run["live_status"]) == ("failed", "node 9 broke")
    assert fake.ledger()[0]["status"] == "failed"


def test_a_run_is_cancelled(fake: Serving):
    run_id = queue(fake, {"x-fake-hold": True})
    assert fake.request("POST", f"/comfydeploy/api/run/{run_id}/cancel").status_code == 200
    assert ended_run(fake, run_id)["status"] == "cancelled"


def test_webhooks_tell_the_way_there_only_when_they_are_asked_to(fake: Serving, box: Mailbox):
    queue(fake, webhook=box.url)
    assert [mail.json["status"] for mail in box.wait(1)] == ["success"]
    queue(fake, webhook=box.url, webhook_intermediate_status=True)
    mails = box.wait(4)
    assert [mail.json["status"] for mail in mails[1:]] == ["running", "running", "success"]
    assert not any(name.startswith("webhook-") for mail in mails for name in mail.headers)


def test_older_words_are_spoken_on_demand(box: Mailbox):
    with fake_provider(old_comfydeploy_words=True) as fake:
        queue(fake, webhook=box.url, webhook_intermediate_status=True)
        assert [mail.json["status"] for mail in box.wait(3)] == ["processing", "processing", "completed"]


def test_a_webhook_is_tried_three_times_then_given_up(fake: Serving, box: Mailbox):
    box.statuses = [500] * 5
    queue(fake, webhook=box.url)
    counts = wait_for("it is given up", lambda: (told := fake.control("webhooks")["counts"]).get("given_up") and told)
    assert counts["tries"] == 3


@pytest.mark.parametrize(
    ("body", "status"), [({}, 422), ({"deployment_id": "d", "inputs": []}, 200), ({"deployment_id": "d", "inputs": [1]}, 422), ([], 400)]
)
def test_a_bad_run_is_refused(fake: Serving, body: Any, status: int):
    assert fake.request("POST", "/comfydeploy/api/run/deployment/queue", json=body).status_code == status


def run(fake: Serving, inputs: dict[str, Any] | None = None, *, endpoint: str = "e-1", **body: Any) -> str:
    return str(fake.request("POST", f"/runpod/v2/{endpoint}/run", json={"input": inputs or {}, **body}).json()["id"])


def ended_job(fake: Serving, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        told: dict[str, Any] = fake.request("GET", f"/runpod/v2/e-1/status/{job_id}").json()
        return told if told["status"] not in ("IN_QUEUE", "IN_PROGRESS") else None

    return wait_for("the end of the job", look)


def test_a_job_ends_with_its_output_and_costs_its_milliseconds(fake: Serving):
    job = ended_job(fake, run(fake, {"prompt": "a fox"}))
    assert job["status"] == "COMPLETED"
    assert fake.file(job["output"]["images"][0]).startswith(b"\x89PNG")
    [entry] = fake.ledger()
    assert Decimal(entry["usd"]) == Decimal(job["executionTime"]) / 1000 * Decimal("0.00031")


def test_a_job_that_takes_longer_than_it_may_times_out(fake: Serving):
    fake.tell(latency=0.2)
    job = ended_job(fake, run(fake, policy={"executionTimeout": 10}))
    assert (job["status"], job["executionTime"]) == ("TIMED_OUT", 10)


def test_a_job_is_forgotten_after_its_time_to_live(fake: Serving):
    job_id = run(fake, policy={"ttl": 10})
    wait_for("it is forgotten", lambda: fake.request("GET", f"/runpod/v2/e-1/status/{job_id}").status_code == 404)


def test_a_job_fails_or_is_cancelled(fake: Serving):
    assert ended_job(fake, run(fake, {"x-fake-fail": "CUDA error"}))["error"] == "CUDA error"
    held = run(fake, {"x-fake-hold": True})
    assert fake.request("POST", f"/runpod/v2/e-1/cancel/{held}").json()["status"] == "CANCELLED"


def test_runsync_waits_for_the_text_of_a_language_model(fake: Serving):
    body = {"input": {"prompt": "Translate into German:\n\nGood morning."}}
    told = fake.request("POST", "/runpod/v2/my-llama-chat/runsync", json=body).json()
    assert told["output"] == {"text": "[german] Good morning."}


def test_the_webhook_is_the_status(fake: Serving, box: Mailbox):
    job_id = run(fake, webhook=box.url)
    assert box.wait(1)[0].json == ended_job(fake, job_id)


def test_strangers_are_refused_by_both(fake: Serving):
    for path in ("/runpod/v2/e-1/run", "/comfydeploy/api/run/deployment/queue"):
        assert fake.request("POST", path, json={}, key="wrong").status_code == 401
