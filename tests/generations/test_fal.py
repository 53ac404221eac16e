"""fal against aimock and the fake provider, which others wrote or fal's own client accepts, and against a hostile server."""

import base64
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from generations.tools import registry
from generations.tools.contract import Delivery, Lost, Progress, RemoteFile, Result, Submitted, ToolError
from tests.fakes import fake_provider, mailbox
from tests.peers.aimock import aimock
from tests.processes import wait_for

from .test_replicate import noise
from .toolbox import ask, awaited, keep, picture, problems_with, request_for
from .website import website

KEY = "id:secret"
APP = {"application": "fal-ai/flux/schnell"}
SECONDS = {"per_second": "0.0005"}
FOX: dict[str, Any] = {"images": [{"url": "https://fal.media/1.png", "width": 1000, "height": 500, "content_type": "image/png"}], "seed": 1}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("FAL_KEY", KEY)


@pytest.fixture
def site():
    with website() as server:
        yield server


@pytest.fixture(scope="module")
def fake():
    with fake_provider(keys=frozenset({KEY})) as serving:
        yield serving


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    fixtures = [
        {"match": {"userMessage": "a fox"}, "response": {"json": FOX, "billableUnits": 3}},
        {
            "match": {"userMessage": "throttle"},
            "response": {"error": {"message": "Slow down.", "type": "x"}, "status": 429, "retryAfter": 7},
        },
    ]
    with aimock(fixtures, folder=tmp_path_factory.mktemp("aimock"), key=KEY) as server:
        yield server


def request_to(url: str, *, config=None, pricing=SECONDS, given=None, **more):
    settings = {"base_url": url, **APP, "webhook_keys_url": "", **(config or {})}
    return request_for("fal", {"input": given or {}}, config=settings, pricing=pricing, **more)


def with_handle(request, submitted: Submitted):
    """Return the request as the engine makes it for a job: with the handle that its submission left."""
    return replace(request, job_handle=submitted.handle)


def finished(request, submitted: Submitted):
    request, answers = with_handle(request, submitted), []

    def has_ended():
        answers.append(ask(request, "poll", submitted.job_id))
        return not isinstance(answers[-1], Progress)

    wait_for("the request ends", has_ended)
    return answers[-1]


# Against aimock


def at_peer(peer, **more):
    config = {"headers": {"x-fal-target-host": "queue.fal.run"}, **more.pop("config", {})}
    return request_to(f"{peer.url}/fal", config=config, **more)


def test_aimock_takes_a_request_and_gives_its_result(peer):
    request = at_peer(peer, given={"prompt": "a fox", "seed": 1}, pricing={"per_unit": "0.01"})
    submitted = ask(request, "run")
    assert isinstance(submitted, Submitted)
    result = finished(request, submitted)
    (file,) = result.output["files"]
    assert file == RemoteFile(url="https://fal.media/1.png", mime_type="image/png")
    assert result.output["output"]["images"][0] == {**FOX["images"][0], "url": file}
    assert (result.output["image"], result.output["output"]["seed"]) == (file, 1)
    assert result.cost.usd == Decimal("0.03")
    assert result.cost.basis == {"unit": "unit", "quantity": "3", "price": "0.01", "table": 1}
    ask(with_handle(request, submitted), "cancel", submitted.job_id)


def test_aimock_names_addresses_of_fal_which_get_no_key_of_ours(peer):
    submitted = ask(at_peer(peer, given={"prompt": "a fox"}), "run")
    assert submitted.handle["status_url"] == f"fal-ai/flux/requests/{submitted.job_id}/status"


def test_aimock_asks_for_patience(peer):
    with pytest.raises(ToolError, match=r"Slow down\.") as raised:
        ask(at_peer(peer, given={"prompt": "throttle"}), "run")
    assert (raised.value.code, raised.value.retry_after) == ("rate_limited", 7.0)


def test_aimock_knows_no_such_request(peer):
    request = at_peer(peer)
    assert isinstance(ask(request, "poll", "nobody"), Lost)
    ask(request, "cancel", "nobody")


