"""One trace joins request, cast, steps and calls, though processes that know nothing of each other make its spans."""

import json
import signal
from collections.abc import Iterator, Mapping

import httpx2
import pytest

from generations.tools.http_client import certificates
from tests.collector import Collector, Span, collect
from tests.functional.provider import Provider
from tests.functional.site import Site

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "0af7651916cd43dd8448eb211c80319c"
UPSTREAM = "00f067aa0ba902b7"
SECRETS = ("hunter2-key", "hunter2-body", "hunter2-query", "hunter2-signature")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collect() as collector:
        yield collector


def start(site: Site, *, traceparent: str, inputs: Mapping[str, object]) -> tuple[str, httpx2.Response]:
    headers = {"Authorization": f"Bearer {site.key}", "traceparent": traceparent, "X-Request-ID": "edge-7", "Cookie": "hunter2-key"}
    answer = httpx2.post(
        f"{site.url}/api/v1/casts/?q=hunter2-query",
        json={"spell": "errands", "inputs": inputs},
        headers=headers,
        trust_env=False,
        verify=certificates(),
        timeout=60,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"]), answer


def only(spans: list[Span]) -> Span:
    [span] = spans
    return span


def stop(serving) -> str:
    serving.tell(signal.SIGTERM)
    assert serving.end() == 0, serving.said()
    return str(serving.said())


@pytest.mark.postgresql
def test_one_trace_joins_a_request_its_cast_its_steps_and_their_calls_over_processes(site: Site, provider: Provider, collector: Collector):
    site.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "GRIMOIRE_LOG_FORMAT": "json", "GRIMOIRE_LOG_LEVEL": "DEBUG"}
    serving = site.serve()
    cast_id, answer = start(site, traceparent=f"00-{TRACE}-{UPSTREAM}-01", inputs={"files": [f"{provider.url}/free/hunter2-body"]})
    assert site.wait_for_end(cast_id)["status"] == "succeeded"
    assert answer.headers["X-Request-ID"] == "edge-7"
    said = stop(serving)

    mine = [span for span in collector.spans if span.trace_id == TRACE]
    request = only([span for span in mine if span.parent_id == UPSTREAM])
    assert (request.kind, request.name, request.attributes["http.response.status_code"]) == ("server", "POST api/v1/casts/", 201)
    started = only(collector.children(request))
    assert started.name == "start cast"
    cast = only(collector.children(started))
    assert (cast.name, cast.attributes["grimoire.cast_id"]) == ("cast errands", cast_id)
    steps = collector.children(cast)
    assert {span.name for span in steps} == {"step fetch", "step report"}
    fetch = only([span for span in steps if span.name == "step fetch"])
    call = only(collector.children(fetch))
    assert (call.name, call.kind, call.attributes["grimoire.answer"]) == ("run file.fetch", "client", "result")
    http = only(collector.children(call))
    assert (http.name, http.attributes["server.address"], http.attributes["http.response.status_code"]) == ("GET", "127.0.0.1", 200)
    assert len({span.span_id for span in mine}) == len(mine)
    assert started.resource["process.pid"] != call.resource["process.pid"]
    assert {span.resource["service.name"] for span in mine} == {"grimoire"}
    assert cast.start <= fetch.start <= fetch.end <= cast.end
    told = b"".join(collector.bodies)
    assert not [secret for secret in SECRETS if secret.encode() in told]
    check_logs(said, cast_id=cast_id, generation_id=str(fetch.attributes["grimoire.generation_id"]), key=site.key)


def check_logs(said: str, *, cast_id: str, generation_id: str, key: str) -> None:
    """Hold what all processes wrote against what a log must be: JSON, joined by ids, and free of secrets."""
    lines = [line for line in said.splitlines() if line.strip()]
    by_us = ("Grimoire serves at", "Stopping", "Stopped.", "The conductor")  # said to a person
    events = [json.loads(line) for line in lines if not line.startswith(by_us)]
    assert all({"event", "level", "logger", "at"} <= set(event) for event in events)
    assert {"uvicorn.error", "django-q", "config.access", "casts.engine.measuring"} <= {event["logger"] for event in events}
    (started,) = (event for event in events if event["event"] == "cast.started")
    assert (started["cast_id"], started["request_id"], started["trace_id"]) == (cast_id, "edge-7", TRACE)
    (requested,) = (event for event in events if event["event"] == "request" and event["method"] == "POST")
    assert (requested["path"], requested["status"], requested["request_id"]) == ("/api/v1/casts/", 201, "edge-7")
    assert requested["trace_id"] == TRACE
    ended = next(event for event in events if event["event"] == "step.ended" and event["generation_id"] == generation_id)
    assert (ended["cast_id"], ended["status"]) == (cast_id, "succeeded")
    assert [event["cast_id"] for event in events if event["event"] == "cast.ended"] == [cast_id]
    assert key not in said
    assert not [secret for secret in SECRETS if secret in said]


@pytest.mark.sqlite
def test_only_sampled_traces_leave_spans_and_providers_are_told_only_if_a_setting_says_so(
    site: Site, provider: Provider, collector: Collector
):
    site.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    inputs = {"files": provider.urls(free=1, held=0)}
    serving = site.serve()
    unsampled, _ = start(site, traceparent=f"00-{TRACE}-{UPSTREAM}-00", inputs=inputs)
    assert site.wait_for_end(unsampled)["status"] == "succeeded"
    odd, _ = start(site, traceparent=f"ff-{TRACE}-{UPSTREAM}-01' OR 1=1", inputs={})
    site.wait_for_end(odd)
    told, _ = start(site, traceparent=f"00-{OTHER}-{UPSTREAM}-01", inputs=inputs)
    site.wait_for_end(told)
    stop(serving)
    assert [headers.get("traceparent") for headers in provider.headers] == [None, None]
    assert [span for span in collector.spans if span.trace_id == TRACE] == []
    traces = {span.attributes["grimoire.cast_id"]: span.trace_id for span in collector.named("cast ")}
    assert set(traces) == {odd, told}
    assert traces[told] == OTHER

    # The same for a cast of the terminal: it begins a trace of its own.
    site.environment |= {"GRIMOIRE_TRACE_PROVIDERS": "true"}
    conductor = site.start("conduct")
    said = site.run("cast", "errands", f"files={json.dumps(inputs['files'])}", "--watch")
    stop(conductor)
    parent = provider.headers[-1]["traceparent"]
    call = only([span for span in collector.named("GET") if span.span_id == parent[36:52]])
    cast = only([span for span in collector.named("cast ") if span.attributes["grimoire.cast_id"] in said])
    assert parent[3:35] == call.trace_id == cast.trace_id
    assert cast.trace_id not in (TRACE, OTHER)
