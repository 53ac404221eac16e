"""replicate against the fake provider, which Replicate's own client accepts, and against a server that answers as badly as it can."""

import asyncio
import base64
import io
import json
import random
from dataclasses import replace
from decimal import Decimal

import httpx2
import pytest
from PIL import Image

from generations import keeping
from generations.tools import registry
from generations.tools.contract import CallbackRefusedError, Cost, Delivery, Lost, Progress, RemoteFile, Result, Submitted, ToolError
from generations.tools.provider_api import ProviderApi
from generations.tools.replicate import takes
from spells.models.tool import Recovery
from tests.fakes import fake_provider, mailbox
from tests.processes import wait_for

from .toolbox import ask, keep, picture, problems_with, request_for
from .website import Page, website

KEY = "r8-token"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRICES = {"per_second": "0.00115"}
MODEL = {"model": "black-forest-labs/flux-schnell"}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("REPLICATE_API_TOKEN", KEY)
    monkeypatch.setenv("HOOK_SECRET", SECRET)


@pytest.fixture
def site():
    with website() as server:
        yield server


@pytest.fixture(scope="module")
def fake():
    with fake_provider(keys=frozenset({KEY})) as serving:
        yield serving


def request_to(url: str, *, config=None, pricing=PRICES, readable=None, timeout_seconds=10, slug="replicate", given=None, **more):
    settings = {"base_url": url, **(MODEL if slug == "replicate" else {"submit": "put", "api_key_env": ""}), **(config or {})}
    settings = {name: value for name, value in settings.items() if value is not None}
    return request_for(
        slug, {"input": given or {}}, config=settings, pricing=pricing, readable=readable, timeout_seconds=timeout_seconds, **more
    )


def finished(request, submitted: Submitted):
    """Ask for a job until it has ended."""
    answers = []

    def has_ended():
        answers.append(ask(request, "poll", submitted.job_id))
        return not isinstance(answers[-1], Progress)

    wait_for("the prediction ends", has_ended)
    return answers[-1]


def at(fake, **more):
    return request_to(f"{fake.url}/replicate/v1", **more)


def test_a_prediction_is_submitted_asked_for_and_charged(fake):
    request = at(fake, given={"prompt": "a fox"})
    submitted = ask(request, "run")
    assert isinstance(submitted, Submitted)
    result = finished(request, submitted)
    (file,) = result.output["files"]
    assert result.output == {"output": [file], "files": [file], "file": file, "image": file}
    assert file.url.startswith(fake.url)
    (entry,) = [entry for entry in fake.ledger() if entry["id"] == submitted.job_id]
    assert result.cost.usd == Cost(usd=Decimal(entry["usd"])).usd
    assert result.cost.basis["unit"] == "second"


def test_by_version_and_by_deployment(fake):
    for config in ({"model": None, "version": "a" * 64}, {"model": None, "deployment": "house/painter"}):
        request = at(fake, config=config, given={"prompt": "a fox"})
        assert isinstance(finished(request, ask(request, "run")), Result)


def test_a_quick_model_may_be_waited_for(fake):
    result = ask(at(fake, config={"wait_seconds": 5}, given={"prompt": "a fox"}), "run")
    assert isinstance(result, Result)
    assert len(result.output["files"]) == 1


def test_waiting_may_end_before_the_prediction(fake):
    request = at(fake, config={"wait_seconds": 1}, given={"prompt": "a fox", "x-fake-latency": 1.5})
    submitted = ask(request, "run")
    assert isinstance(submitted, Submitted)
    assert isinstance(finished(request, submitted), Result)


def test_progress_is_read_from_the_logs(fake):
    request = at(fake, given={"prompt": "a fox", "x-fake-latency": 0.6})
    submitted = ask(request, "run")
    seen: list[Progress] = []

    def goes_on():
        told = ask(request, "poll", submitted.job_id)
        if isinstance(told, Progress):
            seen.append(told)
        return isinstance(told, Result)

    wait_for("the prediction ends", goes_on)
    percents = [progress.percent for progress in seen if progress.percent is not None]
    assert percents
    assert percents == sorted(percents)
    assert {progress.stage for progress in seen} <= {"starting", "processing"}