# Against the fake provider


def at(fake, **more):
    return request_to(f"{fake.url}/fal", **more)


def test_a_request_is_submitted_asked_for_and_charged(fake):
    request = at(fake, given={"prompt": "a fox", "num_images": 2})
    submitted = ask(request, "run")
    assert submitted.handle["status_url"] == f"{fake.url}/fal/fal-ai/flux/requests/{submitted.job_id}/status"
    result = finished(request, submitted)
    assert len(result.output["files"]) == 2
    assert [each["url"] for each in result.output["output"]["images"]] == result.output["files"]
    (entry,) = [entry for entry in fake.ledger() if entry["id"] == submitted.job_id]
    assert abs(result.cost.usd - Decimal(entry["usd"])) < Decimal("1e-9")
    assert result.cost.basis["unit"] == "second"


def test_a_request_at_work_tells_its_stage_and_its_percentage(fake):
    request = at(fake, given={"prompt": "a fox", "x-fake-latency": 0.6})
    submitted = ask(request, "run")
    request, seen = with_handle(request, submitted), []

    def has_ended():
        seen.append(ask(request, "poll", submitted.job_id))
        return not isinstance(seen[-1], Progress)

    wait_for("the request ends", has_ended)
    stages = {each.stage for each in seen[:-1]}
    assert stages <= {"in queue, 0 before it", "in progress"}
    assert [each.percent for each in seen[:-1] if each.percent is not None]


def test_files_go_in(fake):
    stored = keep(picture(width=40, height=30))
    request = at(
        fake,
        config={"application": "fal-ai/upscaler"},
        given={"image_url": stored.reference()},
        readable={stored.id: stored},
    )
    assert finished(request, ask(request, "run")).output["image"].mime_type == "image/png"


def test_a_request_that_failed_is_told_in_words_and_may_be_tried_again(fake):
    request = at(fake, given={"prompt": "a fox", "x-fake-fail": "CUDA out of memory"})
    error = finished(request, ask(request, "run"))
    assert isinstance(error, ToolError)
    assert (error.message, error.code, error.permanent) == ("The model failed: CUDA out of memory", "job_failed", False)
    assert error.cost is None


def test_a_request_is_cancelled_and_that_twice(fake):
    request = at(fake, given={"prompt": "a fox", "x-fake-hold": True})
    submitted = ask(request, "run")
    for _ in range(2):
        assert ask(with_handle(request, submitted), "cancel", submitted.job_id) is None
    error = ask(with_handle(request, submitted), "poll", submitted.job_id)
    assert (error.code, error.permanent) == ("job_cancelled", True)


def test_a_request_that_is_gone_is_lost(fake):
    request = at(fake, given={"prompt": "a fox", "x-fake-lose": True})
    submitted = ask(request, "run")
    assert isinstance(ask(with_handle(request, submitted), "poll", submitted.job_id), Lost)


@pytest.mark.parametrize(
    ("rule", "code", "ambiguous"),
    [
        ({"status": 429}, "rate_limited", False),
        ({"status": 503}, "provider_error", False),
        ({"status": 409}, "conflict", False),
        ({"status": 422}, "rejected", False),
        ({"drop": "after"}, "connection_lost", True),
        ({"garbage": True}, "bad_answer", True),
    ],
    ids=str,
)
def test_a_submission_that_fails(fake, rule, code, ambiguous):
    prompt = f"a fox and {rule}"
    fake.tell(dialect="fal", match=prompt, **rule)
    with pytest.raises(ToolError) as raised:
        ask(at(fake, given={"prompt": prompt}), "run")
    assert (raised.value.code, raised.value.ambiguous) == (code, ambiguous)


def test_a_wrong_key_is_told(fake, monkeypatch):
    monkeypatch.setenv("FAL_KEY", "wrong")
    with pytest.raises(ToolError, match="Invalid API key") as raised:
        ask(at(fake), "run")
    assert (raised.value.code, raised.value.permanent) == ("unauthorized", True)


