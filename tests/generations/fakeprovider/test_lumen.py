"""Lumen, the provider that `http.job` describes and that does not exist: jobs that are found by our key, or have our id."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from generations.fakeprovider.prices import PRICES
from generations.tools import registry
from generations.tools.contract import Delivery, Lost, Request, Result, Submitted, ToolError
from generations.tools.http_job_example import EXAMPLE_CONFIG, EXAMPLE_INPUTS
from tests.fakes import Mailbox, Serving
from tests.generations.providers import called_back, ended, poll, run
from tests.generations.toolbox import request_for
from tests.processes import wait_for

LOOKUP = {"request": {"path": "paintings", "query": {"key": "{{ idempotency_key }}"}}, "job_id": "paintings[0].id"}
OWN: dict[str, Any] = {
    "own_id": True,
    "submit": {"method": "PUT", "path": "paintings/{{ idempotency_key }}", "body": {"prompt": "{{ inputs.prompt }}"}},
}


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch, fake: Serving) -> None:
    monkeypatch.setenv("LUMEN_API_KEY", fake.key)
    monkeypatch.setenv("LUMEN_WEBHOOK_SECRET", fake.settings.webhook_secret)


def asked(fake: Serving, *, callback_url: str = "", **config: Any) -> Request:
    whole = {**copy.deepcopy(dict(EXAMPLE_CONFIG)), "base_url": f"{fake.url}/lumen/v1", "poll_seconds": 0.1, **config}
    return request_for("http.job", EXAMPLE_INPUTS, config=whole, pricing=PRICES["lumen"], callback_url=callback_url)


def lost(request: Request) -> None:
    """Submit, and get no answer."""
    with pytest.raises(ToolError) as raised:
        run(request)
    assert raised.value.ambiguous


def accepted(fake: Serving) -> Mapping[str, int]:
    counts: Mapping[str, int] = fake.control("counts")["dialects"].get("lumen", {"accepted": 0})
    return counts


def test_the_tool_as_it_comes_gets_its_painting(fake: Serving):
    request = asked(fake)
    taken = run(request)
    outcome = ended(replace(request, job_handle=taken.handle), taken.job_id)
    assert isinstance(outcome, Result), outcome
    assert len(outcome.output["files"]) == 3, "a canvas and two sketches"
    [entry] = fake.ledger()
    assert entry["idempotency_key"] == str(request.idempotency_key)


def test_what_is_sent_again_under_its_key_is_the_same_painting(fake: Serving):
    request = asked(fake)
    fake.tell(drop="after")
    lost(request)
    again = run(request)
    assert isinstance(again, Submitted)
    assert isinstance(ended(request, again.job_id), Result)
    assert (accepted(fake)["accepted"], len(fake.ledger())) == (1, 1)


def test_a_painting_whose_answer_was_lost_is_found_by_the_key(fake: Serving):
    request = asked(fake, recovery="lookup", lookup=LOOKUP)
    assert isinstance(poll(request, ""), Lost)
    fake.tell(drop="after")
    lost(request)
    assert isinstance(ended(request, ""), Result)
    assert len(fake.ledger()) == 1


def test_a_painting_can_have_our_id(fake: Serving):
    request = asked(fake, recovery="lookup", **OWN)
    assert isinstance(poll(request, ""), Lost)
    fake.tell(drop="after")
    lost(request)
    assert isinstance(ended(request, ""), Result)
    run(request)
    assert (accepted(fake)["accepted"], len(fake.ledger())) == (1, 1)


def test_an_id_is_for_one_painting(fake: Serving):
    path = f"/lumen/v1/paintings/{uuid4()}"
    assert fake.request("PUT", path, json={"prompt": "a fox"}).status_code == 201
    assert fake.request("PUT", path, json={"prompt": "a fox"}).status_code == 200
    assert fake.request("PUT", path, json={"prompt": "a wolf"}).status_code == 409


def test_its_webhook_is_signed_with_time_and_body(fake: Serving, box: Mailbox):
    request = asked(fake, callback_url=box.url)
    job = run(request).job_id
    [mail] = box.wait(1)
    assert mail.json["event"]["painting"]["id"] == job
    delivery = Delivery(tool=request.tool, config=request.config, headers=mail.headers, body=mail.body)
    registry.get("http.job").verify_callback(delivery)
    assert isinstance(called_back(request, mail.json), Result)


def test_a_painting_is_stopped_or_spoilt(fake: Serving):
    held = fake.request("POST", "/lumen/v1/paintings", json={"prompt": "a fox", "options": {"x-fake-hold": True}}).json()["painting"]["id"]
    assert fake.request("DELETE", f"/lumen/v1/paintings/{held}").json()["painting"]["state"] == "stopped"
    body = {"prompt": "a fox", "options": {"x-fake-fail": "The canvas tore."}}
    spoilt = fake.request("POST", "/lumen/v1/paintings", json=body).json()["painting"]["id"]

    def look() -> Any:
        told = fake.request("GET", f"/lumen/v1/paintings/{spoilt}").json()["painting"]
        return told if told["state"] == "spoilt" else None

    assert wait_for("it is spoilt", look)["problem"] == "The canvas tore."
    assert fake.request("GET", "/lumen/v1/paintings/nobody").status_code == 404


@pytest.mark.parametrize("body", [[], {}, {"prompt": 3}, {"prompt": "a fox", "options": []}])
def test_a_bad_order_is_refused(fake: Serving, body: Any):
    assert fake.request("POST", "/lumen/v1/paintings", json=body).status_code == 400


def test_a_stranger_is_refused(fake: Serving):
    assert fake.request("POST", "/lumen/v1/paintings", json={"prompt": "a"}, key="wrong").status_code == 401
