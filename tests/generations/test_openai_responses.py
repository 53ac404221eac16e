"""openai.responses against the fake provider, which others wrote, and against a server that answers badly."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter
from uuid_utils.compat import uuid7

from generations.tools import registry
from generations.tools.contract import CallbackRefusedError, Delivery, Progress, Result, Submitted, ToolError
from tests.fakes import Serving, fake_provider, mailbox
from tests.peers.aimock import aimock

from .providers import cancel, checked, ended, poll, run
from .toolbox import keep, picture, request_for
from .website import Website, website

PRICES = {"input_per_million": "0.15", "cached_input_per_million": "0.075", "output_per_million": "0.6"}
USAGE = {"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050, "input_tokens_details": {"cached_tokens": 400}}
USD = Decimal("0.00015")  # 600 at 0.15, 400 at 0.075, 50 at 0.6, by the million
STORY = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"], "additionalProperties": False}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    with fake_provider() as fake:
        monkeypatch.setenv("FAKE_KEY", fake.key)
        monkeypatch.setenv("FAKE_SECRET", fake.settings.webhook_secret)
        yield fake


def request_to(fake: Serving, *, config: dict[str, Any] | None = None, **inputs: Any) -> Any:
    settings = {"base_url": f"{fake.url}/openai/v1", "api_key_env": "FAKE_KEY", "webhook_secret_env": "FAKE_SECRET", **(config or {})}
    return request_for("openai.responses", {"prompt": "Summarise:\n\nOne came. Two went.", **inputs}, config=settings, pricing=PRICES)


def test_a_response_is_made_in_the_background_and_costs_what_the_ledger_says(fake: Serving):
    request = request_to(fake, response_format={"schema": STORY})
    submitted = run(request)
    assert isinstance(submitted, Submitted)
    result = ended(request, submitted.job_id)
    assert isinstance(result.output["json"]["title"], str)
    assert result.output["finish_reason"] == "stop"
    [entry] = fake.ledger()
    assert result.cost.usd == Decimal(entry["usd"])
    assert entry["id"] == submitted.job_id
    assert entry["metadata"] == {"call": str(request.idempotency_key)}


def test_a_failure_and_a_cancelled_response_are_told(fake: Serving):
    failing = request_to(fake, config={"extra_body": {"metadata": {"x-fake-fail": "The model tripped."}}})
    told = ended(failing, run(failing).job_id)
    assert isinstance(told, ToolError)
    assert (told.message, told.code, told.permanent) == ("The response failed: The model tripped.", "provider_failed", False)
    held = request_to(fake)
    fake.tell(dialect="openai", hold=True)
    job_id = run(held).job_id
    assert isinstance(poll(held, job_id), Progress)
    cancel(held, job_id)
    told = ended(held, job_id)
    assert isinstance(told, ToolError)
    assert (told.code, told.permanent) == ("cancelled", True)
    cancel(held, job_id)


def test_the_same_key_begins_one_response(fake: Serving):
    request = replace(request_to(fake, config={"idempotency_key_header": True}), callback_url="http://127.0.0.1:9/first")
    again = replace(request, attempt=2, generation_id=uuid7(), callback_url="http://127.0.0.1:9/second")
    first, second = run(request), run(again)
    assert second.job_id == first.job_id
    assert len(fake.control("jobs")) == 1
    assert registry.get("openai.responses").declares({"idempotency_key_header": True}) == {"recovery": "resend"}
    assert registry.get("openai.responses").declares({}) == {"recovery": "none"}


def test_a_peer_that_answers_at_once_understands_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = {"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050}
    fixtures: list[dict[str, Any]] = [
        {"match": {"userMessage": "as json"}, "response": {"content": '{"title": "The Lamp"}', "usage": usage}},
        {
            "match": {"userMessage": "throttle"},
            "response": {"error": {"message": "Slow down.", "type": "x"}, "status": 429, "retryAfter": 7},
        },
    ]
    with aimock(fixtures, folder=tmp_path) as peer:
        monkeypatch.setenv("PEER_KEY", peer.key)
        config = {"base_url": f"{peer.url}/v1", "api_key_env": "PEER_KEY", "model": "tale-1"}
        inputs = {"system": "Be brief.", "prompt": "as json", "response_format": {"schema": STORY}}
        result = run(request_for("openai.responses", inputs, config=config, pricing=PRICES))
        with pytest.raises(ToolError, match="Slow down") as raised:
            run(request_for("openai.responses", {"prompt": "throttle"}, config=config))
    assert result.output["json"] == {"title": "The Lamp"}
    assert result.cost.usd == Decimal("0.00018")
    assert (raised.value.code, raised.value.retry_after) == ("rate_limited", 7)


def test_the_webhook_of_an_end_is_verified_and_but_a_hint(fake: Serving):
    adapter = registry.get("openai.responses")
    with mailbox() as box:
        request = replace(request_to(fake), callback_url=box.url)
        run(request)
        received = box.wait(1)[0]
    delivery = Delivery(tool="openai.responses", config=request.config, headers=received.headers, body=received.body)
    assert adapter.verify_callback(delivery) == received.headers["webhook-id"]
    assert adapter.read_callback(request, received.json) is None
    with OpenAI(api_key="x", webhook_secret=fake.settings.webhook_secret) as official:
        assert official.webhooks.unwrap(received.body.decode(), dict(received.headers)).type == "response.completed"
    for broken in (
        replace(delivery, body=received.body.replace(b"completed", b"failed")),
        replace(delivery, headers={}),
        replace(delivery, headers={**received.headers, "webhook-timestamp": "1614265330"}),
        replace(delivery, config={**request.config, "webhook_secret_env": "NO_SUCH_SECRET"}),
    ):
        with pytest.raises(CallbackRefusedError):
            adapter.verify_callback(broken)


def test_the_secret_has_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(CallbackRefusedError, match="old"):
        registry.get("openai.responses").verify_callback(Delivery(tool="t", config={}, headers=headers, body=b"{}"))


class Oddity:
    """A server that answers what it is told to."""

    def __init__(self, server: Website) -> None:
        self.server = server

    def request(self, *, config: dict[str, Any] | None = None, pricing: Any = PRICES, readable: Any = None, **inputs: Any) -> Any:
        settings = {"base_url": self.server.url("/v1"), "api_key_env": "", "model": "m", **(config or {})}
        return request_for("openai.responses", {"prompt": "hello", **inputs}, config=settings, pricing=pricing, readable=readable)

    def sent(self, **more: Any) -> dict[str, Any]:
        """Return what is sent, to a server that takes it."""
        self.server.put("/v1/responses", {"id": "resp_1", "status": "queued"})
        run(self.request(**more))
        body: dict[str, Any] = json.loads(self.server.seen[-1].body)
        return body

    def told(self, response: Any, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Return what a poll says of a response."""
        self.server.put("/v1/responses/resp_1", {"id": "resp_1", **response}, headers=headers or {})
        return poll(self.request(**more), "resp_1")