@pytest.mark.parametrize(("pricing", "is_told"), [({"per_image": "0.003"}, True), (SECONDS, False), ({"per_unit": "1"}, False)])
def test_a_webhook_is_verified_and_read_unless_it_leaves_out_what_is_charged(fake, pricing, is_told):
    with mailbox() as box:
        request = at(fake, given={"prompt": "a fox"}, callback_url=box.url, pricing=pricing)
        submitted = ask(request, "run")
        (received,) = box.wait(1)
    keys_url = f"{fake.url}/fal/.well-known/jwks.json"
    delivery = Delivery(tool="fal", config={**APP, "webhook_keys_url": keys_url}, headers=received.headers, body=received.body)
    assert awaited(registry.get("fal").verify_callback(delivery)) == submitted.job_id
    told = ask(with_handle(request, submitted), "read_callback", received.json)
    if is_told:
        assert isinstance(told, Result)
        assert (len(told.output["files"]), told.cost.usd) == (1, Decimal("0.003"))
    else:
        assert told is None


def test_a_webhook_of_a_failure(fake):
    with mailbox() as box:
        request = at(fake, given={"prompt": "a fox", "x-fake-fail": "CUDA"}, callback_url=box.url, pricing={})
        ask(request, "run")
        (received,) = box.wait(1)
    error = ask(request, "read_callback", received.json)
    assert (error.message, error.permanent) == ("The model failed: CUDA", False)


# What a server may say

PLACE = {"request_id": "r1", "status": "IN_QUEUE"}


def submit(site, answer=None, **more):
    if answer is not None:
        site.put("/fal-ai/flux/schnell", answer)
    return ask(request_to(site.url(""), **more), "run")


def poll(site, status, response=None, *, response_status=200, headers=None, **more):
    site.put("/fal-ai/flux/requests/r1/status?logs=1", status)
    if response is not None:
        site.put("/fal-ai/flux/requests/r1", response, status=response_status, headers=headers or {})
    return ask(request_to(site.url(""), **more), "poll", "r1")


def test_what_is_sent(site):
    site.put("/fal-ai/flux/schnell?fal_webhook=https%3A%2F%2Fa.test%2Fcb%2F", PLACE)
    request = request_to(
        site.url(""), given={"prompt": "a fox"}, callback_url="https://a.test/cb/", deadline_seconds=90.5, config={"poll_seconds": 7}
    )
    submitted = ask(request, "run")
    home = "fal-ai/flux/requests/r1"
    handle = {"request_id": "r1", "response_url": home, "status_url": f"{home}/status", "cancel_url": f"{home}/cancel"}
    assert submitted == Submitted(job_id="r1", poll_after=7, handle=handle)
    (sent,) = site.seen
    assert parse_qs(urlsplit(sent.path).query) == {"fal_webhook": ["https://a.test/cb/"]}
    assert sent.headers["authorization"] == f"Key {KEY}"
    assert (sent.headers["x-fal-request-timeout"], sent.headers["x-fal-queue-priority"], sent.headers["x-fal-no-retry"]) == (
        "90",
        "normal",
        "1",
    )
    assert json.loads(sent.body) == {"prompt": "a fox"}


def test_fal_may_be_let_to_try_again(site):
    submit(site, PLACE, config={"provider_retries": True, "priority": "low"})
    (sent,) = site.seen
    assert "x-fal-no-retry" not in sent.headers
    assert sent.headers["x-fal-queue-priority"] == "low"


@pytest.mark.parametrize(
    ("application", "home"),
    [("fal-ai/flux", "fal-ai/flux"), ("fal-ai/flux/dev/image-to-image", "fal-ai/flux"), ("workflows/me/story/x", "workflows/me/story")],
)
def test_requests_stand_below_their_app(site, application, home):
    site.put(f"/{application}", PLACE)
    assert submit(site, config={"application": application}).handle["response_url"] == f"{home}/requests/r1"


