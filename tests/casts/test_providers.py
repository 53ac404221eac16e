"""Casts whose steps call OpenAI, RunPod and ComfyDeploy, conducted against the fake provider: real calls, files and costs."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from casts.conductor import Conductor
from casts.conductor.pace import Pace
from casts.models import Cast
from casts.models.conductor import ConductorKind
from generations.artifacts import open_stored
from generations.catalogue import sync_tools
from generations.fakeprovider.prices import PRICES
from generations.models import Artifact, Generation
from generations.tools.pricing import plain
from spells.models import PriceTable, Tool
from tests.fakes import Serving, fake_provider

from .scenes import cast

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

# Where each tool finds the fake provider, what it must be told besides, and which of its prices it has.
TOOLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "openai.chat": ("/openai/v1", {"model": "tale-1"}, "openai"),
    "openai.responses": ("/openai/v1", {"model": "tale-2", "poll_seconds": 0.1}, "openai"),
    "openai.image": ("/openai/v1", {"model": "gpt-image-1"}, "openai.images"),
    "runpod": ("/runpod/v2", {"endpoint": "ep1", "poll_seconds": 0.1}, "runpod"),
    "comfydeploy": ("/comfydeploy/api", {"deployment_id": "d1", "poll_seconds": 0.1}, "comfydeploy"),
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with fake_provider() as fake:
        monkeypatch.setenv("FAKE_KEY", fake.key)
        sync_tools()
        for slug, (path, config, prices) in TOOLS.items():
            tool = Tool.objects.get(slug=slug)
            tool.config = {**tool.config, "base_url": fake.url + path, "api_key_env": "FAKE_KEY", **config}
            tool.pricing, tool.backoff_seconds, tool.max_backoff_seconds = dict(PRICES[prices]), 0.05, 0.1
            tool.save()
        yield fake


def step(slug: str, **values: Any) -> dict[str, Any]:
    return {"tool": Tool.objects.get(slug=slug), **values}


def conducted(started: Cast) -> Cast:
    """Conduct in this thread until nothing is due for a while."""
    asyncio.run(Conductor(kind=ConductorKind.TASK, pace=Pace.of_settings(shift=60.0, linger=2.0)).run())
    started.refresh_from_db()
    return started


def billed(fake: Serving) -> Decimal:
    return sum((Decimal(entry["usd"]) for entry in fake.ledger()), Decimal(0))


def test_a_chain_over_all_of_them_ends_with_its_files_kept_and_its_cost_as_the_ledger_has_it(fake: Serving):
    started = cast(
        step("openai.chat", key="plan", params={"prompt": "Summarise:\n\nA fox came. It went."}),
        step("openai.responses", key="think", params={"prompt": "{{ steps.plan.text }}", "response_format": "json"}),
        step("openai.image", key="paint", params={"prompt": "{{ steps.plan.text }}", "size": "256x256", "n": 2}),
        step("openai.image", key="change", params={"prompt": "redder", "images": ["{{ steps.paint.image }}"]}),
        step("runpod", key="pod", params={"input": {"prompt": "a fox", "image": "{{ steps.change.image }}"}}),
        step("comfydeploy", key="comfy", params={"inputs": {"prompt": "a fox", "width": 64, "height": 64}}),
        step("image.contact_sheet", key="sheet", params={"images": ["{{ steps.paint.images[1] }}", "{{ steps.pod.image }}", "{{ steps.comfy.image }}"]}),
        outputs={"sheet": "{{ steps.sheet.image }}"},
    )  # fmt: skip
    conducted(started)
    assert started.status == "succeeded", started.error
    assert started.cost_usd == billed(fake) > 0
    pictures = Artifact.objects.filter(generation__cast=started, generation__step__tool__category__in=("image", "model"))
    # 2 painted, 1 changed, 1 of RunPod's, 1 of ComfyDeploy's, 1 sheet
    assert pictures.count() == 6
    for artifact in pictures:
        with open_stored(artifact.sha256) as file:
            assert file.read(4) == b"\x89PNG"
    pod = Generation.objects.get(step__key="pod")
    assert pod.job_id
    assert pod.output is not None
    assert pod.output["output"] == {"images": [pod.output["image"]]}
    assert "base64" not in str(list(Generation.objects.values_list("output", flat=True)))


def test_a_cost_is_explained_by_the_prices_of_its_time(fake: Serving):
    started = conducted(cast(step("runpod", params={"input": {"prompt": "a fox"}})))
    before = Generation.objects.get(cast=started)
    tool = Tool.objects.get(slug="runpod")
    Tool.objects.filter(pk=tool.pk).update(pricing={"per_second": "9"})
    later = conducted(cast(step("runpod", params={"input": {"prompt": "a fox"}})))
    after = Generation.objects.get(cast=later)
    for generation, each in ((before, PRICES["runpod"]["per_second"]), (after, "9")):
        basis = generation.cost_basis
        table = PriceTable.objects.get(tool=tool, number=basis["table"])
        assert (basis["unit"], basis["price"], table.prices) == ("second", each, {"per_second": each})
        assert generation.cost_usd is not None
        assert plain(generation.cost_usd) == plain(Decimal(basis["quantity"]) * Decimal(each))
    assert after.cost_basis["table"] == before.cost_basis["table"] + 1


@pytest.mark.parametrize("slug", ["openai.responses", "runpod", "comfydeploy"])
def test_a_job_that_fails_is_run_again_and_both_are_paid(fake: Serving, slug: str):
    params = {"openai.responses": {"prompt": "x"}, "runpod": {"input": {"prompt": "x"}}, "comfydeploy": {"inputs": {"prompt": "x"}}}[slug]
    fake.tell(fail="It tripped.")
    started = conducted(cast(step(slug, params=params)))
    assert started.status == "succeeded", started.error
    failed, succeeded = Generation.objects.filter(cast=started).order_by("attempt")
    assert (failed.status, failed.error["code"]) == ("failed", "provider_failed")
    assert "It tripped." in failed.error["message"]
    assert succeeded.status == "succeeded"
    assert started.cost_usd == billed(fake) > 0


@pytest.mark.parametrize("slug", ["openai.chat", "openai.image", "openai.responses"])
def test_a_lost_answer_is_asked_for_again_where_the_server_honours_our_key(fake: Serving, slug: str):
    tool = Tool.objects.get(slug=slug)
    Tool.objects.filter(pk=tool.pk).update(config={**tool.config, "idempotency_key_header": True})
    sync_tools()
    fake.tell(dialect="openai", drop="after")
    started = conducted(cast(step(slug, params={"prompt": "x"})))
    assert started.status == "succeeded", started.error
    assert Generation.objects.filter(cast=started).count() == 2
    assert len(fake.ledger()) == 1


@pytest.mark.parametrize("slug", ["openai.chat", "runpod"])
def test_a_lost_answer_is_unknown_where_it_does_not(fake: Serving, slug: str):
    params = {"openai.chat": {"prompt": "x"}, "runpod": {"input": {"prompt": "x"}}}[slug]
    fake.tell(drop="after")
    conducted(cast(step(slug, params=params)))
    assert Generation.objects.get().status == "unknown"
