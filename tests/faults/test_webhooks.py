"""Webhooks that come twice, too early, too late, never, or from somebody else (faults 11 to 15)."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from standardwebhooks.webhooks import Webhook
from uuid_utils.compat import uuid7

from casts import engine
from casts.clock import database_now
from generations.callback_addresses import signed_id
from generations.models import Generation
from generations.tools.contract import Json
from tests.processes import wait_for

from .stage import LONG, Stage

STEP = {"input": {"prompt": "A lamp."}}
CROWD = 50
SECRET_WORDS = "nobody may read this in a log"


def address(generation_id: UUID, *, adapter: str = "replicate") -> str:
    return f"/api/v1/callbacks/{adapter}/{signed_id(adapter=adapter, generation_id=generation_id)}/"


def send(stage: Stage, generation_id: UUID, told: Json, *, delivery: str = "msg_1", late: timedelta = timedelta(), **changed: str) -> Any:
    """Send a webhook as the provider would, signed so long ago, but for these headers."""
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    at = datetime.now(UTC) - late
    headers = {
        "content-type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(stage.fake.settings.webhook_secret).sign(
            msg_id=delivery, timestamp=at, data=body.decode(errors="replace")
        ),
        **changed,
    }
    return stage.post(address(generation_id), content=body, headers=headers)


def job_of(stage: Stage) -> dict[str, Any]:
    """Return the newest job at the provider."""
    job: dict[str, Any] = stage.fake.control("jobs")[0]
    return job


def statuses(stage: Stage, job_id: str) -> list[int]:
    """Return what our answers to the webhooks of a job were."""
    return [each["status"] for each in stage.fake.control("webhooks")["tries"] if each["job"] == job_id]


def outcomes(stage: Stage) -> Counter[str]:
    return Counter(row["outcome"] for row in stage.books.ask("SELECT outcome FROM generations_callback"))


def wait_for_callbacks(stage: Stage) -> None:
    wait_for("all callbacks are applied", lambda: not outcomes(stage)["received"], seconds=LONG)


def submitted(stage: Stage, **values: Any) -> tuple[UUID, str]:
    """Cast a job that its provider holds. Returns the cast and the job's id there."""
    stage.fake.tell(dialect="replicate", hold=True, **values.pop("told", {}))
    cast = stage.play({"key": "one", "tool": stage.job_tool(poll_seconds=600, **values), "params": STEP})
    stage.wait_for_generation(cast, "submitted")
    return cast, job_of(stage)["id"]


def test_a_webhook_that_comes_twice_and_fifty_times_at_once_beside_a_poll_settles_and_charges_once(stage: Stage):
    web, worker = stage.web(), stage.conduct()
    stage.fake.tell(dialect="replicate", hold=True, copies=CROWD)
    cast = stage.play({"key": "one", "tool": stage.job_tool(poll_seconds=0.1), "params": STEP})
    stage.wait_for_generation(cast, "submitted")
    job_id = job_of(stage)["id"]
    stage.fake.control("release", {"job": job_id})
    stage.fake.control("webhooks", {"job": job_id, "copies": 2})
    wait_for("all were answered", lambda: len(statuses(stage, job_id)) == CROWD + 2, seconds=LONG)
    assert set(statuses(stage, job_id)) == {200}
    stage.wait_for_status(cast)
    wait_for_callbacks(stage)
    assert outcomes(stage).total() == 1
    assert len(stage.attempts(cast)) == len(stage.bill()) == 1
    stage.check()
    stage.stop(worker, web)


def test_a_webhook_that_comes_before_the_job_has_an_id_here_finds_its_call_by_the_signed_address(stage: Stage):
    web, worker = stage.web(), stage.conduct()
    stage.fake.tell(dialect="replicate", webhook_first=True, delay=1)
    cast = stage.play({"key": "one", "tool": stage.job_tool(poll_seconds=600), "params": STEP})
    stage.wait_for_generation(cast, "succeeded")
    assert [each["job_id"] for each in stage.attempts(cast)] == [""]
    stage.wait_for_status(cast)
    wait_for("the id is stored when it comes", lambda: stage.attempts(cast)[0]["job_id"], seconds=LONG)
    stage.check()
    stage.stop(worker, web)