def test_addresses_of_the_queue_are_kept_and_those_of_strangers_are_not(site):
    with website("127.0.0.2") as other, website("127.0.0.3") as known:
        strange = {name: other.url(f"/{name}", host="127.0.0.2") for name in ("status_url", "cancel_url")}
        named = known.url("/response", host="127.0.0.3")
        origin = known.url("", host="127.0.0.3")
        submitted = submit(site, {**PLACE, **strange, "response_url": named}, config={"origins": [origin]})
        assert submitted.handle["response_url"] == named
        assert submitted.handle["status_url"] == "fal-ai/flux/requests/r1/status"
        known.put("/response", FOX)
        site.put("/fal-ai/flux/requests/r1/status?logs=1", {"status": "COMPLETED"})
        request = with_handle(request_to(site.url(""), config={"origins": [origin]}), submitted)
        assert isinstance(ask(request, "poll", "r1"), Result)
        assert known.seen[0].headers["authorization"] == f"Key {KEY}"
        forged = {**submitted.handle, "status_url": strange["status_url"]}
        with pytest.raises(ToolError) as raised:
            ask(with_handle(request, Submitted(job_id="r1", handle=forged)), "poll", "r1")
        assert raised.value.code == "bad_answer"
        assert other.seen == []


def test_larger_files_are_uploaded_without_the_key(site):
    with website("127.0.0.2") as shelf:
        put_url = shelf.put("/put?signed=1")
        shelf.pages["/put?signed=1"].body = b"ok"
        site.put(
            "/storage/upload/initiate?storage_type=gcs",
            {"upload_url": shelf.url("/put?signed=1", host="127.0.0.2"), "file_url": "https://fal.media/x.png"},
        )
        large = keep(noise(400, 400))
        config = {"storage_url": site.url(""), "allow_private_addresses": True}
        submit(site, PLACE, given={"image_url": large.reference()}, readable={large.id: large}, config=config)
        assert put_url
        (put,) = shelf.seen
    assert (put.method, put.body, put.headers["content-type"]) == ("PUT", noise(400, 400), "image/png")
    assert "authorization" not in put.headers
    initiate, sent = site.seen
    assert json.loads(initiate.body) == {"file_name": f"{large.id}.png", "content_type": "image/png"}
    assert json.loads(sent.body) == {"image_url": "https://fal.media/x.png"}


def test_without_a_storage_all_files_go_along(site):
    large = keep(noise(400, 400))
    submit(site, PLACE, given={"image_url": large.reference()}, readable={large.id: large}, config={"storage_url": ""})
    (sent,) = site.seen
    assert json.loads(sent.body)["image_url"] == "data:image/png;base64," + base64.b64encode(noise(400, 400)).decode()


@pytest.mark.parametrize(
    "answer", [{}, [], b"no", {"upload_url": 3, "file_url": "x"}, {"upload_url": "http://127.0.0.1:1/", "file_url": "x"}], ids=str
)
def test_an_upload_that_failed_leaves_nothing_open(site, answer):
    site.put("/storage/upload/initiate?storage_type=gcs", answer)
    large = keep(noise(400, 400))
    with pytest.raises(ToolError) as raised:
        submit(site, PLACE, given={"i": large.reference()}, readable={large.id: large}, config={"storage_url": site.url("")})
    assert raised.value.ambiguous is False
    assert len(site.seen) == 1


