"""Casts with jobs at providers, over real HTTP both ways: the tools as they come, the fake provider, a web server, a conductor."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest

from casts.clock import database_now
from generations import artifacts
from generations.catalogue import declared_by_config, sync_tools
from generations.fakeprovider.prices import PRICES
from generations.models import Artifact, Callback, Generation
from generations.tools.pricing import plain
from spells.models import Tool
from tests.fakes import Serving, fake_provider
from tests.generations.test_replicate import noise

from .scenes import cast, statuses, user
from .test_conductor import conducting, ended, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture
def fake(monkeypatch, settings, live_server) -> Iterator[Serving]:
    """Serve a fake provider whose webhooks reach us."""
    settings.CALLBACK_ORIGIN = live_server.url
    # The server has no certificate: each request counts as one that came in by https.
    settings.SECURE_PROXY_SSL_HEADER = ("SERVER_PROTOCOL", "HTTP/1.1")
    with fake_provider() as serving:
        for name in ("REPLICATE_API_TOKEN", "FAL_KEY", "RUNPOD_API_KEY"):
            monkeypatch.setenv(name, serving.key)
        monkeypatch.setenv("REPLICATE_WEBHOOK_SECRET", serving.settings.webhook_secret)
        yield serving


def tool_of(slug: str, config: dict[str, Any], pricing: Mapping[str, str]) -> Tool:
    """Return a tool as it is once an operator has set it."""
    sync_tools()
    tool = Tool.objects.get(slug=slug)
    tool.config, tool.pricing = config, dict(pricing)
    tool.backoff_seconds, tool.max_backoff_seconds = 0.05, 0.1
    for name, value in declared_by_config(tool).items():
        setattr(tool, name, value)
    tool.save()
    return tool


def at_replicate(fake: Serving, **config: Any) -> Tool:
    base = {"base_url": f"{fake.url}/replicate/v1", "model": "a/b", "poll_seconds": 0.2}
    return tool_of("replicate", {**base, **config}, PRICES["replicate"])


def at_fal(fake: Serving, **config: Any) -> Tool:
    base = {
        "base_url": f"{fake.url}/fal",
        "application": "a/b",
        "webhook_keys_url": f"{fake.url}/fal/.well-known/jwks.json",
        "poll_seconds": 0.2,
    }
    return tool_of("fal", {**base, **config}, PRICES["fal"])


def at_a_provider_that_we_do_not_know(fake: Serving, **config: Any) -> Tool:
    """Describe RunPod, as if it had no adapter of its own."""
    base = {
        "base_url": f"{fake.url}/runpod/v2",
        "api_key_env": "RUNPOD_API_KEY",
        "input_schema": {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
        "submit": {"path": "painter/run", "body": {"input": {"prompt": "{{ inputs.prompt }}"}, "webhook": "{{ callback_url }}"}},
        "poll": {"path": "painter/status/{{ job_id }}"},
        "cancel": {"path": "painter/cancel/{{ job_id }}"},
        "statuses": {
            "IN_QUEUE": "running",
            "IN_PROGRESS": "running",
            "COMPLETED": "succeeded",
            "FAILED": "failed",
            "TIMED_OUT": "failed",
            "CANCELLED": "cancelled",
        },
        "result": "output",
        "callback": {"job_id": "id"},
        "cost": {"quantity": "executionTime", "unit": "per_millisecond"},
        "poll_seconds": 0.2,
    }
    pricing = {"per_millisecond": plain(Decimal(PRICES["runpod"]["per_second"]) / 1000)}
    return tool_of("http.job", {**base, **config}, pricing)


PROVIDERS = {
    "replicate": (at_replicate, {"input": {"prompt": "a fox"}}),
    "fal": (at_fal, {"input": {"prompt": "a fox"}}),
    "http.job": (at_a_provider_that_we_do_not_know, {"prompt": "a fox"}),
}


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return PROVIDERS[request.param]


def billed(fake: Serving) -> Decimal:
    return sum((Decimal(entry["usd"]) for entry in fake.ledger()), Decimal(0))


def run(tool: Tool, params: dict[str, Any]) -> Any:
    started = cast({"key": "art", "tool": tool, "params": params}, outputs={"files": "{{ steps.art.files }}"})
    with conducting():
        wait_for(lambda: ended(started), what="the cast ends")
    return started


def test_a_job_ends_in_files_that_are_the_initiators_and_costs_what_is_billed(fake, provider):
    make, params = provider
    started = run(make(fake), params)
    assert started.status == "succeeded", started.error
    (file,) = started.outputs["files"]
    kept = Artifact.objects.get(pk=file["artifact"])
    assert (kept.owner_id, kept.mime_type) == (started.initiator_id, "image/png")
    assert kept.source_url.startswith(fake.url)
    assert abs(started.cost_usd - billed(fake)) < Decimal("1e-9")
    assert len(fake.ledger()) == 1


def test_a_webhook_brings_the_end_where_polls_would_come_too_late(fake, provider):
    make, params = provider
    started = run(make(fake, poll_seconds=3600), params)
    assert started.status == "succeeded", started.error
    assert {callback.outcome for callback in Callback.objects.all()} == {"applied"}


def test_polls_make_up_for_webhooks_that_are_lost(fake, provider, settings):
    settings.CALLBACK_ORIGIN = ""
    make, params = provider
    assert run(make(fake), params).status == "succeeded"
    assert not Callback.objects.exists()


def test_a_job_that_fails_once_is_tried_again_and_all_of_it_is_charged(fake, provider):
    make, params = provider
    fake.tell(fail="CUDA out of memory")
    started = run(make(fake), params)
    assert started.status == "succeeded", started.error
    assert statuses(started) == {"art": ["failed", "succeeded"]}
    assert "CUDA out of memory" in Generation.objects.get(attempt=1).error["message"]
    assert abs(started.cost_usd - billed(fake)) < Decimal("1e-9")


def test_a_submission_whose_answer_was_lost_is_not_sent_again(fake, provider):
    make, params = provider
    tool = make(fake, poll_seconds=3600)
    fake.tell(drop="after", webhooks="lose")
    started = cast({"key": "art", "tool": tool, "params": params})
    with conducting():
        wait_for(lambda: Generation.objects.filter(status="unknown").exists(), what="the call is unknown")
    assert statuses(started) == {"art": ["unknown"]}
    assert len(fake.ledger()) <= 1


def test_a_file_of_the_initiator_goes_to_the_provider(fake):
    stored = artifacts.store(noise(300, 300), mime_type="image/png")
    (row,) = artifacts.record([stored], owner_id=user().pk, generation_id=None, now=database_now())
    row.save()
    started = run(at_replicate(fake, model="a/upscaler"), {"input": {"image": stored.reference()}})
    assert started.status == "succeeded", started.error
    (file,) = started.outputs["files"]
    assert file["sha256"] != stored.sha256
