"""openai.image against aimock and the fake provider, which others wrote, and against a server that answers badly."""

import base64
import io
import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from openai.types.image_generate_params import ImageGenerateParamsNonStreaming
from PIL import Image
from pydantic import TypeAdapter

from generations.tools import openai_image
from generations.tools.contract import RemoteFile, ToolError
from tests.fakes import fake_provider
from tests.peers.aimock import aimock

from .providers import run
from .toolbox import keep, picture, problems_with, request_for
from .website import website

PNG = base64.b64encode(picture()).decode()
BY_TOKENS = {"input_per_million": "5", "image_input_per_million": "10", "output_per_million": "40"}
FIXTURES: list[dict[str, Any]] = [
    {"match": {"userMessage": "a lamp"}, "response": {"images": [{"b64Json": PNG, "revisedPrompt": "a lamp, lit"}, {"b64Json": PNG}]}},
    {"match": {"userMessage": "a link"}, "response": {"image": {"url": "https://example.com/a.png"}}},
    {"match": {"userMessage": "forbidden", "endpoint": "image"}, "response": {"error": {"message": "Your request was rejected.", "type": "x"}, "status": 400}},
    {"match": {"userMessage": "throttle", "endpoint": "image"}, "response": {"error": {"message": "Slow down.", "type": "x"}, "status": 429, "retryAfter": 7}},
]  # fmt: skip


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    with aimock(FIXTURES, folder=tmp_path_factory.mktemp("aimock")) as server:
        yield server


@pytest.fixture
def ask(peer, monkeypatch):
    monkeypatch.setenv("PEER_KEY", peer.key)

    def ask(*, config=None, pricing=None, readable=None, **inputs):
        settings = {"base_url": f"{peer.url}/v1", "api_key_env": "PEER_KEY", **(config or {})}
        return run(request_for("openai.image", inputs, config=settings, pricing=pricing, readable=readable))

    return ask


def test_pictures_in_base64_are_files_with_what_became_of_the_prompt(ask, peer):
    result = ask(
        prompt="a lamp", n=2, size="1024x1536", quality="high", background="opaque", output_format="webp", pricing={"per_image": "0.04"}
    )
    first, second = result.output["images"]
    assert result.output["image"] == first == RemoteFile(url=f"data:image/webp;base64,{PNG}", name="picture-1", mime_type="image/webp")
    assert second.name == "picture-2"
    assert result.output["revised_prompts"] == ["a lamp, lit", ""]
    assert result.cost.usd == Decimal("0.08")
    assert result.cost.basis == {"unit": "image", "quantity": "2", "price": "0.04", "table": 1}
    assert peer.requests()[-1]["path"] == "/v1/images/generations"


def test_a_picture_behind_a_url_is_a_file(ask):
    assert ask(prompt="a link").output["images"] == [RemoteFile(url="https://example.com/a.png")]


@pytest.mark.parametrize(
    ("prompt", "status", "meaning"),
    [
        ("forbidden", 400, ("refused", True, None)),
        ("throttle", 429, ("rate_limited", False, 7)),
        ("unheard of", 404, ("not_found", True, None)),
    ],
)
def test_errors_are_told(ask, prompt, status, meaning):
    with pytest.raises(ToolError, match=f"answered {status} ") as raised:
        ask(prompt=prompt, pricing={"per_image": "0.04"})
    told = raised.value
    assert (told.code, told.permanent, told.retry_after) == meaning
    assert (told.cost, told.ambiguous) == (None, False)


def test_a_wrong_key_is_refused(ask, monkeypatch):
    monkeypatch.setenv("WRONG_KEY", "guess")
    with pytest.raises(ToolError, match="answered 401"):
        ask(prompt="a lamp", config={"api_key_env": "WRONG_KEY"})