@pytest.mark.parametrize(
    ("pricing", "headers", "usd"),
    [
        (SECONDS, {}, "0.00175"),
        ({"per_image": "0.003"}, {}, "0.006"),
        ({"per_call": "0.05"}, {}, "0.05"),
        ({"per_megapixel": "0.01"}, {}, "0.0075"),
        ({"per_unit": "0.1"}, {"x-fal-billable-units": "2.5"}, "0.25"),
        ({"per_unit": "0.1"}, {"x-fal-billable-units": "many"}, None),
        ({"per_unit": "0.1"}, {}, None),
        ({}, {}, None),
    ],
    ids=str,
)
def test_cost(site, pricing, headers, usd):
    output = {
        "images": [
            {"url": "https://fal.media/1.png", "width": 1000, "height": 500},
            {"url": "https://fal.media/2.png", "width": 500, "height": 500},
            {"width": 9, "height": 9},
            {"url": "https://fal.media/1.png", "width": "wide"},
        ]
    }
    cost = poll(site, {"status": "COMPLETED", "metrics": {"inference_time": 3.5}}, output, headers=headers, pricing=pricing).cost
    assert (cost and cost.usd) == (usd and Decimal(usd))


IMAGES = {"per_image": "0.003"}


@pytest.mark.parametrize(
    ("config", "output", "pricing"),
    [
        ({"keep_files": False}, FOX, IMAGES),
        ({"keep_files": False}, FOX, {**IMAGES, "per_call": "1"}),
        ({"keep_files": False}, {"images": [{"url": "data:image/png;base64,iVBORw0KGgo="}, FOX["images"][0]]}, IMAGES),
        ({"file_hosts": ["cdn.test"]}, FOX, IMAGES),
        ({}, {"text": "none"}, IMAGES),
        ({}, {"text": "none"}, {"per_megapixel": "0.01", "per_call": "1"}),
    ],
    ids=str,
)
def test_files_that_nobody_counted_make_the_cost_unknown_not_nothing(site, config, output, pricing):
    assert poll(site, {"status": "COMPLETED"}, output, config=config, pricing=pricing).cost is None
    counted = poll(site, {"status": "COMPLETED"}, output, config=config, pricing={"per_call": "1"})
    assert counted.cost.usd == 1


def test_a_time_that_was_not_told_is_not_left_out_of_the_sum(site):
    assert poll(site, {"status": "COMPLETED"}, FOX, pricing={**SECONDS, "per_call": "1"}).cost is None


@pytest.mark.parametrize("metrics", [None, [], {}, {"inference_time": None}, {"inference_time": -3}, {"inference_time": "long"}], ids=str)
def test_a_time_that_was_not_told_is_not_charged(site, metrics):
    assert poll(site, {"status": "COMPLETED", "metrics": metrics}, FOX).cost is None


@pytest.mark.parametrize(
    ("status", "progress"),
    [
        ({"status": "IN_QUEUE", "queue_position": 4}, Progress(stage="in queue, 4 before it", poll_after=3)),
        ({"status": "IN_QUEUE", "queue_position": "x"}, Progress(stage="in queue", poll_after=3)),
        ({"status": "IN_PROGRESS", "logs": None}, Progress(stage="in progress", poll_after=3)),
        (
            {"status": "IN_PROGRESS", "logs": [{"message": "10%|#"}, {"message": "40%|##"}]},
            Progress(percent=40, stage="in progress", poll_after=3),
        ),
        ({"status": "IN_PROGRESS", "logs": ["40%|##", {"message": 3}, {}]}, Progress(stage="in progress", poll_after=3)),
        ({"status": "IN_PROGRESS", "logs": {"a": 1}}, Progress(stage="in progress", poll_after=3)),
    ],
    ids=str,
)
def test_progress(site, status, progress):
    assert poll(site, status) == progress


def test_an_unknown_status_is_told_and_taken_for_work(site, caplog):
    assert poll(site, {"status": "PONDERING"}) == Progress(stage="pondering", poll_after=3)
    assert "unknown status of a fal request: PONDERING" in caplog.text


FAULT = {"detail": [{"loc": ["body", "image", 0], "msg": "too small", "type": "image_too_small"}]}
OWN_FAULT = {"detail": [{"loc": ["body"], "msg": "CUDA", "type": "internal_server_error"}]}


