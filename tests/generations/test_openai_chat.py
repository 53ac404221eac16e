"""openai.chat against aimock, which others wrote, and against a server that answers as badly as it can."""

import base64
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from generations.tools.contract import ToolError
from generations.tools.provider_api import MAX_ANSWER_BYTES
from tests.peers.aimock import aimock

from .toolbox import keep, picture, problems_with, request_for, run
from .website import website

PRICES = {"input_per_million": "2.50", "cached_input_per_million": "1.25", "output_per_million": "10"}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050, "prompt_tokens_details": {"cached_tokens": 400}}
STORY = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"], "additionalProperties": False}


def error(status: int, message: str, **more):
    return {"error": {"message": message, "type": "some_error"}, "status": status, **more}


FIXTURES: list[dict[str, Any]] = [
    {"match": {"userMessage": "hello"}, "response": {"content": "Hi there!", "usage": USAGE, "model": "tale-1"}},
    {"match": {"userMessage": "as json"}, "response": {"content": '{"title": "The Lamp"}'}},
    {"match": {"userMessage": "no json"}, "response": {"content": "I would rather not.", "usage": USAGE}},
    {"match": {"userMessage": "too long"}, "response": {"content": '{"title": "The La', "finishReason": "length"}},
    {"match": {"userMessage": "filtered"}, "response": {"content": " ", "finishReason": "content_filter", "usage": USAGE}},
    {"match": {"userMessage": "say nothing"}, "response": {"content": " ", "usage": USAGE}},
    {"match": {"userMessage": "throttle"}, "response": error(429, "Slow down.", retryAfter=7)},
    {"match": {"userMessage": "pay first"}, "response": error(402, "Your balance is empty.")},
    {"match": {"userMessage": "bad params"}, "response": error(400, "temperature is too high")},
    {"match": {"userMessage": "forbidden"}, "response": error(403, "Not this model.")},
    {"match": {"userMessage": "rejected"}, "response": error(422, "Unprocessable.")},
    {"match": {"userMessage": "conflict"}, "response": error(409, "Busy.")},
    {"match": {"userMessage": "fall over"}, "response": error(500, "The model fell over.")},
    {"match": {"userMessage": "away"}, "response": error(503, "Be right back.")},
    {"match": {"userMessage": "hang up"}, "response": {"content": "x"}, "chaos": {"disconnectRate": 1}},
    {"match": {"userMessage": "babble"}, "response": {"content": "x"}, "chaos": {"malformedRate": 1}},
    {"match": {"userMessage": "dawdle"}, "response": {"content": "x"}, "chaos": {"latencyMs": 5000}},
]  # fmt: skip


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    with aimock(FIXTURES, folder=tmp_path_factory.mktemp("aimock")) as server:
        yield server


@pytest.fixture
def ask(peer, monkeypatch):
    """Ask the peer. `config` and `pricing` add to the tool's."""
    monkeypatch.setenv("PEER_KEY", peer.key)

    def ask(*, config=None, pricing=PRICES, readable=None, timeout_seconds=10, path="/v1", **inputs):
        settings = {"base_url": f"{peer.url}{path}", "api_key_env": "PEER_KEY", "model": "tale-1", **(config or {})}
        return run(request_for("openai.chat", inputs, config=settings, pricing=pricing, readable=readable, timeout_seconds=timeout_seconds))

    return ask


def test_a_prompt_is_answered_and_paid(ask, peer):
    result = ask(system="Be brief.", prompt="hello there", temperature=0.5, max_tokens=99)
    assert result.output.pop("request_id").startswith("req-")
    assert result.output == {
        "text": "Hi there!", "finish_reason": "stop", "model": "tale-1",
        "usage": {"prompt_tokens": 1000, "completion_tokens": 50, "cached_tokens": 0},
    }  # fmt: skip
    assert result.cost.usd == Decimal("0.003")
    assert result.cost.basis == {
        "lines": [{"unit": "input_per_million", "quantity": "1000", "price": "2.5"}, {"unit": "output_per_million", "quantity": "50", "price": "10"}],
        "table": 1,
    }  # fmt: skip
    sent = peer.requests()[-1]
    assert sent["path"] == "/v1/chat/completions"
    assert {"model": "tale-1", "temperature": 0.5, "max_completion_tokens": 99}.items() <= sent["body"].items()
    assert sent["body"]["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello there"}]