def test_pictures_of_the_fake_provider_and_their_price_agree_with_its_ledger(monkeypatch):
    with fake_provider() as fake:
        monkeypatch.setenv("FAKE_KEY", fake.key)
        config = {"base_url": f"{fake.url}/openai/v1", "api_key_env": "FAKE_KEY", "model": "gpt-image-1"}
        request = request_for("openai.image", {"prompt": "a fox", "n": 2, "size": "256x256"}, config=config, pricing={"per_image": "0.04"})
        result = run(request)
        image = keep(picture(width=200, height=100))
        changed = replace(
            request, inputs={"prompt": "redder", "n": 1, "images": [image.reference()]}, workbench=replace_readable(request, image)
        )
        edited = run(changed)
        sums = [Decimal(entry["usd"]) for entry in fake.ledger()]
    data = base64.b64decode(result.output["images"][1].url.partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (256, 256)
    assert result.output["usage"]["output_tokens"] > 0
    assert Image.open(io.BytesIO(base64.b64decode(edited.output["image"].url.partition(",")[2]))).size == (200, 100)
    assert [result.cost.usd, edited.cost.usd] == sums


def replace_readable(request, *images):
    return replace(request.workbench, readable={image.id: image for image in images})


@pytest.fixture
def oddity() -> Any:
    """A server that answers what it is told to."""
    with website() as server:

        def ask(body, *, path="/v1/images/generations", status=200, headers=None, config=None, pricing=None, readable=None, **inputs):
            server.put(path, body, status=status, headers=headers or {})
            settings = {"base_url": server.url("/v1"), "api_key_env": "", **(config or {})}
            inputs = {"prompt": "a lamp", **inputs}
            return run(request_for("openai.image", inputs, config=settings, pricing=pricing, readable=readable))

        yield SimpleNamespace(ask=ask, server=server)


def made(**more: Any) -> dict[str, Any]:
    return {"created": 1, "data": [{"b64_json": PNG}], **more}


USAGE = {"input_tokens": 100, "output_tokens": 1000, "total_tokens": 1100, "input_tokens_details": {"text_tokens": 40, "image_tokens": 60}}


@pytest.mark.parametrize(
    ("pricing", "more", "usd", "unit"),
    [
        ({"per_image": "1", "per_image:1024x1024": "2", "per_image:1024x1024:high": "3"}, {"size": "1024x1024", "quality": "high"}, "3", "image:1024x1024:high"),
        ({"per_image": "1", "per_image:1024x1024": "2"}, {"size": "1024x1024", "quality": "low"}, "2", "image:1024x1024"),
        ({"per_image": "1", **BY_TOKENS}, {"size": "8x8", "quality": "low", "usage": USAGE}, "1", "image"),
        ({}, {"usage": USAGE}, None, None),
        (BY_TOKENS, {}, None, None),
    ],
)  # fmt: skip
def test_pictures_cost_by_the_closest_price_of_their_kind(oddity, pricing, more, usd, unit):
    cost = oddity.ask(made(**more), pricing=pricing).cost
    assert (cost and cost.usd) == (usd and Decimal(usd))
    assert (cost and cost.basis["unit"]) == unit


def test_what_was_asked_for_counts_where_the_answer_is_silent(oddity):
    pricing = {"per_image:512x512:low": "0.01"}
    assert oddity.ask(made(), size="512x512", quality="low", pricing=pricing).cost.usd == Decimal("0.01")
    assert oddity.ask(made(), size="512x512", pricing=pricing).cost is None


def test_pictures_cost_by_tokens(oddity):
    result = oddity.ask(made(usage=USAGE), pricing=BY_TOKENS)
    assert result.cost.usd == Decimal("0.0408")  # 40 at 5, 60 at 10, 1000 at 40, by the million
    assert [line["unit"] for line in result.cost.basis["lines"]] == ["input_per_million", "output_per_million", "image_input_per_million"]
    assert result.output["usage"] == {"input_tokens": 100, "image_input_tokens": 60, "output_tokens": 1000}
    one_price = {"input_per_million": "5", "output_per_million": "40"}
    assert oddity.ask(made(usage=USAGE), pricing=one_price).cost.usd == Decimal("0.0405")


def test_what_we_send_is_what_the_official_client_would_send(oddity):
    oddity.ask(made(), n=2, size="1024x1024", quality="low", background="auto", output_format="png", config={"response_format": "b64_json"})
    sent = json.loads(oddity.server.seen[-1].body)
    TypeAdapter(ImageGenerateParamsNonStreaming).validate_python(sent)
    assert sent == {
        "model": "gpt-image-1", "prompt": "a lamp", "n": 2, "size": "1024x1024", "quality": "low", "background": "auto",
        "output_format": "png", "response_format": "b64_json",
    }  # fmt: skip
    oddity.ask(made(), config={"extra_body": {"moderation": "low", "prompt": "another"}})
    assert json.loads(oddity.server.seen[-1].body) == {"moderation": "low", "prompt": "a lamp", "model": "gpt-image-1", "n": 1}


def test_pictures_and_a_mask_are_sent_as_a_form(oddity):
    image, mask = keep(picture(file_format="JPEG")), keep(picture(mode="RGBA", colour="#0000"))
    readable = {each.id: each for each in (image, mask)}
    inputs = {"images": [image.reference()], "mask": mask.reference(), "prompt": "Größer"}
    oddity.ask(made(), path="/v1/images/edits", readable=readable, config={"extra_body": {"input_fidelity": "high", "n_odd": 3}}, **inputs)
    seen = oddity.server.seen[-1]
    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="image[]"; filename="%s.jpg"\r\nContent-Type: image/jpeg' % str(image.id).encode() in seen.body
    assert b'name="mask"; filename="%s.png"\r\nContent-Type: image/png' % str(mask.id).encode() in seen.body
    assert 'name="prompt"\r\n\r\nGrößer'.encode() in seen.body
    assert b'name="input_fidelity"\r\n\r\nhigh' in seen.body
    assert b'name="n_odd"\r\n\r\n3' in seen.body
    assert b'name="n"\r\n\r\n1' in seen.body


def test_what_cannot_be_changed_is_not_sent(oddity, monkeypatch):
    file, image = keep(b"%PDF-1.7", mime_type="image/png"), keep(picture())
    readable = {file.id: file, image.id: image}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"images": [file.reference()]}, "not application/pdf"),
        ({"mask": image.reference()}, "needs `images`"),
        ({"images": [keep(picture()).reference()]}, "No artefact"),
    ]
    for inputs, words in wrong:
        with pytest.raises(ToolError, match=words) as raised:
            oddity.ask(made(), path="/v1/images/edits", readable=readable, **inputs)
        assert raised.value.permanent
    monkeypatch.setattr(openai_image, "MAX_GIVEN_BYTES", len(picture()) + 1)
    with pytest.raises(ToolError, match="larger than") as raised:
        oddity.ask(made(), path="/v1/images/edits", readable=readable, images=[image.reference()], mask=image.reference())
    assert (raised.value.code, raised.value.permanent) == ("too_large", True)
    assert oddity.server.seen == []