@pytest.mark.parametrize(
    ("status", "body", "opinion", "told"),
    [
        (422, FAULT, "", ("image.0: too small", True)),
        (422, FAULT, "true", ("image.0: too small", False)),
        (422, OWN_FAULT, "", ("CUDA", False)),
        (500, OWN_FAULT, "", ("CUDA", False)),
        (500, {"detail": "Died"}, "true", ("Died", False)),
        (500, {"detail": "Died"}, "false", ("Died", True)),
        (400, {"detail": "Bad"}, "", ("Bad", True)),
        (504, {"detail": "Timed out", "error_type": "request_timeout"}, "", ("Timed out", False)),
        (422, {"detail": []}, "", ("it does not say why", True)),
        (422, {"detail": ["a", 3, {"msg": "b"}]}, "", ("a; 3; b", True)),
        (422, {"detail": "x" * 5000}, "", ("x" * 1000, True)),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_error_in_place_of_an_output_is_the_requests_own(site, status, body, opinion, told):
    headers = {"x-fal-retryable": opinion} if opinion else {}
    error = poll(site, {"status": "COMPLETED"}, body, response_status=status, headers=headers)
    assert isinstance(error, ToolError)
    assert (error.message, error.permanent, error.code) == (f"The model failed: {told[0]}", told[1], "job_failed")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (429, {"detail": "Slow down"}, "rate_limited"),
        (401, {"detail": "Who?"}, "unauthorized"),
        (502, b"<html>", "provider_error"),
        (503, {}, "provider_error"),
        (500, {"detail": "Internal Server Error"}, "provider_error"),
        (502, {"detail": "Bad Gateway"}, "provider_error"),
        (503, {"detail": []}, "provider_error"),
        (504, {"detail": ["upstream timed out"]}, "provider_error"),
    ],
    ids=str,
)
def test_a_refusal_of_the_queue_says_nothing_of_the_request(site, status, body, code):
    with pytest.raises(ToolError) as raised:
        poll(site, {"status": "COMPLETED"}, body, response_status=status)
    assert (raised.value.code, raised.value.ambiguous) == (code, False)


@pytest.mark.parametrize("header", ["x-fal-error-type", "x-fal-retryable"])
def test_a_text_is_the_models_word_where_fal_says_so(site, header):
    headers = {header: {"x-fal-error-type": "internal_error", "x-fal-retryable": "true"}[header]}
    error = poll(site, {"status": "COMPLETED"}, {"detail": "Died"}, response_status=500, headers=headers)
    assert (error.code, error.message, error.permanent) == ("job_failed", "The model failed: Died", False)


def test_an_output_that_is_gone_is_lost(site):
    assert isinstance(poll(site, {"status": "COMPLETED"}), Lost)


@pytest.mark.parametrize(
    ("told", "message", "code", "permanent"),
    [
        ({"error": "Runner died", "error_type": "runner_disconnected"}, "The model failed: Runner died", "job_failed", False),
        ({"error": "Runner died"}, "The model failed: Runner died", "job_failed", False),
        ({"error": {"detail": "Odd"}, "error_type": 3}, "The model failed: Odd", "job_failed", False),
        ({"error": "No", "error_type": "bad_request"}, "The model failed: No", "job_failed", True),
        ({"error": "x", "error_type": "client_cancelled"}, "The request was cancelled at the provider.", "job_cancelled", True),
    ],
    ids=str,
)
def test_completed_is_not_succeeded(site, told, message, code, permanent):
    error = poll(site, {"status": "COMPLETED", **told})
    assert (error.message, error.code, error.permanent) == (message, code, permanent)


@pytest.mark.parametrize(
    "answer",
    [b"no json", b"", [], {}, {"request_id": 3}, {"request_id": "../x"}, {"request_id": "r" * 300}],
    ids=lambda value: str(value)[:30],
)
def test_a_submission_that_is_answered_in_no_known_way_may_have_begun(site, answer):
    with pytest.raises(ToolError) as raised:
        submit(site, answer)
    assert (raised.value.code, raised.value.ambiguous) == ("bad_answer", True)


