"""gradio, against a real Gradio app where there is one, and against pages that say what apps say."""

import asyncio
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from generations import keeping
from generations.artifacts import StoredArtifact
from generations.tools import registry
from generations.tools.contract import Progress, RemoteFile, Request, Result, ToolError
from generations.tools.event_stream import EventReader, EventTooLarge
from generations.tools.gradio_answers import failure
from generations.unfetched import Unfetched
from spells.schemas import check
from tests.peers.gradio_server import gradio_server

from .toolbox import definitions, keep, opened, picture, request_for
from .website import Website, website

ANYTHING: dict[str, Any] = {"type": "object"}


def calling(url: str, function: str, *data: Any, readable: Any = None, config: Any = None, **options: Any) -> Request:
    own = {"base_url": url, "function": function, "data": list(data), "input_schema": ANYTHING}
    return request_for("gradio", {"prompt": "a lighthouse"}, config={**own, **(config or {})}, readable=readable, **options)


def with_image(request: Request, image: StoredArtifact) -> Request:
    request.inputs["image"] = image.reference()  # type: ignore[index]
    return request


def run(request: Request) -> Result:
    adapter: Any = registry.get("gradio")
    result = asyncio.run(adapter.run(request))
    assert isinstance(result, Result)
    kept = asyncio.run(keeping.keep(result, request=request, adapter=adapter, seconds=30))
    assert isinstance(kept, Result), kept
    assert check(dict(kept.output), definitions()["gradio"].output_schema, path="output") == []
    return kept


def refused(request: Request) -> ToolError:
    adapter: Any = registry.get("gradio")
    with pytest.raises(ToolError) as error:
        asyncio.run(adapter.run(request))
    return error.value


# A real app


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with gradio_server(tmp_path_factory.mktemp("gradio")) as url:
        yield url


@pytest.mark.timeout(180)
@pytest.mark.xdist_group("gradio")
class TestRealApp:
    def test_values_come_back_with_their_types(self, app):
        output = run(calling(app, "greet", "{{ inputs.prompt }}", 2)).output
        assert output == {"output": ["hello hello a lighthouse", {"times": 2}], "files": []}

    def test_a_picture_goes_there_and_another_comes_back(self, app):
        image = keep(picture(width=60, height=40))
        output = run(with_image(calling(app, "/turn", "{{ inputs.image }}", readable={image.id: image}), image)).output
        assert opened(output["image"]).size == (40, 60)
        assert output["file"] == output["image"] == output["output"][0] == output["files"][0]
        assert output["image"]["source_url"].startswith(f"{app}/gradio_api/file=")

    def test_files_deep_in_the_output_are_kept(self, app):
        image = keep(picture(width=60, height=40))
        output = run(with_image(calling(app, "gallery", "{{ inputs.image }}", readable={image.id: image}), image)).output
        assert [shown["caption"] for shown in output["output"][0]] == ["first", "second"]
        assert all(shown["image"] in output["files"] for shown in output["output"][0])

    def test_a_function_that_yields_ends_with_its_last_value(self, app):
        heard: list[Progress] = []
        assert run(calling(app, "count", 3, on_progress=heard.append)).output["output"] == ["2"]
        assert heard

    def test_the_functions_own_words_are_told(self, app):
        error = refused(calling(app, "refuse", "no lighthouses today"))
        assert (error.code, error.permanent, error.ambiguous) == ("function_failed", True, False)
        assert "no lighthouses today" in error.message

    def test_a_function_that_crashes_is_told_without_its_secrets(self, app):
        error = refused(calling(app, "crash", "x"))
        assert (error.code, error.permanent, error.ambiguous) == ("function_failed", False, False)
        assert "secret" not in error.message

    def test_an_unknown_function_is_told(self, app):
        error = refused(calling(app, "no_such_function", "x"))
        assert error.ambiguous, "Gradio answers 500, which proves of no call that it was not made"
        assert "answered" in error.message