def test_a_webhook_that_nobody_waits_for_is_taken_and_changes_nothing_but_the_cost(stage: Stage):
    web, worker = stage.web(), stage.conduct()
    stage.fake.tell(dialect="replicate", fail="The first one fails.")
    cast, _ = submitted(stage)
    wait_for("it is tried again", lambda: [each["status"] for each in stage.attempts(cast)] == ["failed", "submitted"], seconds=LONG)
    first, second = stage.attempts(cast)[0]["id"], job_of(stage)["id"]
    before = stage.attempts(cast)
    failed = next(job["id"] for job in stage.fake.control("jobs") if job["id"] != second)
    told = {"id": failed, "status": "succeeded", "output": ["no file"], "metrics": {"predict_time": 1.0}}
    assert send(stage, UUID(str(first)), told, delivery="for attempt one").status_code == 200
    assert send(stage, uuid7(), told, delivery="for nobody").status_code == 200
    wait_for_callbacks(stage)
    assert [(each["status"], each["cost_usd"]) for each in stage.attempts(cast)] == [(each["status"], each["cost_usd"]) for each in before]
    stage.fake.control("release", {})
    stage.wait_for_status(cast)
    ended = stage.attempts(cast)
    assert send(stage, UUID(str(ended[-1]["id"])), {**told, "id": second}, delivery="after the end").status_code == 200
    wait_for_callbacks(stage)
    assert stage.attempts(cast) == ended
    assert outcomes(stage)["orphaned"] == 1
    stage.check()
    stage.stop(worker, web)


def test_a_webhook_after_a_cancel_is_taken_its_cost_booked_and_nothing_starts_by_it(stage: Stage):
    web, worker = stage.web(), stage.conduct()
    cast, job_id = submitted(stage)
    engine.cancel(cast_id=cast, actor_id=None, now=database_now())
    stage.wait_for_status(cast, "cancelled")
    stage.fake.control("webhooks", {"job": job_id})
    wait_for("it was sent again", lambda: len(statuses(stage, job_id)) >= 2, seconds=LONG)
    assert set(statuses(stage, job_id)) == {200}
    wait_for_callbacks(stage)
    assert stage.status(cast) == "cancelled"
    stage.check()
    stage.stop(worker, web)


def test_a_job_whose_webhook_is_lost_is_found_to_have_ended_by_a_poll(stage: Stage):
    web, worker = stage.web(), stage.conduct()
    stage.fake.tell(dialect="replicate", webhooks="lose")
    cast = stage.play({"key": "one", "tool": stage.job_tool(poll_seconds=1), "params": STEP})
    stage.wait_for_status(cast)
    [generation] = Generation.objects.all()
    assert generation.finished_at < generation.deadline_at
    assert outcomes(stage).total() == 0
    stage.check()
    stage.stop(worker, web)


REFUSED: dict[str, tuple[int, Json, dict[str, Any]]] = {
    "bad signature": (401, {"id": "x", "status": SECRET_WORDS}, {"webhook-signature": "v1,bm8gc2lnbmF0dXJl"}),
    "stale": (401, {"id": "x", "status": SECRET_WORDS}, {"late": timedelta(hours=1)}),
    "from the future": (401, {"id": "x", "status": SECRET_WORDS}, {"late": timedelta(hours=-1)}),
    "oversized": (413, {"id": "x", "status": SECRET_WORDS * 50_000}, {}),
    "no object": (400, [SECRET_WORDS], {}),
    "no JSON": (400, f"{{{SECRET_WORDS}".encode(), {}),
}


def test_a_webhook_that_is_forged_stale_oversized_or_malformed_is_refused_and_leaves_no_trace(stage: Stage):
    web, worker = stage.web(), stage.conduct()
    cast, _ = submitted(stage)
    before = stage.attempts(cast)
    id_ = UUID(str(before[0]["id"]))
    answers = {name: send(stage, id_, told, **changed).status_code for name, (_, told, changed) in REFUSED.items()}
    assert answers == {name: status for name, (status, _, _) in REFUSED.items()}
    forged = address(id_).replace(id_.hex, uuid7().hex)
    assert stage.post(forged, json={"id": "x", "status": SECRET_WORDS}).status_code == 404
    assert outcomes(stage).total() == 0
    assert stage.attempts(cast) == before
    assert SECRET_WORDS not in web.said() + worker.said()
    stage.fake.control("release", {})
    stage.wait_for_status(cast)
    stage.check()
    stage.stop(worker, web)