@pytest.mark.parametrize("answer", [b"no json", [], {}, {"status": 3}], ids=str)
def test_a_status_that_cannot_be_read_is_asked_for_again(site, answer):
    with pytest.raises(ToolError) as raised:
        poll(site, answer)
    assert (raised.value.code, raised.value.ambiguous, raised.value.permanent) == ("bad_answer", False, False)


def test_an_output_that_is_no_json_is_asked_for_again(site):
    with pytest.raises(ToolError) as raised:
        poll(site, {"status": "COMPLETED"}, b"no json")
    assert (raised.value.code, raised.value.permanent) == ("bad_answer", False)


def test_an_output_that_is_too_large_is_not_read(site):
    with pytest.raises(ToolError) as raised:
        poll(site, {"status": "COMPLETED"}, {"text": "x" * (21 * 2**20)})
    assert raised.value.code == "too_large"


@pytest.mark.parametrize(
    ("status", "body", "is_error"),
    [
        (202, {"status": "CANCELLATION_REQUESTED"}, False),
        (400, {"status": "ALREADY_COMPLETED"}, False),
        (404, {"status": "NOT_FOUND"}, False),
        (400, {"detail": "Bad"}, True),
        (500, {}, True),
    ],
)
def test_cancelling_what_has_ended_is_no_error(site, status, body, is_error):
    site.put("/fal-ai/flux/requests/r1/cancel", body, status=status)
    if is_error:
        with pytest.raises(ToolError):
            ask(request_to(site.url("")), "cancel", "r1")
    else:
        ask(request_to(site.url("")), "cancel", "r1")
    assert site.seen[0].method == "PUT"


def test_a_request_without_a_known_id_cannot_be_looked_up(site):
    told = ask(request_to(site.url("")), "poll", "")
    assert (told.code, told.ambiguous, site.seen) == ("no_lookup", True, [])


@pytest.mark.parametrize(
    "payload",
    [
        {"request_id": "r2", "status": "OK", "payload": FOX},
        {"request_id": "r1", "status": "OK", "payload": None, "payload_error": "too large"},
        {"request_id": "r1", "status": "OK"},
        {"request_id": "r1", "status": "OK", "payload": None},
        {"request_id": "r1", "status": "PONDERING"},
    ],
    ids=str,
)
def test_a_webhook_that_does_not_tell_is_a_hint(payload):
    request = request_to("http://127.0.0.1:1", pricing={}, job_handle={"request_id": "r1"})
    assert ask(request, "read_callback", payload) is None


@pytest.mark.parametrize("payload", [[], "x", None, {}, {"request_id": "r1"}, {"request_id": 3, "status": "OK"}], ids=str)
def test_a_webhook_of_another_shape_is_an_error(payload):
    with pytest.raises(ToolError) as raised:
        ask(request_to("http://127.0.0.1:1", pricing={}), "read_callback", payload)
    assert raised.value.code == "bad_answer"


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"application": "flux"}, "config.application"),
        ({"application": "a/../b c"}, "config.application"),
        ({"origins": ["https://a.test/path"]}, "config.origins[0]"),
        ({"webhook_keys_url": "keys"}, "config.webhook_keys_url"),
        ({"priority": "high"}, "config.priority"),
        ({"headers": {"A b": "x"}}, "config.headers"),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_told_with_its_place(site, config, place):
    with pytest.raises(ToolError) as raised:
        submit(site, config=config)
    assert raised.value.code == "bad_config"
    assert place in raised.value.message


def test_a_gateways_headers_may_be_secret(site, monkeypatch):
    monkeypatch.setenv("GATE_KEY", "s3cret")
    submit(site, PLACE, config={"headers": {"X-Gate": {"env": "GATE_KEY"}, "X-Plain": "yes"}})
    (sent,) = site.seen
    assert (sent.headers["x-gate"], sent.headers["x-plain"], sent.headers["authorization"]) == ("s3cret", "yes", f"Key {KEY}")


def test_inputs_must_be_an_object():
    assert problems_with("fal", input=["a"]) == ["params.input"]