# What apps say


@pytest.fixture
def site():
    with website() as server:
        yield server


def serve(site: Website, *events: tuple[str, Any], prefix: str = "/gradio_api", raw: bytes | None = None) -> str:
    """Answer calls of `predict` with these events."""
    site.put(f"{prefix}/call/predict", {"event_id": "e1"})
    told = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events).encode() if raw is None else raw
    site.put(f"{prefix}/call/predict/e1", told, headers={"Content-Type": "text/event-stream"})
    return site.url().rstrip("/")


@pytest.mark.parametrize("prefix", ["/gradio_api", ""])
def test_both_kinds_of_addresses_are_understood(site, prefix):
    url = serve(site, ("heartbeat", None), ("generating", ["h"]), ("complete", ["hello", 1]), prefix=prefix)
    site.put(f"{prefix}/upload", ["/tmp/a.png"])
    image = keep(picture())
    output = run(with_image(calling(url, "predict", "{{ inputs.image }}", 1, readable={image.id: image}), image)).output
    assert output["output"] == ["hello", 1]
    sent = json.loads(next(seen.body for seen in site.seen if seen.path == f"{prefix}/call/predict"))
    assert sent["data"][0] == {
        "path": "/tmp/a.png", "orig_name": f"{image.id}.png", "mime_type": "image/png", "meta": {"_type": "gradio.FileData"},
    }  # fmt: skip


def test_files_are_had_from_the_app_itself_whatever_it_calls_itself(site):
    site.put("/gradio_api/file=/tmp/x%20y/image.png", picture())
    site.put("/gradio_api/file=/tmp/b.wav", b"RIFF1234WAVE")
    there = {
        "path": "/tmp/x y/image.png",
        "url": "http://localhost:7860/file=x",
        "orig_name": "image.png",
        "meta": {"_type": "gradio.FileData"},
    }
    older = {"path": "/tmp/b.wav", "url": None, "size": None, "orig_name": None, "mime_type": None, "is_stream": False}
    url = serve(site, ("complete", [there, {"audio": older, "path": "plain"}, there]))
    output = run(calling(url, "predict")).output
    assert [file["mime_type"] for file in output["files"]] == ["image/png", "audio/wav"]
    assert output["output"] == [output["files"][0], {"audio": output["files"][1], "path": "plain"}, output["files"][0]]
    assert "file" not in output


def test_a_file_elsewhere_is_fetched_from_there_by_the_usual_rules(site):
    url = serve(site, ("complete", [{"path": "http://10.0.0.1/a.png", "meta": {"_type": "gradio.FileData"}}]))
    adapter: Any = registry.get("gradio")
    request = calling(url, "predict")
    result = asyncio.run(adapter.run(request))
    assert result.output["file"] == RemoteFile(url="http://10.0.0.1/a.png")
    told = asyncio.run(keeping.keep(result, request=request, adapter=adapter, seconds=5))
    assert isinstance(told, Unfetched)
    assert (told.error.code, told.error.permanent) == ("output_not_kept", True)