@pytest.mark.parametrize(
    "body",
    [{}, [], None, "x", {"data": None}, {"data": [7]}, {"data": [{"b64_json": 7}]}, {"data": [{}] * 101}, b"{", b"\xff", b"[" * 100_000,
     {"data": [{"url": "https://a/b.png"}], "usage": {"input_tokens": -1}}, {"data": [{"url": "https://a/b.png"}], "usage": {"input_tokens": 1e99}}],
)  # fmt: skip
def test_answers_of_another_shape_are_refused(oddity, body):
    with pytest.raises(ToolError, match="The answer of") as raised:
        oddity.ask(body)
    assert (raised.value.code, raised.value.permanent, raised.value.ambiguous) == ("bad_answer", False, True)


def test_what_an_answer_of_another_shape_says_that_it_cost_is_paid(oddity):
    with pytest.raises(ToolError) as raised:
        oddity.ask({"data": None, "usage": USAGE}, pricing=BY_TOKENS)
    assert (raised.value.ambiguous, raised.value.cost.usd) == (True, Decimal("0.0408"))


@pytest.mark.parametrize(
    ("data", "code"),
    [([], "empty_answer"), ([{}], "bad_answer"), ([{"b64_json": ""}], "bad_answer"), ([{"url": "file:///etc/passwd"}], "bad_answer"), ([{"url": "ftp://a"}], "bad_answer")],
)  # fmt: skip
def test_an_answer_without_pictures_is_an_error_with_its_cost(oddity, data, code):
    with pytest.raises(ToolError) as raised:
        oddity.ask(made(data=data, usage=USAGE), pricing=BY_TOKENS)
    assert (raised.value.code, raised.value.cost.usd) == (code, Decimal("0.0408"))
    assert raised.value.ambiguous is (code == "bad_answer")


@pytest.mark.parametrize(
    ("status", "ambiguous"), [(500, False), (409, False), (413, False), (408, True), (502, True), (504, True), (524, True)]
)
def test_an_error_is_definite_unless_a_gateway_may_have_made_it(oddity, status, ambiguous):
    with pytest.raises(ToolError) as raised:
        oddity.ask({"error": {"message": "no"}}, status=status)
    assert raised.value.ambiguous is ambiguous


def test_a_lost_answer_is_ambiguous_and_sent_with_its_key_where_that_helps(oddity):
    oddity.server.put("/v1/images/generations", drop=True)
    with pytest.raises(ToolError) as raised:
        run(
            request_for(
                "openai.image",
                {"prompt": "x"},
                config={"base_url": oddity.server.url("/v1"), "api_key_env": "", "idempotency_key_header": True},
            )
        )
    assert (raised.value.code, raised.value.ambiguous) == ("connection_lost", True)
    assert len(oddity.server.seen[-1].headers["idempotency-key"]) == 36
    oddity.ask(made())
    assert "idempotency-key" not in oddity.server.seen[-1].headers


def test_a_hostile_size_is_not_read(oddity, monkeypatch):
    monkeypatch.setattr(openai_image, "MAX_ANSWER_BYTES", 1000)
    with pytest.raises(ToolError, match="larger than 1000") as raised:
        oddity.ask(made(padding="x" * 1000))
    assert (raised.value.code, raised.value.permanent, raised.value.ambiguous) == ("too_large", True, True)


@pytest.mark.parametrize(
    "inputs", [{"n": 0}, {"n": 11}, {"size": "big"}, {"size": "1024x1024;"}, {"quality": "A B"}, {"images": []}, {"prompt": ""}]
)
def test_params_that_no_server_takes_are_refused(inputs):
    assert problems_with("openai.image", **{"prompt": "a lamp", **inputs})