def test_a_text_in_pieces_stays_as_it_is(fake):
    request = at(fake, config={"model": "meta/meta-llama-3-8b-instruct"}, given={"prompt": "Tell a story."})
    result = finished(request, ask(request, "run"))
    assert result.output["files"] == []
    assert all(isinstance(piece, str) for piece in result.output["output"])


def test_a_small_file_goes_along_as_text_and_a_large_one_is_uploaded(fake):
    for data in (picture(width=40, height=30), noise(400, 400)):
        stored = keep(data)
        request = at(
            fake,
            config={"model": "nightmareai/real-upscaler"},
            given={"image": stored.reference(), "scale": 2},
            readable={stored.id: stored},
        )
        result = finished(request, ask(request, "run"))
        assert result.output["image"].url.startswith(fake.url)


def test_a_failed_prediction_has_its_words_and_its_cost(fake):
    request = at(fake, given={"prompt": "a fox", "x-fake-fail": "CUDA out of memory"})
    error = finished(request, ask(request, "run"))
    assert isinstance(error, ToolError)
    assert (error.message, error.code, error.permanent) == ("The model failed: CUDA out of memory", "job_failed", False)
    assert error.cost.usd > 0


def test_a_prediction_is_cancelled_and_that_twice(fake):
    request = at(fake, given={"prompt": "a fox", "x-fake-hold": True})
    submitted = ask(request, "run")
    wait_for("it has begun", lambda: ask(request, "poll", submitted.job_id).stage == "processing")
    for _ in range(2):
        assert ask(request, "cancel", submitted.job_id) is None
    error = ask(request, "poll", submitted.job_id)
    assert isinstance(error, ToolError)
    assert (error.code, error.permanent) == ("job_cancelled", True)


def test_a_prediction_that_is_gone_is_lost(fake):
    request = at(fake, given={"prompt": "a fox", "x-fake-lose": True})
    submitted = ask(request, "run")
    lost = ask(request, "poll", submitted.job_id)
    assert isinstance(lost, Lost)
    assert submitted.job_id in lost.message
    assert ask(request, "cancel", submitted.job_id) is None


def test_the_deadline_goes_along(fake):
    request = at(fake, given={"prompt": "a fox", "x-fake-hold": True}, deadline_seconds=5.9)
    submitted = ask(request, "run")
    error = finished(request, submitted)
    assert (error.code, error.message) == ("job_cancelled", "The prediction was cancelled at the provider.")


@pytest.mark.parametrize(
    ("rule", "code", "flags"),
    [
        ({"status": 429, "retry_after": 2}, "rate_limited", {"permanent": False, "retry_after": 2.0, "ambiguous": False}),
        ({"status": 503}, "provider_error", {"permanent": False, "outage": True, "ambiguous": False}),
        ({"status": 409}, "conflict", {"permanent": False, "ambiguous": False}),
        ({"drop": "after"}, "connection_lost", {"ambiguous": True}),
        ({"garbage": True}, "bad_answer", {"ambiguous": True}),
    ],
    ids=str,
)
def test_a_submission_that_fails(fake, rule, code, flags):
    prompt = f"a fox and {rule}"
    fake.tell(dialect="replicate", match=prompt, **rule)
    with pytest.raises(ToolError) as raised:
        ask(at(fake, given={"prompt": prompt}), "run")
    assert raised.value.code == code
    assert {name: getattr(raised.value, name) for name in flags} == flags


