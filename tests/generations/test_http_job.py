"""http.job: the provider that the documentation invents, served here, and servers that answer as badly as they can."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import time
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from generations import keeping
from generations.tools import registry
from generations.tools.contract import CallbackRefusedError, Delivery, Lost, Progress, Result, Submitted, ToolError
from generations.tools.http_job_config import CONFIG_SCHEMA
from generations.tools.http_job_example import EXAMPLE_CONFIG
from spells.models.tool import Recovery

from .test_replicate import noise
from .toolbox import ask, keep, picture, request_for
from .website import Page, website

ADAPTER: Any = registry.get("http.job")
PRICES = {"per_second": "0.001"}


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("LUMEN_API_KEY", "lumen-key")
    monkeypatch.setenv("LUMEN_WEBHOOK_SECRET", "hush")


@pytest.fixture
def site():
    with website() as server:
        yield server


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with some of it replaced; None takes a member away, dotted names lead inside."""
    config = deepcopy(base)
    for name, value in changes.items():
        inside, *rest = name.split(".")
        if rest:
            config[inside] = changed(config[inside], {".".join(rest): value})
        elif value is None:
            config.pop(name, None)
        else:
            config[name] = value
    return config


def lumen(url: str = "https://api.lumen.example/v1", **changes: Any) -> dict[str, Any]:
    return changed(dict(EXAMPLE_CONFIG), {"base_url": url, **{name.replace("__", "."): value for name, value in changes.items()}})


def request_to(url: str, *, config=None, pricing=PRICES, inputs=None, **more):
    config = lumen(url) if config is None else config
    return request_for("http.job", inputs or {"prompt": "a fox"}, config=config, pricing=pricing, **more)


def painting(**told):
    return {"painting": {"id": "p1", "state": "painting", **told}}


def submit(site, answer=None, *, status=202, **more):
    site.put("/paintings", painting() if answer is None else answer, status=status)
    return ask(request_to(site.url(""), **more), "run")


def poll(site, answer, **more):
    site.put("/paintings/p1", answer)
    return ask(request_to(site.url(""), **more), "poll", "p1")


# The provider of the documentation


def test_a_job_is_begun_as_it_is_described(site):
    request = request_to(site.url(""), inputs={"prompt": "a fox", "steps": 20}, callback_url="https://grimoire.test/cb/")
    site.put("/paintings", painting(), status=202)
    assert ask(request, "run") == Submitted(job_id="p1", poll_after=2, handle={"job-id": "p1"})
    (sent,) = site.seen
    assert (sent.method, sent.headers["authorization"]) == ("POST", "Bearer lumen-key")
    assert sent.headers["idempotency-key"] == str(request.idempotency_key)
    assert json.loads(sent.body) == {"prompt": "a fox", "options": {"steps": 20}, "notify": "https://grimoire.test/cb/"}


def test_what_gives_none_is_left_out_and_files_go_along(site):
    stored = keep(picture())
    submit(site, inputs={"prompt": "a fox", "image": stored.reference()}, readable={stored.id: stored})
    uri = "data:image/png;base64," + base64.b64encode(picture()).decode()
    assert json.loads(site.seen[0].body) == {"prompt": "a fox", "options": {"steps": 30, "start_from": uri}}


def test_a_job_that_succeeded_has_its_result_its_files_and_its_cost(site):
    result = {"canvas": {"url": "https://a.test/1.png"}, "sketches": [{"url": "https://a.test/2.png"}], "see_also": "https://a.test/about"}
    told = poll(site, painting(state="dry", gpu_seconds=12.5, result=result), pricing={**PRICES, "per_image": "0.1"})
    assert isinstance(told, Result)
    canvas, sketch = told.output["files"]
    assert [canvas.url, sketch.url] == ["https://a.test/1.png", "https://a.test/2.png"]
    assert told.output["output"] == {"canvas": {"url": canvas}, "sketches": [{"url": sketch}], "see_also": "https://a.test/about"}
    assert told.cost.usd == Decimal("0.2125")
    assert [line["unit"] for line in told.cost.basis["lines"]] == ["call", "image", "second"][1:]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"keep_files": False}, {"gpu_seconds": 12.5, "result": {"canvas": {"url": "https://a.test/1.png"}}}),
        ({"file_hosts": ["b.test"]}, {"gpu_seconds": 12.5, "result": {"canvas": {"url": "https://a.test/1.png"}}}),
        ({}, {"gpu_seconds": 12.5, "result": {"text": "none"}}),
        ({}, {"result": {"canvas": {"url": "https://a.test/1.png"}}}),
    ],
    ids=str,
)
def test_what_nobody_counted_makes_the_cost_unknown_not_nothing(site, changed, told):
    config = {**lumen(site.url("")), **changed}
    assert poll(site, painting(state="dry", **told), config=config, pricing={**PRICES, "per_image": "0.1"}).cost is None