@pytest.fixture
def oddity() -> Any:
    with website() as server:
        yield Oddity(server)


def completed(text: str | None = "Hi.", *, status: str = "completed", **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    output = [{"type": "reasoning", "summary": []}, {"type": "message", "role": "assistant", "content": content}]
    return {"status": status, "model": "m-1", "output": output, "usage": USAGE, **more}


def test_what_we_send_is_what_the_official_client_would_send(oddity: Oddity):
    data = keep(picture())
    messages = [
        {"role": "developer", "content": "Look."},
        {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "image", "image": data.reference()}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Hm."}]},
    ]
    also = {"response_format": {"schema": STORY, "name": "story"}, "temperature": 1, "max_tokens": 99}
    request = request_for(
        "openai.responses", {"messages": messages, **also}, config=dict(oddity.request().config), readable={data.id: data}
    )
    oddity.server.put("/v1/responses", {"id": "resp_1", "status": "queued"})
    run(replace(request, callback_url="https://grimoire.example/hook"))
    sent = json.loads(oddity.server.seen[-1].body)
    TypeAdapter(ResponseCreateParamsNonStreaming).validate_python(sent)
    assert sent["text"] == {"format": {"type": "json_schema", "name": "story", "schema": STORY, "strict": True}}
    assert {"model": "m", "background": True, "store": True, "temperature": 1, "max_output_tokens": 99}.items() <= sent.items()
    assert sent["metadata"] == {"call": str(request.idempotency_key), "webhook_url": "https://grimoire.example/hook"}
    assert sent["input"][0] == {"role": "developer", "content": "Look."}
    text, image = sent["input"][1]["content"]
    assert text == {"type": "input_text", "text": "hello"}
    assert (image["type"], image["image_url"][:22]) == ("input_image", "data:image/png;base64,")
    assert sent["input"][2] == {"role": "assistant", "content": "Hm."}
    assert "idempotency-key" not in oddity.server.seen[-1].headers


def test_a_picture_cannot_be_put_into_the_mouth_of_the_model(oddity: Oddity):
    shown = [{"type": "image", "image": {"url": "https://example.com/a.png"}}]
    request = request_for("openai.responses", {"messages": [{"role": "assistant", "content": shown}]}, config=dict(oddity.request().config))
    with pytest.raises(ToolError, match="can hold text only") as raised:
        run(request)
    assert raised.value.permanent
    assert oddity.server.seen == []


def test_what_the_configuration_adds_wins_over_none_of_ours(oddity: Oddity):
    extra = {"reasoning": {"effort": "low"}, "background": False, "model": "x", "metadata": "odd"}
    sent = oddity.sent(config={"extra_body": extra, "idempotency_key_header": True}, system="Be brief.", response_format="json")
    assert sent["reasoning"] == {"effort": "low"}
    assert (sent["background"], sent["model"], sent["text"]) == (True, "m", {"format": {"type": "json_object"}})
    assert sent["input"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
    assert list(sent["metadata"]) == ["call"]
    assert len(oddity.server.seen[-1].headers["idempotency-key"]) == 36


def test_a_server_that_waits_for_the_end_is_as_good(oddity: Oddity):
    oddity.server.put("/v1/responses", {"id": "resp_1", **completed()}, headers={"x-request-id": "req_1"})
    result = run(oddity.request())
    assert isinstance(result, Result)
    assert result.output == {
        "text": "Hi.", "finish_reason": "stop", "model": "m-1", "request_id": "req_1",
        "usage": {"prompt_tokens": 1000, "completion_tokens": 50, "cached_tokens": 400},
    }  # fmt: skip
    assert result.cost is not None
    assert result.cost.usd == Decimal("0.00015")
    oddity.server.put("/v1/responses", {"id": "resp_1", "status": "failed", "error": {"code": "invalid_prompt", "message": "No."}})
    with pytest.raises(ToolError, match=r"The response failed: No\.") as raised:
        run(oddity.request())
    assert raised.value.permanent


def test_a_completed_response_is_the_answer(oddity: Oddity):
    result = oddity.told(completed('{"title": "The Lamp"}'), response_format={"schema": STORY})
    assert result.output["json"] == {"title": "The Lamp"}
    assert result.cost.usd == USD
    assert [line["quantity"] for line in result.cost.basis["lines"]] == ["600", "50", "400"]
    assert oddity.told(completed(), pricing={}).cost is None


@pytest.mark.parametrize(
    ("response", "inputs", "code", "permanent"),
    [
        (completed("", output=[]), {}, "empty_answer", False),
        (completed(None), {}, "empty_answer", False),
        (completed("no json"), {"response_format": "json"}, "bad_answer", False),
        (completed('{"title": 7}'), {"response_format": {"schema": STORY}}, "bad_answer", False),
        (completed("", status="incomplete", incomplete_details={"reason": "max_output_tokens"}), {}, "empty_answer", True),
        (completed('{"ti', status="incomplete", incomplete_details={"reason": "max_output_tokens"}), {"response_format": "json"}, "bad_answer", True),
        (completed("Well", status="incomplete", incomplete_details={"reason": "content_filter"}), {}, "content_filter", True),
        (completed(output=[{"type": "message", "content": [{"type": "refusal", "refusal": "I must not."}]}]), {}, "refused_by_model", True),
        ({"status": "failed", "usage": USAGE, "error": {"code": "server_error", "message": "Ouch."}}, {}, "provider_failed", False),
        ({"status": "failed", "usage": USAGE, "error": {"code": "rate_limit_exceeded", "message": "Slow."}}, {}, "provider_failed", False),
        ({"status": "failed", "usage": USAGE, "error": {"code": "invalid_prompt", "message": "No."}}, {}, "provider_failed", True),
        ({"status": "failed", "usage": USAGE, "error": None}, {}, "provider_failed", True),
        ({"status": "cancelled", "usage": USAGE}, {}, "cancelled", True),
    ],
)  # fmt: skip
def test_an_end_without_an_answer_is_an_error_with_its_cost(oddity: Oddity, response: Any, inputs: Any, code: str, permanent: bool):
    told = oddity.told(response, **inputs)
    assert isinstance(told, ToolError)
    assert (told.code, told.permanent, told.ambiguous) == (code, permanent, False)
    assert told.cost is not None
    assert told.cost.usd == USD


@pytest.mark.parametrize("left_out", [{}, {"output": None}], ids=str)
def test_a_completed_response_that_leaves_its_output_out_is_asked_for_again(oddity: Oddity, left_out: dict[str, Any]):
    silent = {"status": "completed", "usage": USAGE, **left_out}
    with pytest.raises(ToolError, match="without its output") as raised:
        oddity.told(silent)
    assert (raised.value.code, raised.value.permanent) == ("bad_answer", False)
    oddity.server.put("/v1/responses", {"id": "resp_1", **silent})
    assert run(oddity.request()) == Submitted(job_id="resp_1", poll_after=3)


def test_an_answer_that_was_cut_off_is_still_an_answer(oddity: Oddity):
    result = oddity.told(completed("Once upon", status="incomplete", incomplete_details={"reason": "max_output_tokens"}))
    assert (result.output["text"], result.output["finish_reason"]) == ("Once upon", "length")
    assert oddity.told(completed("Once", status="incomplete")).output["finish_reason"] == "incomplete"


def test_the_words_of_a_failure_are_kept_and_made_fit_for_the_database(oddity: Oddity):
    told = oddity.told({"status": "failed", "error": {"code": "odd\0", "message": "a\0b" + "x" * 5000}}, headers={"x-request-id": "req_9"})
    assert told.message.startswith("The response failed: a\ufffdb")
    assert len(told.message) < 1100
    assert told.details == {"code": "odd\ufffd", "request_id": "req_9"}
    assert told.cost is None


@pytest.mark.parametrize(("status", "stage"), [("queued", "queued"), ("in_progress", "in progress")])
def test_a_response_at_work_is_told(oddity: Oddity, status: str, stage: str):
    assert oddity.told({"status": status}) == Progress(stage=stage, poll_after=3)


def test_schemas_that_cannot_be_used_are_refused_before_anything_is_begun(oddity: Oddity):
    with pytest.raises(ToolError) as raised:
        run(oddity.request(response_format={"schema": {"type": "story"}}))
    assert raised.value.code == "bad_schema"
    assert oddity.server.seen == []


def test_a_hint_is_no_outcome(oddity: Oddity):
    request = oddity.request()
    assert checked(request, registry.get("openai.responses").read_callback(request, {"type": "response.completed"})) is None