def test_a_wrong_key_is_told_in_replicates_words(fake, monkeypatch):
    monkeypatch.setenv("REPLICATE_API_TOKEN", "wrong")
    with pytest.raises(ToolError, match="You did not pass a valid authentication token") as raised:
        ask(at(fake), "run")
    assert (raised.value.code, raised.value.permanent) == ("unauthorized", True)


def test_webhooks_are_verified_and_read(fake, monkeypatch):
    monkeypatch.setenv("FAKE_SECRET", fake.settings.webhook_secret)
    adapter = registry.get("replicate")
    with mailbox() as box:
        request = at(fake, config={"webhook_events": ["start", "completed"]}, given={"prompt": "a fox"}, callback_url=box.url)
        submitted = ask(request, "run")
        received = box.wait(2)
    assert {each.json["id"] for each in received} == {submitted.job_id}
    told = {each.json["status"]: ask(request, "read_callback", each.json) for each in received}
    assert isinstance(told["succeeded"], Result)
    assert [type(answer) for status, answer in told.items() if status != "succeeded"] == [Progress]
    for each in received:
        good = Delivery(tool="replicate", config=signed_by("FAKE_SECRET"), headers=each.headers, body=each.body)
        assert adapter.verify_callback(good) == each.headers["webhook-id"]
        for bad in (replace(good, config=signed_by("HOOK_SECRET")), replace(good, body=each.body + b" ")):
            with pytest.raises(CallbackRefusedError):
                adapter.verify_callback(bad)


@pytest.mark.parametrize("output", [{}, {"output": None}], ids=str)
def test_a_webhook_of_a_success_without_its_output_is_but_a_hint(output):
    request = request_to("http://127.0.0.1:1")
    assert ask(request, "read_callback", {"id": "p1", "status": "succeeded", "metrics": {"predict_time": 1}, **output}) is None
    assert isinstance(ask(request, "read_callback", {"id": "p1", "status": "failed", **output}), ToolError)


def signed_by(secret_env: str):
    return {**MODEL, "webhook_secret_env": secret_env}


def test_without_a_secret_the_address_is_what_shows_a_webhook_genuine():
    delivery = Delivery(tool="replicate", config=MODEL, headers={"webhook-id": "msg_1"}, body=b"{}")
    assert registry.get("replicate").verify_callback(delivery) == ""


def noise(width: int, height: int) -> bytes:
    """Return a picture that no compression makes small."""
    out = io.BytesIO()
    Image.frombytes("RGB", (width, height), random.Random(7).randbytes(width * height * 3)).save(out, "PNG")
    return out.getvalue()


# What a server may say


def prediction(**told):
    return {"id": "p1", "status": "succeeded", "output": None, "error": None, "logs": "", **told}


def submit(site, answer=None, **more):
    """Submit to a server that answers as told; a page that was put before stays."""
    if answer is not None:
        site.put("/models/black-forest-labs/flux-schnell/predictions", answer, status=201)
    return ask(request_to(site.url(""), **more), "run")


def poll(site, answer, **more):
    site.put("/predictions/p1", answer)
    return ask(request_to(site.url(""), **more), "poll", "p1")


def test_what_is_sent(site):
    submitted = submit(
        site,
        prediction(status="starting"),
        config={"wait_seconds": 60, "poll_seconds": 7},
        given={"prompt": "a fox", "seed": 3, "nested": [{"flag": False}]},
        callback_url="http://grimoire.test/callback",
        deadline_seconds=90.5,
    )
    assert submitted == Submitted(job_id="p1", poll_after=7)
    (sent,) = site.seen
    assert (sent.method, sent.headers["authorization"]) == ("POST", f"Bearer {KEY}")
    assert (sent.headers["prefer"], sent.headers["cancel-after"]) == ("wait=5", "90s")
    assert json.loads(sent.body) == {
        "input": {"prompt": "a fox", "seed": 3, "nested": [{"flag": False}]},
        "webhook": "http://grimoire.test/callback",
        "webhook_events_filter": ["completed"],
    }