def test_the_key_goes_with_each_request(site, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    site.put("/gradio_api/file=/tmp/a.png", picture())
    url = serve(site, ("complete", [{"path": "/tmp/a.png", "meta": {"_type": "gradio.FileData"}}]))
    run(calling(url, "predict", config={"api_key_env": "HF_TOKEN"}))
    assert [seen.headers["authorization"] for seen in site.seen] == ["Bearer hf_secret"] * 3


def test_an_app_cannot_have_itself_asked_with_the_key_for_more_than_files(site, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    site.put("/gradio_api/file=/tmp/a.png", picture())
    site.put("/config", picture())
    named = [{"path": site.url(path), "meta": {"_type": "gradio.FileData"}} for path in ("/config", "/gradio_api/file=/tmp/a.png")]
    run(calling(serve(site, ("complete", named)), "predict", config={"api_key_env": "HF_TOKEN"}))
    assert [seen.path for seen in site.seen[2:] if "authorization" in seen.headers] == ["/gradio_api/file=/tmp/a.png"]


def test_a_call_costs_what_the_tool_says(site):
    cost = run(calling(serve(site, ("complete", ["x"])), "predict", pricing={"per_call": "0.01"})).cost
    assert cost.usd == Decimal("0.01")


QUOTA = 'You have exceeded your GPU quota (60s requested vs. 12s left). <a href="https://hf.co">Subscribe</a> or try again in 1:02:03'


@pytest.mark.parametrize(
    ("data", "code", "permanent", "retry_after"),
    [
        (None, "function_failed", False, None),
        ({"error": None}, "function_failed", False, None),
        ("words", "function_failed", True, None),
        ({"error": QUOTA, "title": "ZeroGPU quota exceeded"}, "quota_exceeded", False, 3723.0),
        ({"error": "quota exceeded, retry in 30 s"}, "quota_exceeded", False, 30.0),
        ({"error": "GPU quota exceeded; try again in 1 day, 0:00:10"}, "quota_exceeded", False, 86410.0),
        ({"error": "No more quota."}, "quota_exceeded", True, None),
        ({"error": "No GPU was available after 60s. Retry later"}, "busy", False, None),
        ([1], "function_failed", False, None),
    ],
)
def test_failures_are_told_in_the_words_of_the_app(site, data, code, permanent, retry_after):
    error = refused(calling(serve(site, ("generating", ["x"]), ("error", data)), "predict"))
    assert (error.code, error.permanent, error.retry_after, error.ambiguous) == (code, permanent, retry_after, False)


def test_a_quota_is_told_in_words_without_markup():
    message = failure({"error": QUOTA, "title": "ZeroGPU quota exceeded"}).message
    assert message.startswith(
        "The app refuses by its quota: ZeroGPU quota exceeded: You have exceeded your GPU quota (60s requested vs. 12s left). Subscribe or"
    )


@pytest.mark.parametrize(
    ("raw", "code", "ambiguous"),
    [
        (b"", "connection_lost", True),
        (b"event: heartbeat\ndata: null\n\n", "connection_lost", True),
        (b"event: complete\ndata: no json\n\n", "bad_answer", True),
        (b'event: complete\ndata: {"a": 1}\n\n', "bad_answer", True),
        (b"event: complete\ndata: NaN\n\n", "bad_answer", True),
        (b"event: complete\ndata: [1]", "connection_lost", True),
        (b"event: complete\ndata: [" + b"[" * 100_000 + b"\n\n", "bad_answer", True),
        (b"event: complete\ndata: " + b"[" * 900 + b"]" * 900 + b"\n\n", "bad_answer", True),
        (b"event: error\ndata: no json\n\n", "function_failed", False),
    ],
)
def test_a_stream_that_says_nothing_certain(site, raw, code, ambiguous):
    error = refused(calling(serve(site, raw=raw), "predict"))
    assert (error.code, error.ambiguous) == (code, ambiguous)


@pytest.mark.parametrize("returned", [b"no json", b'{"a": 1}', b"[" * 900 + b"]" * 900])
def test_a_function_that_ended_is_paid_also_when_what_it_returned_cannot_be_read(site, returned):
    url = serve(site, raw=b"event: complete\ndata: " + returned + b"\n\n")
    error = refused(calling(url, "predict", pricing={"per_call": "0.01"}))
    assert (error.code, error.permanent, error.ambiguous, error.cost.usd) == ("bad_answer", True, True, Decimal("0.01"))


def test_a_stream_that_is_too_large_leaves_the_call_open(site, monkeypatch):
    monkeypatch.setattr("generations.tools.event_stream.MAX_EVENT_BYTES", 1000)
    error = refused(calling(serve(site, raw=b"event: complete\ndata: " + b"x" * 2000), "predict"))
    assert (error.code, error.permanent, error.ambiguous) == ("too_large", True, True)


def test_a_stream_that_is_refused_leaves_the_call_open(site):
    url = serve(site, ("complete", []))
    for status in (401, 422, 500):
        site.put("/gradio_api/call/predict/e1", {"detail": "Not you."}, status=status)
        assert refused(calling(url, "predict")).ambiguous


def test_a_stream_that_cannot_be_had_leaves_the_call_open(site):
    url = serve(site, ("complete", []))
    site.put("/gradio_api/call/predict/e1", {"detail": "gone"}, status=404)
    assert refused(calling(url, "predict")).ambiguous


@pytest.mark.parametrize("answer", [{}, [], {"event_id": 7}, {"event_id": ""}])
def test_a_call_without_an_event_is_ambiguous(site, answer):
    site.put("/gradio_api/call/predict", answer)
    error = refused(calling(site.url(), "predict"))
    assert (error.code, error.ambiguous) == ("bad_answer", True)


@pytest.mark.parametrize("answer", [[], {}, ["a", "b"], [7]])
def test_an_upload_that_names_no_file_is_definite(site, answer):
    site.put("/gradio_api/upload", answer)
    image = keep(picture())
    error = refused(with_image(calling(site.url(), "predict", readable={image.id: image}), image))
    assert (error.code, error.ambiguous) == ("bad_answer", False)
    assert [seen.path for seen in site.seen] == ["/gradio_api/upload"]


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [(401, "unauthorized", True), (422, "rejected", True), (503, "provider_error", False), (404, "not_found", True)],
)
def test_what_the_app_refuses_is_definite(site, status, code, permanent):
    site.put("/gradio_api/call/predict", {"detail": "The queue is full"}, status=status)
    error = refused(calling(site.url(), "predict"))
    assert (error.code, error.permanent, error.ambiguous) == (code, permanent, False)
    assert "The queue is full" in error.message


# Configuration and events


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"data": ["{{ inputs.promt }}"]}, "config.data[0]: inputs has no 'promt'"),
        ({"data": [{"deep": "{{ steps }}"}]}, "config.data[0].deep: there is no 'steps' here"),
        ({"input_schema": {"type": 7}}, "config.input_schema"),
    ],
)
def test_a_configuration_that_cannot_work_is_told_when_it_is_saved(config, told):
    config = {**definitions()["gradio"].config, **config}
    assert told in str(registry.get("gradio").config_problems(config)[0])


