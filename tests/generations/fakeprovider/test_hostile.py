"""What strange requests do to the fake provider: they are refused in the dialect's words, or served, and nothing hangs."""

import base64
import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from generations.fakeprovider import once
from tests.fakes import Mailbox, Serving, fake_provider
from tests.processes import wait_for

MODEL = "/replicate/v1/models/a/b/predictions"
CHAT = "/openai/v1/chat/completions"
RESPONSES = "/openai/v1/responses"
SURROGATE = r'"Translate to German:\n\n\ud800 fox."'


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (30, 20), "#336699").save(out, "PNG")
    return out.getvalue()


PNG = _png()


def chat(**body: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "A fox."}], **body}


@pytest.mark.parametrize(
    ("path", "scheme", "body"),
    [
        (MODEL, "Bearer", '{"input": {"prompt": %s}, "webhook": "%s"}'),
        ("/fal/a/b", "Key", '{"prompt": %s, "also": "%s"}'),
        ("/comfydeploy/api/run/deployment/queue", "Bearer", '{"deployment_id": "d", "inputs": {"prompt": %s}, "webhook": "%s"}'),
        ("/runpod/v2/e/run", "Bearer", '{"input": {"prompt": %s}, "webhook": "%s"}'),
        (CHAT, "Bearer", '{"model": "m", "messages": [{"role": "user", "content": %s}], "user": "%s"}'),
        (RESPONSES, "Bearer", '{"model": "m", "background": true, "input": %s, "metadata": {"webhook_url": "%s"}}'),
    ],
)
def test_half_a_surrogate_pair_is_a_letter_like_others(fake: Serving, box: Mailbox, path: str, scheme: str, body: str):
    content = (body % (SURROGATE, box.url)).encode()
    told = fake.request("POST", path, content=content, scheme=scheme, headers={"Content-Type": "application/json"})
    assert told.status_code in (200, 201), told.text
    wait_for("nothing works any more", lambda: fake.control("stats")["live"] == 0)
    assert [entry["status"] for entry in fake.ledger()] == ["succeeded"]
    if path == "/fal/a/b":
        assert fake.request("GET", urlsplit(told.json()["response_url"]).path, scheme=scheme).json()["prompt"] == json.loads(SURROGATE)
    elif path != CHAT:
        assert box.wait(1)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_of_json_is_refused(fake: Serving, number: str):
    headers = {"Content-Type": "application/json"}
    told = fake.request("POST", MODEL, content=f'{{"input": {{"x": {number}}}}}'.encode(), headers=headers)
    assert (told.status_code, fake.control("stats")["accepted"]) == (400, 0)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RESPONSES, {"model": "m", "input": "A fox.", "metadata": "x"}),
        (RESPONSES, {"model": "m", "input": "A fox.", "metadata": ["x"]}),
        (CHAT, chat(metadata=7)),
        (CHAT, chat(messages=["x"])),
        (CHAT, chat(response_format={"type": "json_schema", "json_schema": "x"})),
        (CHAT, chat(response_format={"type": "json_schema", "json_schema": {"schema": {"type": "array", "minItems": "x"}}})),
        (CHAT, chat(response_format={"type": "json_schema", "json_schema": {"schema": {"type": "string", "maxLength": None}}})),
        (CHAT, chat(response_format={"type": "json_schema", "json_schema": {"schema": {"properties": 3}}})),
    ],
)
def test_what_makes_no_sense_is_refused_unbilled_in_openais_form(fake: Serving, path: str, body: dict[str, Any]):
    told = fake.request("POST", path, json=body)
    assert told.status_code == 400, told.text
    assert told.json()["error"]["message"]
    assert fake.ledger() == []


def test_a_request_by_http_1_0_needs_no_host(fake: Serving):
    where = urlsplit(fake.url)
    with socket.create_connection((where.hostname, where.port)) as connection:
        connection.sendall(f"GET /replicate/v1/account HTTP/1.0\r\nAuthorization: Bearer {fake.key}\r\n\r\n".encode())
        assert b"200 OK" in connection.recv(1000)


def test_those_who_wait_for_one_key_hear_of_its_failure_and_the_key_is_free_again(fake: Serving):
    fake.tell(latency=0.3, fail="The model broke.")
    fake.tell(latency=0.3, count=4)

    def ask(_: int) -> Any:
        return fake.request("POST", CHAT, json=chat(), headers={"Idempotency-Key": "one"})

    with ThreadPoolExecutor(5) as pool:
        told = list(pool.map(ask, range(5)))
    assert {(each.status_code, each.json()["error"]["message"]) for each in told} == {(500, "The model broke.")}
    assert fake.ledger() == []
    assert ask(0).status_code == 200