def test_nothing_is_waited_for_and_nobody_called_back_unless_it_was_asked_for(site):
    submit(site, prediction(status="starting"), deadline_seconds=10**7)
    (sent,) = site.seen
    assert "prefer" not in sent.headers
    assert sent.headers["cancel-after"] == "86400s"
    assert json.loads(sent.body) == {"input": {}}


def test_files_go_in_at_any_place_and_each_once(site):
    site.put("/files", {"urls": {"get": "https://files.test/1"}}, status=201)
    large, small = keep(noise(400, 400)), keep(picture())
    submit(
        site,
        prediction(status="starting"),
        given={"images": [large.reference(), small.reference(), large.reference()], "deep": {"mask": {"artifact": str(small.id)}}},
        readable={large.id: large, small.id: small},
    )
    upload, sent = site.seen
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert f'name="content"; filename="{large.id}.png"'.encode() in upload.body
    assert noise(400, 400) in upload.body
    given = json.loads(sent.body)["input"]
    uri = "data:image/png;base64," + base64.b64encode(picture()).decode()
    assert given == {"images": ["https://files.test/1", uri, "https://files.test/1"], "deep": {"mask": uri}}


def test_a_strangers_file_is_not_sent(site):
    with pytest.raises(ToolError) as raised:
        submit(site, prediction(), given={"image": keep(picture()).reference()})
    assert (raised.value.code, raised.value.permanent) == ("artifact_not_found", True)
    assert site.seen == []


@pytest.mark.parametrize(
    "page", [{"body": b"{}"}, {"body": b"[]"}, {"body": b'{"urls": {"get": 3}}'}, {"body": b"no"}, {"drop": True}], ids=str
)
def test_an_upload_that_failed_leaves_nothing_open(site, page):
    site.pages["/files"] = Page(**page)
    large = keep(noise(400, 400))
    with pytest.raises(ToolError) as raised:
        submit(site, prediction(), given={"image": large.reference()}, readable={large.id: large})
    assert (raised.value.ambiguous, raised.value.permanent) == (False, False)
    assert [seen.path for seen in site.seen] == ["/files"]


@pytest.mark.parametrize(
    ("output", "files"),
    [
        (None, []),
        ("just words", []),
        (["The ", "lamp", " https://a.test/1.png is lit"], []),
        (3.5, []),
        ("https://a.test/1.png", ["https://a.test/1.png"]),
        (["https://a.test/1.png", "https://a.test/2.png"], ["https://a.test/1.png", "https://a.test/2.png"]),
        (
            {"gif": "https://a.test/1.gif", "n": 2, "more": [{"audio": "http://a.test/2.wav"}]},
            ["https://a.test/1.gif", "http://a.test/2.wav"],
        ),
        ("data:image/png;base64,iVBORw0KGgo=", ["data:image/png;base64,iVBORw0KGgo="]),
        ({"a": "https://a.test/1", "b": "https://a.test/1"}, ["https://a.test/1"]),
        ("data: the lamp, the sea", []),
        ("https://", []),
        ("ftp://a.test/1.png", []),
    ],
    ids=str,
)
def test_outputs_of_any_shape(site, output, files):
    told = poll(site, prediction(output=output)).output
    assert [file.url for file in told["files"]] == files
    assert ("file" in told) == (len(files) == 1)
    assert without_files(told["output"]) == output


def without_files(value):
    match value:
        case RemoteFile(url=url):
            return url
        case dict():
            return {name: without_files(inner) for name, inner in value.items()}
        case list():
            return [without_files(inner) for inner in value]
    return value


@pytest.mark.parametrize(
    ("url", "is_picture"),
    [
        ("https://a.test/1.webp?x=1", True),
        ("https://a.test/1.mp4", False),
        ("data:image/gif;base64,R0lGODdh", True),
        ("data:audio/wav;base64,AA==", False),
    ],
)
def test_one_picture_is_also_called_so(site, url, is_picture):
    assert ("image" in poll(site, prediction(output=url)).output) is is_picture