def test_a_configuration_declares_the_params():
    adapter, config = registry.get("gradio"), definitions()["gradio"].config
    assert adapter.declares(config) == {"input_schema": config["input_schema"]}
    assert adapter.declares({**config, "billed": True})["effects"] == "billed"


def test_events_are_read_however_they_are_cut():
    told = b"retry: 3\n: comment\n\nevent: a\r\ndata: 1\r\ndata:2\r\n\r\ndata: \xc3\xa9\nid: 7\n\nevent: lost\ndata: x\n"
    whole = [("a", "1\n2"), ("message", "é")]
    reader = EventReader()
    assert list(reader.read(told)) == whole
    reader = EventReader()
    assert [event for byte in told for event in reader.read(bytes([byte]))] == whole


def test_an_event_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("generations.tools.event_stream.MAX_EVENT_BYTES", 1000)
    reader = EventReader()
    for _ in range(10):
        assert list(reader.read(b"data: " + b"x" * 93 + b"\n")) == []
    with pytest.raises(EventTooLarge):
        list(reader.read(b"data: too much"))


def test_the_configuration_of_the_documentation_works():
    (text,) = re.findall(r"```json\n(.*?)```", (Path(__file__).parents[2] / "docs" / "tools" / "gradio.md").read_text(), re.DOTALL)
    adapter, config = registry.get("gradio"), json.loads(text)
    assert check(config, adapter.config_schema, path="config") == []
    assert adapter.config_problems(config) == []