@pytest.mark.parametrize(
    ("told", "progress"),
    [
        ({"state": "waiting"}, Progress(poll_after=2)),
        ({"state": "painting", "done": 0.25, "message": "underpainting"}, Progress(percent=25, stage="underpainting", poll_after=2)),
        ({"state": "painting", "done": 7, "message": 3}, Progress(percent=100, poll_after=2)),
        ({"state": "painting", "done": "much"}, Progress(poll_after=2)),
        ({"state": "painting", "done": -1}, Progress(poll_after=2)),
    ],
    ids=str,
)
def test_progress(site, told, progress):
    assert poll(site, painting(**told)) == progress


@pytest.mark.parametrize("state", ["pondering", None, 3, True, ["dry"], "dry "])
def test_an_unknown_status_is_told_and_taken_for_work(site, caplog, state):
    assert isinstance(poll(site, painting(state=state)), Progress)
    assert "unknown status of a job of http.job" in caplog.text


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("No paint", "No paint"),
        ({"code": 3, "message": "No brush"}, "No brush"),
        ({"code": 3}, "{'code': 3}"),
        (None, "it does not say why"),
        ("x" * 5000, "x" * 1000),
        ("a\0b", "a\ufffdb"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_failure_has_the_providers_words_and_its_cost(site, problem, words):
    error = poll(site, painting(state="spoilt", problem=problem, gpu_seconds=2))
    assert isinstance(error, ToolError)
    assert (error.message, error.code, error.permanent) == (f"The job failed: {words}", "job_failed", False)
    assert error.cost.usd == Decimal("0.002")


def test_a_job_that_was_stopped(site):
    error = poll(site, painting(state="stopped", gpu_seconds=2))
    assert (error.code, error.permanent, error.cost.usd) == ("job_cancelled", True, Decimal("0.002"))


def test_a_job_that_is_lost_by_word_or_by_status(site):
    assert poll(site, painting(state="unknown", problem="swept up")).message == "The provider lost the job: swept up"
    for status in (404, 410):
        site.put("/paintings/p1", {}, status=status)
        assert ask(request_to(site.url("")), "poll", "p1") == Lost(message="127.0.0.1 knows of no job p1.")


def test_a_job_is_cancelled(site):
    for status in (200, 204, 404, 409):
        site.put("/paintings/p1", b"", status=status)
        assert ask(request_to(site.url("")), "cancel", "p1") is None
    assert {seen.method for seen in site.seen} == {"DELETE"}
    site.put("/paintings/p1", b"", status=500)
    with pytest.raises(ToolError):
        ask(request_to(site.url("")), "cancel", "p1")
    with pytest.raises(ToolError, match="no `cancel` request") as raised:
        ask(request_to(site.url(""), config=lumen(site.url(""), cancel=None)), "cancel", "p1")
    assert raised.value.permanent


@pytest.mark.parametrize(
    ("file_paths", "with_key"),
    [([], []), (["files/"], ["/v1/files/1.png"]), (["/files/"], ["/files/2.png"]), (["jobs/p1/file="], ["/v1/jobs/p1/file=3.png"])],
    ids=str,
)
def test_the_key_goes_with_files_only_where_the_configuration_says(site, file_paths, with_key):
    urls = [site.put(path, picture()) for path in ("/v1/files/1.png", "/files/2.png", "/v1/jobs/p1/file=3.png", "/v1/filesystem/4.png")]
    site.put("/v1/paintings/p1", painting(state="dry", result={"urls": urls}))
    request = request_to("", config=lumen(site.url("/v1"), file_paths=file_paths, files=None))
    told = ask(request, "poll", "p1")
    kept = asyncio.run(keeping.keep(told, request=request, adapter=ADAPTER, seconds=10))
    assert isinstance(kept, Result)
    assert len(kept.output["files"]) == len(urls)
    assert [seen.path for seen in site.seen[1:] if "authorization" in seen.headers] == with_key


@pytest.mark.parametrize("path", ["", "/", "files", "../files/", "files/?a=", "//other.test/", "https://other.test/files/", "fi les/"])
def test_a_place_of_files_is_a_folder_of_the_providers(site, path):
    with pytest.raises(ToolError) as raised:
        ask(request_to("", config=lumen(site.url(""), file_paths=[path])), "run")
    assert (raised.value.code, site.seen) == ("bad_config", [])


# What a server may say


@pytest.mark.parametrize(
    ("page", "code", "flags"),
    [
        ({"status": 429, "headers": {"Retry-After": "7"}}, "rate_limited", {"retry_after": 7.0, "ambiguous": False, "permanent": False}),
        ({"status": 401}, "unauthorized", {"permanent": True, "ambiguous": False}),
        ({"status": 404}, "not_found", {"permanent": True, "ambiguous": False}),
        ({"status": 409}, "conflict", {"permanent": False, "ambiguous": False}),
        ({"status": 500}, "provider_error", {"outage": True, "ambiguous": True}),
        ({"status": 500, "body": b'{"error": "No paint."}'}, "provider_error", {"outage": True, "ambiguous": False}),
        ({"drop": True}, "connection_lost", {"ambiguous": True}),
        ({"body": b"no json"}, "bad_answer", {"ambiguous": True}),
        ({"body": b"", "status": 204}, "bad_answer", {"ambiguous": True}),
        ({"body": b"[]"}, "bad_answer", {"ambiguous": True}),
        ({"body": b'{"painting": {"id": null}}'}, "bad_answer", {"ambiguous": True}),
        ({"body": b'{"painting": {"id": true}}'}, "bad_answer", {"ambiguous": True}),
        ({"body": b'{"painting": {"id": {"a": 1}}}'}, "bad_answer", {"ambiguous": True}),
        ({"body": b'{"painting": {"id": "a\\u0000b"}}'}, "bad_answer", {"ambiguous": True}),
        ({"body": json.dumps({"painting": {"id": "p" * 300}}).encode()}, "bad_answer", {"ambiguous": True}),
        ({"body": b'{"painting": {"id": ""}}'}, "bad_answer", {"ambiguous": True}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_submission_that_fails(site, page, code, flags):
    site.pages["/paintings"] = Page(**{"body": b"{}", **page})
    with pytest.raises(ToolError) as raised:
        ask(request_to(site.url("")), "run")
    assert raised.value.code == code
    assert {name: getattr(raised.value, name) for name in flags} == flags


@pytest.mark.parametrize(
    ("method", "status", "ambiguous"), [("GET", 502, True), ("GET", 404, False), ("PUT", 504, True), ("POST", 408, True)]
)
def test_a_submission_is_one_whatever_its_method(site, method, status, ambiguous):
    config = lumen(site.url(""), submit__method=method)
    site.put("/paintings", b"", status=status)
    with pytest.raises(ToolError) as raised:
        ask(request_to("", config=config), "run")
    assert raised.value.ambiguous is ambiguous
    site.put("/paintings", status=302, headers={"Location": "/elsewhere"})
    with pytest.raises(ToolError, match="leads to /elsewhere"):
        ask(request_to("", config=config), "run")
    assert {seen.path for seen in site.seen} == {"/paintings"}


@pytest.mark.parametrize("page", [{"status": 502}, {"status": 408}, {"drop": True}, {"body": b"no json"}], ids=str)
def test_a_question_is_none_whatever_its_method(site, page):
    config = lumen(
        site.url(""),
        poll={"method": "POST", "path": "ask"},
        lookup={"request": {"method": "POST", "path": "find"}, "job_id": "id"},
        cancel={"method": "POST", "path": "stop"},
    )
    for path in ("/ask", "/find", "/stop"):
        site.put(path, **page)
    for method, job_id in (("poll", "p1"), ("poll", ""), *([] if "body" in page else [("cancel", "p1")])):
        with pytest.raises(ToolError) as raised:
            ask(request_to("", config=config), method, job_id)
        assert raised.value.ambiguous is False


@pytest.mark.parametrize(
    ("changes", "answer", "code"),
    [
        ({"job_id": "sum(painting.id)"}, painting(), "bad_answer"),
        ({"kept": {"way": "sum(painting.id)"}}, painting(), "bad_answer"),
        ({"immediate": True, "status": "sum(painting.id)"}, painting(), "bad_answer"),
        ({"immediate": True, "result": "sum(painting.id)", "files": None}, painting(state="dry"), "bad_answer"),
        (
            {"immediate": True, "cost": {"quantity": "painting.gpu_seconds", "unit": "per_sheet"}},
            painting(state="dry", gpu_seconds=1),
            "bad_pricing",
        ),
        ({"immediate": True, "fetch": {"path": "canvas"}}, painting(state="dry"), "not_found"),
        (
            {"immediate": True, "kept": {"way": "painting.way"}, "fetch": {"path": "canvas/{{ kept.way }}"}},
            painting(state="dry"),
            "bad_template",
        ),
    ],
    ids=str,
)
def test_what_goes_wrong_after_a_submission_was_taken_leaves_it_open(site, changes, answer, code):
    pricing = {"per_sheet": "cheap"} if code == "bad_pricing" else PRICES
    config = lumen(site.url(""), lost_codes=[410], **changes)
    with pytest.raises(ToolError) as raised:
        submit(site, answer, config=config, pricing=pricing)
    assert (raised.value.code, raised.value.ambiguous) == (code, True)


def test_a_job_that_failed_at_once_is_no_open_question(site):
    with pytest.raises(ToolError) as raised:
        submit(site, painting(state="spoilt", problem="No paint"), config=lumen(site.url(""), immediate=True))
    assert (raised.value.code, raised.value.ambiguous) == ("job_failed", False)


@pytest.mark.parametrize(
    "answer", [b"no json", b"", b"[" * 100_000, painting(state="dry", result={"x": "y" * (21 * 2**20)})], ids=lambda value: str(value)[:20]
)
def test_an_answer_that_cannot_be_read_says_nothing_of_the_job(site, answer):
    with pytest.raises(ToolError) as raised:
        poll(site, answer)
    assert raised.value.ambiguous is False


def test_a_number_is_an_id_too(site):
    assert submit(site, {"painting": {"id": 17}}).job_id == "17"


def test_an_id_or_an_input_cannot_lead_elsewhere(site):
    config = lumen(site.url(""), poll__path="paintings/{{ job_id }}/{{ inputs.prompt }}")
    for job_id, prompt, path in (("../admin?x=1", "a/b", "/paintings/..%2Fadmin%3Fx%3D1/a%2Fb"), ("..", ".", "/paintings/%2E%2E/%2E")):
        ask(request_to(site.url(""), config=config, inputs={"prompt": prompt}), "poll", job_id)
        assert site.seen[-1].path == path


def test_addresses_that_were_kept_are_used_if_they_are_the_providers_own(site):
    config = lumen(site.url(""), kept={"way": "painting.urls.get"}, poll__path="{{ kept.way }}")
    with website("127.0.0.2") as other:
        own, strange = site.put("/somewhere", painting(state="dry", result={})), other.url("/x", host="127.0.0.2")
        handle = submit(site, painting(urls={"get": own}), config=config).handle
        assert handle == {"job-id": "p1", "way": own}
        assert isinstance(ask(request_to("", config=config, job_handle=handle), "poll", "p1"), Result)
        with pytest.raises(ToolError, match="not its own"):
            ask(request_to("", config=config, job_handle={"way": strange}), "poll", "p1")
        assert other.seen == []
    with pytest.raises(ToolError, match=r"config\.poll\.path") as raised:
        ask(request_to("", config=config), "poll", "p1")
    assert raised.value.code == "bad_template"


def test_queries_and_headers_are_filled_in(site):
    config = lumen(
        site.url(""),
        poll={
            "path": "paintings?a=1",
            "query": {
                "id": "{{ job_id }}",
                "size": "{{ inputs.steps }}",
                "all": "{{ true }}",
                "none": "{{ inputs.image | default(none) }}",
                "text": "a&b é",
            },
            "headers": {"X-Steps": "{{ inputs.steps }}", "X-None": "{{ none }}"},
        },
        headers={"X-Team": {"env": "LUMEN_WEBHOOK_SECRET"}},
        api_key_header="X-Key",
        api_key_scheme="",
    )
    site.put("/paintings?a=1&id=p1&size=30&all=true&text=a%26b+%C3%A9", painting())
    assert isinstance(ask(request_to("", config=config), "poll", "p1"), Progress)
    headers = site.seen[0].headers
    assert (headers["x-steps"], headers["x-team"], headers["x-key"]) == ("30", "hush", "lumen-key")
    assert {"x-none", "authorization"}.isdisjoint(headers)


@pytest.mark.parametrize("prompt", ["é", "a\nX-Other: b", "a\x7f"])
def test_a_header_with_other_characters_is_not_sent(site, prompt):
    config = lumen(site.url(""), submit__headers={"X-Prompt": "{{ inputs.prompt }}"}, recovery="none")
    with pytest.raises(ToolError, match="X-Prompt") as raised:
        ask(request_to("", config=config, inputs={"prompt": prompt}), "run")
    assert (raised.value.code, raised.value.permanent, site.seen) == ("bad_template", True, [])


def test_what_goes_in_is_bounded(site):
    large = keep(noise(400, 400))
    config = lumen(site.url(""), max_input_bytes=100_000)
    with pytest.raises(ToolError) as raised:
        submit(site, config=config, inputs={"prompt": "x", "image": large.reference()}, readable={large.id: large})
    assert (raised.value.code, raised.value.permanent, site.seen) == ("too_large", True, [])
    config = lumen(site.url(""), poll__query={"prompt": "{{ inputs.prompt * 3 }}"})
    with pytest.raises(ToolError, match="8000 characters"):
        ask(request_to("", config=config, inputs={"prompt": "x" * 4000}), "poll", "p1")


def test_an_expression_without_a_value_is_told_with_its_place(site):
    config = lumen(site.url(""), submit__body={"prompt": "{{ inputs.image.sha256 }}"})
    with pytest.raises(ToolError, match=r"config\.submit\.body\.prompt") as raised:
        ask(request_to("", config=config), "run")
    assert (raised.value.code, raised.value.permanent) == ("bad_template", True)


def test_an_answer_may_end_the_job_at_once(site):
    config = lumen(site.url(""), immediate=True)
    done = painting(state="dry", result={"canvas": {"url": "https://a.test/1.png"}}, gpu_seconds=1)
    assert submit(site, done, config=config).output["file"].url == "https://a.test/1.png"
    assert submit(site, {"painting": {"state": "dry", "result": 3}}, config=config).output == {"output": 3, "files": []}
    assert isinstance(submit(site, painting(), config=config), Submitted)
    with pytest.raises(ToolError, match="The job failed: No paint"):
        submit(site, painting(state="spoilt", problem="No paint"), config=config)
    assert isinstance(submit(site, done), Submitted)


def test_a_result_that_is_there_at_once_is_fetched_from_where_the_answer_says(site):
    config = lumen(site.url(""), immediate=True, kept={"way": "painting.way"}, fetch={"path": "canvas/{{ kept.way }}"}, files=None)
    site.put("/canvas/c1", {"painting": {"result": "a fox"}})
    assert submit(site, painting(state="dry", way="c1"), config=config).output == {"output": "a fox", "files": []}


def test_a_result_may_have_to_be_fetched(site):
    config = lumen(site.url(""), fetch={"path": "paintings/{{ job_id }}/canvas"}, result="@", files=None)
    site.put("/paintings/p1/canvas", {"url": "https://a.test/1.png"})
    told = poll(site, painting(state="dry", gpu_seconds=2), config=config)
    assert (told.output["file"].url, told.cost.usd) == ("https://a.test/1.png", Decimal("0.002"))
    site.put("/paintings/p1/canvas", {}, status=404)
    assert isinstance(poll(site, painting(state="dry"), config=config), Lost)
    site.put("/paintings/p1/canvas", {}, status=503)
    with pytest.raises(ToolError):
        poll(site, painting(state="dry"), config=config)


@pytest.mark.parametrize(
    ("cost", "pricing", "usd"),
    [
        ({"quantity": "painting.usd", "unit": "usd"}, {}, "0.25"),
        ({"quantity": "painting.text", "unit": "usd"}, {}, "0.5"),
        ({"quantity": "painting.nothing", "unit": "usd"}, PRICES, None),
        ({"quantity": "painting.huge", "unit": "usd"}, {}, None),
        ({"quantity": "painting.usd", "unit": "per_sheet"}, {"per_sheet": "2"}, "0.5"),
        ({"quantity": "painting.usd", "unit": "per_sheet"}, PRICES, None),
        (None, {"per_call": "0.1"}, "0.1"),
        (None, {}, None),
    ],
    ids=str,
)
def test_cost(site, cost, pricing, usd):
    config = lumen(site.url(""), cost=cost)
    told = poll(site, painting(state="dry", usd=0.25, text="0.50", huge=10**11, result=1), config=config, pricing=pricing)
    assert (told.cost and told.cost.usd) == (usd and Decimal(usd))


@pytest.mark.parametrize(("status", "statuses"), [(True, {"true": "succeeded"}), (2, {"2": "succeeded"}), (None, {"null": "succeeded"})])
def test_statuses_need_not_be_words(site, status, statuses):
    assert isinstance(poll(site, painting(state=status), config=lumen(site.url(""), statuses=statuses)), Result)


def test_an_expression_that_fails_on_an_answer_says_nothing_of_the_job(site):
    with pytest.raises(ToolError, match=r"cannot be read at sort_by") as raised:
        poll(site, painting(state="dry", result=3), config=lumen(site.url(""), result="sort_by(painting.result, &x)"))
    assert (raised.value.code, raised.value.permanent) == ("bad_answer", False)


# A lost answer

OWN = {
    "recovery": "lookup",
    "own_id": True,
    "submit": {"method": "PUT", "path": "paintings/{{ idempotency_key }}", "body": {"prompt": "{{ inputs.prompt }}"}},
}


def test_a_job_with_our_id_is_found_by_it(site):
    request = request_to("", config=lumen(site.url(""), **OWN))
    site.put(f"/paintings/{request.idempotency_key}", b"", status=202)
    assert ask(request, "run") == Submitted(
        job_id=str(request.idempotency_key), poll_after=2, handle={"job-id": str(request.idempotency_key)}
    )
    site.put(f"/paintings/{request.idempotency_key}", painting(state="dry", result=1))
    assert ask(request, "poll", "").output["output"] == 1
    site.put(f"/paintings/{request.idempotency_key}", {}, status=404)
    assert isinstance(ask(request, "poll", ""), Lost)


def test_a_job_is_looked_up_by_our_key(site):
    lookup = {"request": {"path": "paintings", "query": {"key": "{{ idempotency_key }}"}}, "job_id": "paintings[0].id"}
    request = request_to("", config=lumen(site.url(""), recovery="lookup", lookup=lookup))
    address = f"/paintings?key={request.idempotency_key}"
    site.put(address, {"paintings": [{"id": "p1"}]})
    site.put("/paintings/p1", painting(state="dry", result=1))
    assert ask(request, "poll", "") == Submitted(job_id="p1", poll_after=0.0, handle={"job-id": "p1"})
    assert ask(request, "poll", "p1").output["output"] == 1
    for status in (200, 404):
        site.put(address, {"paintings": []}, status=status)
        assert ask(request, "poll", "") == Lost(message="127.0.0.1 knows of no job with our key.")


def test_without_a_way_to_look_nothing_is_looked_up(site):
    told = ask(request_to(site.url("")), "poll", "")
    assert (told.code, told.ambiguous, site.seen) == ("no_lookup", True, [])


# Webhooks


def event(**told):
    return {"event": painting(**told)}


@pytest.mark.parametrize(
    ("payload", "tells", "kind"),
    [
        (event(state="dry", result=1), "all", Result),
        (event(state="dry"), "all", None),
        (event(state="dry", result=None), "all", None),
        (event(state="dry", result=1), "ends", None),
        (event(state="dry", result=1), "nothing", None),
        (event(state="spoilt"), "all", ToolError),
        (event(state="spoilt"), "ends", ToolError),
        (event(state="spoilt"), "nothing", None),
        (event(state="painting", done=0.5), "all", Progress),
        (event(state="unknown"), "all", None),
        (event(id="p2", state="dry"), "all", None),
        ({"event": {"painting": {"state": "dry"}}}, "all", None),
        ({"news": 1}, "all", None),
        ([], "all", None),
        ("x", "all", None),
        (None, "all", None),
    ],
    ids=str,
)
def test_what_a_webhook_says(payload, tells, kind):
    request = request_to("", config=lumen(callback__tells=tells), job_handle={"job-id": "p1"})
    told = ask(request, "read_callback", payload)
    assert told is None if kind is None else isinstance(told, kind)


def test_a_webhook_that_comes_before_the_answer_to_the_submission_is_believed():
    assert isinstance(ask(request_to("", config=lumen()), "read_callback", event(state="dry", result=1)), Result)


def test_a_result_that_is_fetched_is_not_in_the_webhook():
    config = lumen(fetch={"path": "paintings/{{ job_id }}/canvas"})
    assert ask(request_to("", config=config), "read_callback", event(state="dry", result=1)) is None


BODY = json.dumps(event(state="dry")).encode()


def signed(*, at: float | None = None, body: bytes = BODY, secret: str = "hush", encoding: str = "hex", prefix: str = "sha256="):
    timestamp = str(int(time.time() if at is None else at))
    made = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).digest()
    text = made.hex() if encoding == "hex" else base64.b64encode(made).decode()
    return {"x-lumen-timestamp": timestamp, "x-lumen-signature": prefix + text}


def verify(headers, *, config=None, body: bytes = BODY) -> str:
    return str(ADAPTER.verify_callback(Delivery(tool="http.job", config=config or lumen(), headers=headers, body=body)))


def test_an_hmac_of_time_and_body_holds():
    assert verify(signed()) == ""


def test_any_of_several_signatures_is_enough():
    headers = signed()
    assert verify({**headers, "x-lumen-signature": f"sha256=00,sha256=zz, {headers['x-lumen-signature']}"}) == ""


def test_other_ways_to_write_it():
    config = lumen(callback__signature__encoding="base64", callback__signature__prefix=None, callback__signature__id_header="X-Lumen-Id")
    assert verify({**signed(encoding="base64", prefix=""), "x-lumen-id": "d1"}, config=config) == "d1"
    config = lumen(callback__signature__timestamp_header=None)
    plain = hmac.new(b"hush", BODY, hashlib.sha256).hexdigest()
    assert verify({"x-lumen-signature": f"sha256={plain}"}, config=config) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"x-lumen-signature": ""},
        {"x-lumen-signature": "sha256="},
        {"x-lumen-signature": "sha256=" + "0" * 64},
        {"x-lumen-signature": "\u00e4" * 64},
        {"x-lumen-timestamp": ""},
        {"x-lumen-timestamp": "soon"},
        {"x-lumen-timestamp": "9" * 300},
        {"x-lumen-timestamp": "-1"},
        {"x-lumen-timestamp": "٣"},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_whatever_was_tampered_with_is_refused(changes):
    with pytest.raises(CallbackRefusedError):
        verify({**signed(), **changes})


@pytest.mark.parametrize("seconds", [-310, 310])
def test_a_delivery_of_another_time_is_refused(seconds):
    with pytest.raises(CallbackRefusedError, match="another time"):
        verify(signed(at=time.time() + seconds))


@pytest.mark.parametrize(("body", "secret"), [(BODY + b" ", "hush"), (BODY, "other")])
def test_another_body_or_secret_is_refused(body, secret):
    with pytest.raises(CallbackRefusedError, match="does not hold"):
        verify(signed(secret=secret), body=body)


def test_without_a_secret_nothing_is_accepted(monkeypatch):
    monkeypatch.delenv("LUMEN_WEBHOOK_SECRET")
    with pytest.raises(CallbackRefusedError, match="LUMEN_WEBHOOK_SECRET"):
        verify(signed())


def test_standard_webhooks_and_none(monkeypatch):
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    monkeypatch.setenv("LUMEN_WEBHOOK_SECRET", secret)
    config = lumen(callback__signature={"kind": "standard-webhooks", "secret_env": "LUMEN_WEBHOOK_SECRET"})
    now = datetime.now(UTC)
    headers = {"webhook-id": "d1", "webhook-timestamp": str(int(now.timestamp()))}
    headers["webhook-signature"] = Webhook(secret).sign(msg_id="d1", timestamp=now, data=BODY.decode())
    assert verify(headers, config=config) == "d1"
    with pytest.raises(CallbackRefusedError):
        verify(headers, config=config, body=b"{}")
    assert verify({}, config=lumen(callback=None)) == ""


# The configuration


def problems(**changes) -> list[str]:
    return [str(problem) for problem in ADAPTER.config_problems(lumen(**changes))]


def test_the_example_has_no_problems_and_is_the_documentations():
    assert problems() == []
    text = (Path(__file__).parents[2] / "docs" / "tools" / "http-job.md").read_text()
    (documented,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert json.loads(documented) == EXAMPLE_CONFIG
    undescribed = [name for name in CONFIG_SCHEMA["properties"] if f"`{name}`" not in text]
    assert undescribed == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"submit__body": {"prompt": "{{ inputs.promt }}"}}, "config.submit.body.prompt: inputs has no 'promt'; did you mean 'prompt'?"),
        ({"submit__body": {"a": ["{{ steps.x }}"]}}, "config.submit.body.a[0]: there is no 'steps' here"),
        ({"submit__body": {"a": "{{ job_id }}"}}, "config.submit.body.a: there is no 'job_id' here"),
        ({"submit__body": {"a": "{% if %}"}}, "config.submit.body.a: "),
        ({"submit__body": {"{{ a }}": 1}}, "config.submit.body"),
        ({"poll__path": "x/{{ job_id"}, "config.poll.path: "),
        ({"poll__path": "https://elsewhere.test/{{ job_id }}"}, "config.poll.path: must be below base_url"),
        ({"poll__query": {"a": "{{ kept.way }}"}}, "config.poll.query.a: kept has no 'way'"),
        ({"poll__headers": {"X-A": "{{ callback_url }}"}}, "config.poll.headers['X-A']: there is no 'callback_url' here"),
        ({"cancel__path": "{{ inputs.x }}"}, "config.cancel.path: inputs has no 'x'"),
        ({"job_id": "a..b"}, "config.job_id: is no JMESPath expression"),
        ({"status": "["}, "config.status: is no JMESPath expression"),
        ({"files": ["a", "b["]}, "config.files[1]: is no JMESPath expression"),
        ({"kept": {"way": "@@"}}, "config.kept.way: is no JMESPath expression"),
        ({"cost__quantity": "!"}, "config.cost.quantity: is no JMESPath expression"),
        ({"callback__root": "{"}, "config.callback.root: is no JMESPath expression"),
        ({"callback__job_id": "{"}, "config.callback.job_id: is no JMESPath expression"),
        ({"statuses": {"a": "failed"}}, "config.statuses: must say which word means succeeded"),
        ({"submit__headers": {}, "recovery": "resend"}, "config.recovery: is resend, but"),
        ({"recovery": "lookup"}, "config.recovery: is lookup, which needs"),
        ({"own_id": True, "submit__headers": {}, "recovery": "none"}, "config.own_id: "),
        ({"callback__signature__secret_env": None}, "config.callback.signature.secret_env: is missing"),
        ({"callback__signature__header": ""}, "config.callback.signature.header: is missing"),
        ({"input_schema": {"type": "string"}}, "config.input_schema: must have the type object"),
        ({"input_schema": {"type": "object", "properties": 3}}, "config.input_schema"),
        ({"result_schema": {"type": "strange"}}, "config.result_schema"),
        ({"lookup": {"request": {"path": "{{ job_id }}"}, "job_id": "a["}}, "config.lookup.request.path: there is no 'job_id' here"),
        ({"lookup": {"request": {"path": "x"}, "job_id": "a["}}, "config.lookup.job_id: is no JMESPath expression"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_with_its_place(changes, problem):
    found = problems(**changes)
    assert [each for each in found if each.startswith(problem)], found


@pytest.mark.parametrize("name", ["submit", "poll", "statuses"])
def test_what_is_needed_must_be_there(site, name):
    with pytest.raises(ToolError, match=rf"config\.{name}") as raised:
        ask(request_to("", config=lumen(site.url(""), **{name: None})), "run")
    assert raised.value.code == "bad_config"


def test_a_configuration_with_problems_makes_no_request(site):
    with pytest.raises(ToolError, match=r"config\.submit\.body\.a: inputs has no 'b'") as raised:
        ask(request_to("", config=lumen(site.url(""), submit__body={"a": "{{ inputs.b }}"})), "run")
    assert (raised.value.code, raised.value.permanent, site.seen) == ("bad_config", True, [])


def test_params_result_and_recovery_follow_from_the_configuration():
    words = {"type": "object", "properties": {"words": {"type": "integer"}}}
    declared = ADAPTER.declares(lumen(input_schema=words, result_schema=words, recovery="none", submit__body={}))
    assert declared["input_schema"] == words
    assert declared["output_schema"]["properties"]["output"]["properties"] == words["properties"]
    assert declared["recovery"] == Recovery.NONE
    assert ADAPTER.declares({"submit": 3}) == {}
    assert ADAPTER.declares(lumen(status="[")) == {}