def test_only_urls_of_named_hosts_are_files_if_hosts_are_named(site):
    output = [
        "https://replicate.delivery/1.png",
        "https://pbxt.replicate.delivery/2.png",
        "https://en.wikipedia.test/Lamp",
        "https://notreplicate.delivery/3.png",
    ]
    told = poll(site, prediction(output=output), config={"file_hosts": ["replicate.delivery"]}).output
    assert [file.url for file in told["files"]] == output[:2]
    assert told["output"][2:] == output[2:]
    told = poll(site, prediction(output=output), config={"keep_files": False}).output
    assert (told["files"], told["output"]) == ([], output)


@pytest.mark.parametrize(
    ("metrics", "pricing", "usd"),
    [
        ({"predict_time": 3.2}, PRICES, "0.00368"),
        ({"predict_time": 0}, PRICES, "0"),
        ({"predict_time": 3.2}, {}, None),
        ({}, PRICES, None),
        (None, PRICES, None),
        ({"predict_time": "soon"}, PRICES, None),
        ({"predict_time": -1}, PRICES, None),
        ({"predict_time": True}, PRICES, None),
        ({"predict_time": 10**13}, PRICES, None),
        ([3.2], PRICES, None),
        ({}, {"per_image": "0.003"}, "0.006"),
        ({"predict_time": 2}, {"per_image": "0.003", "per_second": "0.1", "per_call": "1"}, "1.206"),
    ],
    ids=str,
)
def test_cost(site, metrics, pricing, usd):
    cost = poll(site, prediction(output=["https://a.test/1.png", "https://a.test/2.png"], metrics=metrics), pricing=pricing).cost
    assert (cost and cost.usd) == (usd and Decimal(usd))


@pytest.mark.parametrize("pricing", [{"per_image": "0.003"}, {"per_image": "0.003", "per_call": "1"}], ids=str)
@pytest.mark.parametrize(
    ("config", "output"),
    [
        ({"keep_files": False}, ["https://a.test/1.png"]),
        ({"file_hosts": ["b.test"]}, ["https://a.test/1.png"]),
        ({}, "no file"),
        ({}, None),
    ],
    ids=str,
)
def test_files_that_nobody_counted_make_the_cost_unknown_not_nothing(site, config, output, pricing):
    assert poll(site, prediction(output=output), config=config, pricing=pricing).cost is None


def test_a_time_that_was_not_told_is_not_left_out_of_the_sum(site):
    assert poll(site, prediction(output=["https://a.test/1.png"], metrics={}), pricing={**PRICES, "per_call": "1"}).cost is None