def test_cached_tokens_have_their_own_price(ask):
    result = ask(prompt="hello there", path="/api/v1")
    assert result.output["usage"]["cached_tokens"] == 400
    assert result.cost.usd == Decimal("0.0025")
    assert result.cost.basis["lines"][-1] == {"unit": "cached_input_per_million", "quantity": "400", "price": "1.25"}
    cheap = ask(prompt="hello there", path="/api/v1", pricing={"input_per_million": "2.50"})
    assert cheap.cost.usd == Decimal("0.0025")
    assert cheap.cost.basis == {"unit": "input_per_million", "quantity": "1000", "price": "2.5", "table": 1}


def test_without_prices_the_cost_is_unknown_not_nothing(ask):
    result = ask(prompt="hello there", pricing={})
    assert result.cost is None
    assert result.output["usage"]["completion_tokens"] == 50


@pytest.mark.parametrize(
    "pricing", [{"input_per_million": "cheap"}, {"input_per_million": "-1"}, {"input_per_million": "NaN"}, {"input_per_million": None}]
)
def test_a_price_that_is_none_is_told(ask, pricing):
    with pytest.raises(ToolError, match="price of input_per_million"):
        ask(prompt="hello there", pricing=pricing)


def test_whole_conversations_and_pictures_are_sent(ask, peer):
    data = picture()
    image = keep(data)
    messages = [
        {"role": "developer", "content": "Look closely."},
        {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "image", "image": image.reference()},
                                     {"type": "image", "image": {"url": "https://example.com/a.png"}}]},
    ]  # fmt: skip
    ask(messages=messages, readable={image.id: image})
    sent = peer.requests()[-1]["body"]["messages"]
    assert sent[0] == messages[0]
    assert sent[1]["content"][1]["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(data).decode()}"
    assert sent[1]["content"][2] == {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def test_pictures_go_with_a_prompt(ask, peer):
    image = keep(picture(file_format="JPEG"))
    ask(prompt="hello", images=[image.reference()], readable={image.id: image})
    text, shown = peer.requests()[-1]["body"]["messages"][0]["content"]
    assert text == {"type": "text", "text": "hello"}
    assert shown["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_what_is_no_picture_is_not_sent(ask, peer):
    file, before = keep(b"%PDF-1.7", mime_type="application/pdf"), len(peer.requests())
    with pytest.raises(ToolError, match="not application/pdf") as raised:
        ask(prompt="hello", images=[file.reference()], readable={file.id: file})
    assert raised.value.permanent
    with pytest.raises(ToolError, match="No artefact"):
        ask(prompt="hello", images=[file.reference()])
    assert len(peer.requests()) == before


def test_messages_and_prompt_exclude_each_other(ask):
    with pytest.raises(ToolError, match="`messages` alone"):
        ask(messages=[{"role": "user", "content": "hello"}], prompt="hello")


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ("json", {"type": "json_object"}),
        ({"schema": STORY}, {"type": "json_schema", "json_schema": {"name": "answer", "schema": STORY, "strict": True}}),
        (
            {"schema": STORY, "name": "story", "strict": False},
            {"type": "json_schema", "json_schema": {"name": "story", "schema": STORY, "strict": False}},
        ),
    ],
)
def test_json_is_asked_for_and_read(ask, peer, wanted, sent):
    output = ask(prompt="as json", response_format=wanted).output
    assert output["json"] == {"title": "The Lamp"}
    assert peer.requests()[-1]["body"]["response_format"] == sent


def test_an_answer_that_does_not_fit_its_schema_is_refused_and_paid(oddity):
    with pytest.raises(ToolError, match=r"does not fit its schema: answer\.title: 7 is not text") as raised:
        oddity.ask(completion('{"title": 7}'), response_format={"schema": STORY, "strict": False})
    assert (raised.value.code, raised.value.permanent, raised.value.cost.usd) == ("bad_answer", False, Decimal("0.000075"))


def test_a_schema_that_no_answer_could_be_held_against_is_refused_before_anything_is_paid(ask, peer):
    before = len(peer.requests())
    with pytest.raises(ToolError, match=r"params\.response_format\.schema") as raised:
        ask(prompt="as json", response_format={"schema": {"type": "story"}})
    assert (raised.value.code, raised.value.permanent) == ("bad_schema", True)
    assert len(peer.requests()) == before


def test_an_answer_that_is_no_json_has_still_been_paid(ask):
    with pytest.raises(ToolError, match="answer is not JSON") as raised:
        ask(prompt="no json", response_format="json")
    assert raised.value.code == "bad_answer"
    assert raised.value.cost.usd == Decimal("0.003")
    assert not raised.value.permanent


def test_an_answer_that_was_cut_off_will_be_cut_off_again(ask):
    with pytest.raises(ToolError, match=r"cut off at `max_tokens`") as raised:
        ask(prompt="too long", response_format="json")
    assert raised.value.permanent
    assert ask(prompt="too long").output["finish_reason"] == "length"


@pytest.mark.parametrize(("prompt", "code", "permanent"), [("filtered", "content_filter", True), ("say nothing", "empty_answer", False)])
def test_no_answer_is_an_error_with_its_cost(ask, prompt, code, permanent):
    with pytest.raises(ToolError) as raised:
        ask(prompt=prompt)
    assert (raised.value.code, raised.value.permanent) == (code, permanent)
    assert raised.value.cost.usd == Decimal("0.003")


@pytest.mark.parametrize(
    ("prompt", "status", "meaning"),
    [
        ("throttle", 429, ("rate_limited", False)),
        ("pay first", 402, ("payment_required", True)),
        ("bad params", 400, ("refused", True)),
        ("forbidden", 403, ("forbidden", True)),
        ("nobody has an answer to this", 404, ("not_found", True)),
        ("rejected", 422, ("rejected", True)),
        ("conflict", 409, ("conflict", False)),
        ("fall over", 500, ("provider_error", False)),
        ("away", 503, ("provider_error", False)),
    ],
)
def test_errors_are_told_in_the_providers_words(ask, peer, prompt, status, meaning):
    before = len(peer.requests())
    with pytest.raises(ToolError, match=rf"answered {status} ") as raised:
        ask(prompt=prompt)
    told = raised.value
    assert (told.code, told.permanent) == meaning
    assert (told.ambiguous, told.cost) == (False, None)
    words = next(
        (fixture["response"]["error"]["message"] for fixture in FIXTURES if fixture["match"]["userMessage"] == prompt), "No fixture"
    )
    assert words in told.message
    assert told.details["status"] == status
    assert told.details["request_id"].startswith("req-")
    assert len(peer.requests()) == before + 1  # the SDK tried once: trying again is the engine's


def test_retry_after_is_heeded(ask):
    with pytest.raises(ToolError) as raised:
        ask(prompt="throttle")
    assert raised.value.retry_after == 7


def test_a_wrong_key_is_refused(ask, monkeypatch):
    monkeypatch.setenv("WRONG_KEY", "guess")
    with pytest.raises(ToolError, match="answered 401") as raised:
        ask(prompt="hello", config={"api_key_env": "WRONG_KEY"})
    assert (raised.value.code, raised.value.permanent) == ("unauthorized", True)
    assert "guess" not in raised.value.message


def test_a_missing_key_is_named(ask, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ToolError, match="NO_SUCH_KEY, which is not set") as raised:
        ask(prompt="hello", config={"api_key_env": "NO_SUCH_KEY"})
    assert raised.value.permanent


def test_a_connection_lost_after_sending_is_ambiguous(ask):
    with pytest.raises(ToolError) as raised:
        ask(prompt="hang up")
    assert (raised.value.code, raised.value.ambiguous, raised.value.permanent) == ("connection_lost", True, False)


def test_no_answer_in_time_is_ambiguous(ask):
    with pytest.raises(ToolError) as raised:
        ask(prompt="dawdle", timeout_seconds=0.5)
    assert (raised.value.code, raised.value.ambiguous, raised.value.permanent) == ("timeout", True, False)


def test_an_answer_that_is_no_json_at_all_is_told(ask):
    with pytest.raises(ToolError, match="is not JSON") as raised:
        ask(prompt="babble")
    assert (raised.value.code, raised.value.ambiguous) == ("bad_answer", True)


def test_the_idempotency_key_is_sent_only_where_it_is_honoured(ask, peer):
    ask(prompt="hello")
    assert "idempotency-key" not in peer.requests()[-1]["headers"]
    ask(prompt="hello", config={"idempotency_key_header": True})
    assert len(peer.requests()[-1]["headers"]["idempotency-key"]) == 36


def test_servers_have_their_own_name_for_the_limit(ask, peer):
    ask(prompt="hello", max_tokens=5, config={"max_tokens_parameter": "max_tokens"})
    assert peer.requests()[-1]["body"]["max_tokens"] == 5


@pytest.fixture
def oddity() -> Any:
    """A server that answers what it is told to, with a 200."""
    with website() as server:

        def ask(body, *, config=None, status=200, headers=None, **inputs):
            server.put("/v1/chat/completions", body, status=status, headers=headers or {})
            settings = {"base_url": server.url("/v1"), "api_key_env": "", "model": "m", **(config or {})}
            return run(request_for("openai.chat", {"prompt": "hello", **inputs}, config=settings, pricing=PRICES))

        yield SimpleNamespace(ask=ask, server=server)


def completion(content, **more):
    return {
        "choices": [{"message": {"content": content, **more}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }


def test_texts_are_made_fit_for_the_database(oddity):
    assert oddity.ask(completion("a\0b\ud800")).output["text"] == "a\ufffdb\ufffd"


def test_a_refusal_is_told_and_paid(oddity):
    with pytest.raises(ToolError, match="refused: I must not") as raised:
        oddity.ask(completion(None, refusal="I must not."))
    assert raised.value.permanent
    assert raised.value.cost.usd == Decimal("0.000075")


def test_a_server_without_usage_or_model_is_good_enough(oddity):
    result = oddity.ask({"choices": [{"message": {"content": "hi"}}]})
    assert result.output == {"text": "hi", "finish_reason": "unknown", "model": "", "usage": {}}
    assert result.cost is None


@pytest.mark.parametrize(
    "body",
    [
        {}, [], "text", None, 7, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": {"content": 7}}]}, b"<html>", b"", b"\xff",
        {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": -5}},
        {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}},
        b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": NaN}}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_answers_of_another_shape_are_refused(oddity, body):
    with pytest.raises(ToolError, match=r"The answer of 127\.0\.0\.1 is n") as raised:
        oddity.ask(body)
    assert (raised.value.code, raised.value.permanent, raised.value.ambiguous) == ("bad_answer", False, True)
    assert "body" in raised.value.details


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"choices": [{"message": {"content": 7}}]}, {"error": {"message": "Upstream fell over."}}]
)
def test_what_an_answer_of_another_shape_says_that_it_cost_is_paid(oddity, body):
    with pytest.raises(ToolError) as raised:
        oddity.ask({**body, "usage": {"prompt_tokens": 10, "completion_tokens": 5}})
    assert (raised.value.ambiguous, raised.value.cost.usd) == (True, Decimal("0.000075"))


@pytest.mark.parametrize(
    "page", [{"body": b" " * (MAX_ANSWER_BYTES + 1)}, {"body": b"x", "headers": {"Content-Encoding": "gzip"}}], ids=["large", "compressed"]
)
def test_an_answer_that_is_not_read_was_paid_all_the_same(oddity, page):
    with pytest.raises(ToolError) as raised:
        oddity.ask(**page)
    assert (raised.value.permanent, raised.value.ambiguous) == (True, True)


def test_an_answer_without_a_price_to_reckon_it_by_was_paid_all_the_same(ask):
    with pytest.raises(ToolError) as raised:
        ask(prompt="hello there", pricing={"input_per_million": "cheap"})
    assert (raised.value.code, raised.value.ambiguous) == ("bad_pricing", True)


def test_no_redirect_is_followed(monkeypatch):
    with website() as server, website("127.0.0.2") as other:
        server.put("/v1/chat/completions", status=307, headers={"Location": other.url("/", host="127.0.0.2")})
        monkeypatch.setenv("PEER_KEY", "s3cret")
        config = {"base_url": server.url("/v1"), "api_key_env": "PEER_KEY", "model": "m"}
        with pytest.raises(ToolError, match="answered 307") as raised:
            run(request_for("openai.chat", {"prompt": "hello"}, config=config))
        assert raised.value.permanent
        assert server.seen[0].headers["authorization"] == "Bearer s3cret"
        assert other.seen == []


def test_a_refused_connection_is_definite(monkeypatch):
    with website() as gone:
        config = {"base_url": gone.url("/v1"), "api_key_env": "", "model": "m"}
    with pytest.raises(ToolError, match="cannot be reached") as raised:
        run(request_for("openai.chat", {"prompt": "hello"}, config=config))
    assert (raised.value.code, raised.value.ambiguous, raised.value.permanent) == ("unreachable", False, False)


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({}, "params"),
        ({"prompt": "x", "temperature": 3}, "params.temperature"),
        ({"prompt": "x", "max_tokens": 0}, "params.max_tokens"),
        ({"prompt": "x", "model": "other"}, "params.model"),
        ({"prompt": "x", "response_format": "yaml"}, "params.response_format"),
        ({"prompt": "x", "images": [{"url": "file:///etc/passwd"}]}, "params.images[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "params.messages[0].role"),
        ({"messages": []}, "params.messages"),
    ],
)
def test_the_schema_refuses(inputs, path):
    assert problems_with("openai.chat", **inputs) == [path]


def test_a_text_in_parts_is_put_together(oddity):
    assert oddity.ask(completion([{"type": "text", "text": "It was "}, {"type": "text", "text": "dark."}])).output["text"] == "It was dark."


@pytest.mark.parametrize(
    ("error", "status", "code", "ambiguous"),
    [
        ({"message": "Rate limited upstream.", "code": 429}, 429, "rate_limited", False),
        ({"message": "No credits.", "code": 402}, 402, "payment_required", False),
        ({"message": "Upstream was too slow.", "code": 408}, 408, "provider_timeout", True),
        ({"message": "Upstream fell over.", "code": 500}, 500, "provider_error", True),
        ({"message": "Upstream fell over.", "code": "odd"}, 502, "provider_error", True),
        ("Upstream fell over.", 502, "provider_error", True),
    ],
)
def test_an_error_that_a_router_sends_as_a_success_is_an_error(oddity, error, status, code, ambiguous):
    with pytest.raises(ToolError, match=rf"answered {status} .*(upstream|credits|Upstream)") as raised:
        oddity.ask({"error": error})
    assert (raised.value.code, raised.value.cost, raised.value.ambiguous) == (code, None, ambiguous)


def test_fields_of_the_configuration_go_with_each_request_and_win_over_none_of_ours(oddity):
    extra = {"reasoning_effort": "low", "model": "other", "messages": [], "provider": {"order": ["a"]}}
    oddity.ask(completion("hi"), config={"extra_body": extra})
    sent = json.loads(oddity.server.seen[-1].body)
    assert sent == {
        "reasoning_effort": "low",
        "provider": {"order": ["a"]},
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
    }


def test_a_model_that_thought_too_long_is_not_asked_again(oddity):
    body = completion("")
    body["choices"][0]["finish_reason"] = "length"
    with pytest.raises(ToolError, match="left it no room") as raised:
        oddity.ask(body)
    assert (raised.value.code, raised.value.permanent, raised.value.cost.usd) == ("empty_answer", True, Decimal("0.000075"))


def test_failures_keep_the_id_of_the_request(oddity):
    with pytest.raises(ToolError) as raised:
        oddity.ask(completion(" "), headers={"x-request-id": "req_7"})
    assert raised.value.details == {"request_id": "req_7"}
    assert oddity.ask(completion("hi"), headers={"x-request-id": "req_8"}).output["request_id"] == "req_8"


def test_retry_after_in_milliseconds_goes_before_seconds(oddity):
    with pytest.raises(ToolError) as raised:
        oddity.ask({"error": {"message": "Slow down."}}, status=429, headers={"retry-after-ms": "1500", "retry-after": "7"})
    assert raised.value.retry_after == 1.5


def test_an_answer_without_end_is_not_read(oddity):
    with pytest.raises(ToolError, match="larger than") as raised:
        oddity.ask(b" " * (MAX_ANSWER_BYTES + 1))
    assert (raised.value.code, raised.value.permanent, raised.value.ambiguous) == ("too_large", True, True)


@pytest.mark.parametrize("count", [10**13, -1, 1.5, True, "7", 1e400])
def test_counts_that_no_model_uses_are_refused(oddity, count):
    body = completion("hi")
    body["usage"]["completion_tokens"] = count
    with pytest.raises(ToolError) as raised:
        oddity.ask(body)
    assert raised.value.code == "bad_answer"


def test_what_we_send_is_what_the_official_client_would_send(ask, peer):
    image = keep(picture())
    ask(system="Be brief.", prompt="as json", images=[image.reference()], readable={image.id: image}, temperature=1, max_tokens=9,
        response_format={"schema": STORY})  # fmt: skip
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(peer.requests()[-1]["body"])