def test_a_picture_that_is_changed_twice_under_one_key_is_billed_once(fake: Serving):
    def edit(boundary: str, prompt: str) -> Any:
        parts = [('name="prompt"', prompt.encode()), ('name="image[]"; filename="a.png"\r\nContent-Type: image/png', PNG)]
        body = b"".join(f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Idempotency-Key": "one"}
        return fake.request("POST", "/openai/v1/images/edits", content=body + f"--{boundary}--\r\n".encode(), headers=headers)

    first = edit("abc", "a hat")
    assert first.status_code == 200, first.text
    assert edit("def", "a hat").json() == first.json(), "the boundary is no part of what is asked for"
    assert len(fake.ledger()) == 1
    assert edit("abc", "a coat").status_code == 400


@pytest.mark.parametrize("picture", [PNG[:60], PNG[:40] + b"x" + PNG[41:], b"GIF89a", b""], ids=["short", "broken", "other", "none"])
def test_a_picture_that_cannot_be_read_is_refused(fake: Serving, picture: bytes):
    files = {"image[]": ("a.png", picture, "image/png")}
    told = fake.request("POST", "/openai/v1/images/edits", data={"prompt": "a hat"}, files=files)
    assert (told.status_code, fake.ledger()) == (400, [])
    inputs = {"image": "data:image/png;base64," + base64.b64encode(picture).decode()}
    told = fake.request("POST", "/replicate/v1/models/a/upscaler/predictions", json={"input": inputs}, headers={"Prefer": "wait"})
    assert told.json()["status"] == "failed"


def test_answers_by_key_are_remembered_up_to_a_weight(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(once, "MAX_REMEMBERED_BYTES", 10_000)
    with fake_provider() as fake:
        for number in range(5):
            body = {"model": "gpt-image-1", "prompt": f"fox {number}", "size": "256x256"}
            told = fake.request("POST", "/openai/v1/images/generations", json=body, headers={"Idempotency-Key": str(number)})
            assert 3000 < len(told.content) < 10_000
        assert 0 < fake.control("stats")["remembered_bytes"] <= 10_000


def test_ended_jobs_are_forgotten_by_weight_the_oldest_first():
    with fake_provider(max_kept_bytes=300_000) as fake:
        told = [
            fake.request("POST", MODEL, json={"input": {"prompt": "x" * 100_000}}, headers={"Prefer": "wait"}).json()["id"]
            for _ in range(5)
        ]
        known = [fake.request("GET", f"/replicate/v1/predictions/{job}").status_code for job in told]
        assert known == [404, 404, 404, 200, 200]


def test_a_job_that_is_lost_keeps_nobody_waiting(fake: Serving):
    lost = {"input": {"x-fake-lose": True}}
    assert fake.request("POST", "/runpod/v2/e/runsync", json=lost, timeout=5).json()["status"] == "IN_QUEUE"
    body = {"model": "m", "input": "A fox.", "metadata": {"x-fake-lose": True}}
    assert fake.request("POST", RESPONSES, json=body, timeout=5).json()["status"] == "queued"
    assert fake.request("POST", MODEL, json=lost, headers={"Prefer": "wait=60"}, timeout=5).json()["status"] == "starting"


def test_a_webhook_that_cannot_be_sent_is_given_up_and_counted(fake: Serving):
    for address in ("nowhere", "http://[::1", "http://\ud800/", "ftp://x/", "http://x:99999999/"):
        content = json.dumps({"input": {}, "webhook": address}).encode()
        fake.request("POST", "/runpod/v2/e/run", content=content, headers={"Content-Type": "application/json"})
    told = wait_for("none is under way", lambda: (told := fake.control("webhooks"))["counts"].get("given_up") == 5 and told)
    assert told["under_way"] == 0


@pytest.mark.parametrize("cursor", ["-1", "x", "9" * 30])
def test_a_cursor_that_is_none_is_refused_or_past_the_end(fake: Serving, cursor: str):
    fake.request("POST", MODEL, json={"input": {}})
    told = fake.request("GET", f"/replicate/v1/predictions?cursor={cursor}")
    assert told.status_code == 400 or told.json()["results"] == []