@pytest.mark.parametrize(
    ("status", "code", "permanent", "usd"),
    [("failed", "job_failed", False, "0.00115"), ("canceled", "job_cancelled", True, "0.00115"), ("aborted", "job_aborted", False, None)],
)
def test_what_did_not_succeed_costs_the_time_that_it_ran(site, status, code, permanent, usd):
    error = poll(site, prediction(status=status, error="Out of memory", metrics={"predict_time": 1}), pricing={**PRICES, "per_call": "5"})
    assert isinstance(error, ToolError)
    assert (error.code, error.permanent, error.cost and error.cost.usd) == (code, permanent, usd and Decimal(usd))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("Out of memory", "Out of memory"),
        (None, "it does not say why"),
        ("", "it does not say why"),
        ({"a": 1}, "{'a': 1}"),
        ("x" * 5000, "x" * 1000),
        ("a\u0000b", "a\ufffdb"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_failure_is_told_in_the_models_words(site, error, words):
    assert poll(site, prediction(status="failed", error=error)).message == f"The model failed: {words}"


@pytest.mark.parametrize(
    ("logs", "percent"),
    [
        ("", None),
        (None, None),
        ("loading", None),
        (" 10%|#   | 1/10\r 40%|####  | 4/10 [00:01]", 40),
        ("Seed: 3\n100%|####| 4/4\ndone", 100),
        ("999%|#|", 100),
        ("10%|#|" + "x" * 10_000, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_progress_is_the_last_percentage(site, logs, percent):
    assert poll(site, prediction(status="processing", logs=logs)) == Progress(percent=percent, stage="processing", poll_after=3)


def test_an_unknown_status_is_told_and_taken_for_work(site, caplog):
    assert poll(site, prediction(status="pondering")) == Progress(stage="pondering", poll_after=3)
    assert "unknown status of a prediction: pondering" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [b"no json", b"", [], "p1", {"id": "p1"}, {"status": 3}, {"id": "../x", "status": "starting"}, {"id": "p" * 300, "status": "starting"}],
    ids=str,
)
def test_an_answer_that_is_no_prediction(site, answer):
    with pytest.raises(ToolError) as raised:
        submit(site, answer)
    assert (raised.value.code, raised.value.ambiguous) == ("bad_answer", True)
    with pytest.raises(ToolError) as raised:
        poll(site, answer)
    assert (raised.value.code, raised.value.ambiguous, raised.value.permanent) == ("bad_answer", False, False)


def test_a_submission_must_name_its_prediction(site):
    with pytest.raises(ToolError, match="names no prediction") as raised:
        submit(site, {"status": "starting"})
    assert raised.value.ambiguous


def test_an_answer_that_is_too_large_is_not_read(site):
    with pytest.raises(ToolError) as raised:
        poll(site, prediction(logs="x" * (21 * 2**20)))
    assert raised.value.code == "too_large"


def test_a_server_that_does_not_answer_in_time(site):
    site.put("/models/black-forest-labs/flux-schnell/predictions", hang=True)
    with pytest.raises(ToolError) as raised:
        submit(site, timeout_seconds=0.3)
    assert (raised.value.code, raised.value.ambiguous) == ("timeout", True)


def test_a_prediction_without_a_known_id_cannot_be_looked_up(site):
    told = ask(request_to(site.url("")), "poll", "")
    assert (told.code, told.permanent, told.ambiguous, site.seen) == ("no_lookup", True, True, [])


def test_an_id_cannot_lead_elsewhere(site):
    assert isinstance(ask(request_to(site.url("")), "poll", "../secret?x=1"), Lost)
    assert site.seen[0].path == "/predictions/..%2Fsecret%3Fx%3D1"


def test_a_callback_over_plain_http_is_not_told_to_a_provider_on_the_web():
    api = ProviderApi(base_url="https://api.replicate.com/v1", timeout_seconds=1)
    assert takes(api, "https://grimoire.test/") is True
    assert takes(api, "http://grimoire.test/") is False


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"model": None}, "config: must name one of"),
        ({"version": "a" * 64}, "config: must name one of"),
        ({"submit": "put"}, "config.model: is not for a cog server"),
        ({"model": "flux"}, "config.model"),
        ({"wait_seconds": 61}, "config.wait_seconds"),
        ({"webhook_events": []}, "config.webhook_events"),
        ({"api_key_env": "no name"}, "config.api_key_env"),
        ({"base_url": "replicate"}, "config.base_url"),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_told_with_its_place(site, config, place):
    with pytest.raises(ToolError) as raised:
        ask(request_to(site.url(""), config=config), "run")
    assert raised.value.code == "bad_config"
    assert place in raised.value.message
    assert site.seen == []


def test_a_missing_key_is_named(site, monkeypatch):
    monkeypatch.delenv("REPLICATE_API_TOKEN")
    with pytest.raises(ToolError, match="REPLICATE_API_TOKEN"):
        submit(site, prediction())
    assert site.seen == []


def test_files_of_the_api_itself_are_fetched_with_the_key(site):
    adapter, request = registry.get("replicate"), request_to(site.url("/v1"))
    assert adapter.file_headers(request) == {"Authorization": f"Bearer {KEY}"}
    assert tuple(adapter.file_prefixes(request)) == (site.url("/v1/files/"),)


def test_a_model_cannot_have_the_api_asked_with_our_key(site):
    request = request_to(site.url("/v1"))
    places = ["webhooks/default/secret", "predictions", "files/../predictions", "files/%2e%2e/predictions", "files/f1"]
    output = [site.url(f"/v1/{place}") for place in places]
    site.put("/v1/predictions/p1", prediction(output=output))
    for place in places:
        site.put(httpx2.URL(site.url(f"/v1/{place}")).raw_path.decode(), b"x")
    told = ask(request, "poll", "p1")
    asyncio.run(keeping.keep(told, request=request, adapter=registry.get("replicate"), seconds=10))
    assert [seen.path for seen in site.seen[1:] if "authorization" in seen.headers] == ["/v1/files/f1"]
    assert len(site.seen) == 1 + len(places)


def test_inputs_must_be_an_object():
    assert problems_with("replicate", input=["a"]) == ["params.input"]


# A cog server


def run_cog(site, **more):
    return ask(request_to(site.url(""), slug="replicate.cog", **more), "run")


def test_a_cog_server_gets_our_id_and_is_waited_for(site):
    request = request_to(
        site.url(""), slug="replicate.cog", given={"prompt": "a fox"}, pricing={"per_second": "0.001"}, callback_url="http://a.test/"
    )
    site.put(
        f"/predictions/{request.idempotency_key}", prediction(output="data:image/png;base64,iVBORw0KGgo=", metrics={"predict_time": 2})
    )
    result = ask(request, "run")
    assert [file.url for file in result.output["files"]] == ["data:image/png;base64,iVBORw0KGgo="]
    assert result.cost.usd == Decimal("0.002")
    (sent,) = site.seen
    assert (sent.method, json.loads(sent.body)) == ("PUT", {"input": {"prompt": "a fox"}})
    assert "authorization" not in sent.headers


def test_a_prediction_that_a_lost_try_left_behind_is_waited_for(site):
    request = request_to(site.url(""), slug="replicate.cog", config={"poll_seconds": 0.1})
    at_work = Page(body=json.dumps(prediction(status="processing")).encode(), status=202)
    site.put(f"/predictions/{request.idempotency_key}", prediction(output="a"), before=[at_work])
    assert ask(request, "run").output["output"] == "a"
    assert len(site.seen) == 2


@pytest.mark.parametrize("page", [{"status": 409}, {"status": 401}, {"status": 404}, {"body": b"no json"}, {"body": b"{}"}], ids=str)
def test_a_prediction_that_was_taken_is_left_open_by_whatever_is_refused_later(site, page):
    request = request_to(site.url(""), slug="replicate.cog", config={"poll_seconds": 0.1})
    at_work = Page(body=json.dumps(prediction(status="processing")).encode(), status=202)
    site.put(f"/predictions/{request.idempotency_key}", **page, before=[at_work])
    with pytest.raises(ToolError) as raised:
        ask(request, "run")
    assert (raised.value.ambiguous, len(site.seen)) == (True, 2)


def test_a_busy_cog_server_is_tried_again(site):
    request = request_to(site.url(""), slug="replicate.cog")
    site.put(
        f"/predictions/{request.idempotency_key}", {"error": "At capacity - all prediction slots busy", "status": "failed"}, status=409
    )
    with pytest.raises(ToolError, match="all prediction slots busy") as raised:
        ask(request, "run")
    assert (raised.value.permanent, raised.value.ambiguous) == (False, False)


def test_the_way_of_submission_declares_the_recovery():
    adapter = registry.get("replicate")
    assert adapter.declares({"submit": "put"}) == {"recovery": Recovery.RESEND}
    assert adapter.declares(MODEL) == {"recovery": Recovery.NONE}
