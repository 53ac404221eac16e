"""The way of a provider's files through a cast: fetched when the answer comes, whoever brings it."""

from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from casts.engine import fetches
from generations import remote_files
from generations.artifacts import open_stored
from generations.catalogue import sync_tools
from generations.models import Artifact, Generation
from generations.tools import registry
from generations.tools.contract import Adapter, Cost, Progress, RemoteFile, Request, Result, Submitted
from spells.models import Tool
from tests.api import ApiClient, client_of, get
from tests.factories import UserFactory
from tests.generations.website import Page, website

from .scenes import billed, cast
from .test_conductor import conduct

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

COST = Cost(usd=Decimal("0.25"))
CONFIG = {"allow_private_addresses": True}


class Painter(Adapter):
    """Leaves its picture on its own server: at once, or as a job."""

    key = "test.painter"
    config_schema = {"type": "object"}

    async def run(self, request: Request) -> Result | Submitted:
        return Submitted(job_id="job", poll_after=0.05) if request.inputs.get("later") else self._result(request)

    async def poll(self, request: Request, job_id: str) -> Result | Progress:
        return self._result(request)

    def _result(self, request: Request) -> Result:
        return Result(output={"images": [RemoteFile(url=request.inputs["url"])]}, cost=COST)


@pytest.fixture(autouse=True)
def painter(monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN, Painter.key, f"{__name__}:Painter")
    monkeypatch.setattr(remote_files, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(fetches, "FIRST_WAIT_SECONDS", 0.1)
    registry.forget()
    yield
    registry.forget()


@pytest.fixture
def site():
    with website() as server:
        yield server


def paint(**inputs: Any) -> Any:
    tool = billed(Painter.key, config=CONFIG, backoff_seconds=0.05, max_backoff_seconds=0.1)
    started = cast({"key": "art", "tool": tool, "params": inputs}, outputs={"image": "{{ steps.art.images[0] }}"})
    conduct()
    started.refresh_from_db()
    return started


@pytest.mark.parametrize("later", [False, True])
def test_files_of_a_result_are_artefacts_of_the_initiator(site, later):
    url = site.put("/a.png", b"\x89PNG\r\n\x1a\n and so on", before=[Page(status=503)])
    started = paint(url=url, later=later)
    artifact = Artifact.objects.get()
    assert started.status == "succeeded"
    assert started.outputs["image"]["artifact"] == str(artifact.pk)
    assert (artifact.owner_id, artifact.source_url, artifact.mime_type) == (started.initiator_id, url, "image/png")
    assert started.outputs["image"]["source_url"] == url
    with open_stored(artifact.sha256) as file:
        assert file.read().endswith(b"and so on")


def test_a_large_value_can_be_queried_by_a_later_step(settings, monkeypatch):
    settings.LARGE_VALUE_BYTES = 4096
    sync_tools()
    rows = {"key": "rows", "tool": Tool.objects.get(slug="text.split"), "params": {"text": "line\n" * 5000, "by": "lines"}}
    last = {"key": "last", "tool": Tool.objects.get(slug="json.query"), "params": {"value": "{{ steps.rows.parts }}", "query": "[-1]"}}
    started = cast(rows, last, outputs={"last": "{{ steps.last.value }}"})
    conduct()
    started.refresh_from_db()
    assert started.status == "succeeded", started.error
    assert started.outputs["last"] == "line"
    assert Generation.objects.get(step__key="rows").output["parts"]["preview"].startswith('["line","line"')


@pytest.mark.parametrize("later", [False, True])
def test_a_file_that_cannot_be_fetched_yet_is_fetched_later_and_nothing_is_called_again(site, later):
    """More failures than one answer is tried for: its provider's storage is away for a while."""
    url = site.put("/a.png", b"\x89PNG\r\n\x1a\n and so on", before=[Page(status=503) for _ in range(10)])
    started = paint(url=url, later=later)
    assert started.status == "succeeded", started.error
    generation = Generation.objects.get()
    assert (generation.attempt, generation.cost_usd, started.cost_usd) == (1, COST.usd, COST.usd)
    assert started.outputs["image"]["source_url"] == url
    assert len(site.seen) == 11


@pytest.mark.parametrize("later", [False, True])
def test_a_file_that_cannot_be_had_fails_the_step_once_and_its_cost_is_booked(site, later):
    started = paint(url=site.put("/gone.png", b"", status=404), later=later)
    assert (started.status, started.error["code"]) == ("failed", "output_not_kept")
    assert "/gone.png could not be fetched: 127.0.0.1 answered 404" in started.error["message"]
    assert started.cost_usd == COST.usd
    generation = Generation.objects.get()
    assert (generation.attempt, generation.cost_usd) == (1, COST.usd)
    assert not Artifact.objects.exists()


def test_what_could_not_be_fetched_is_shown_to_its_owner_and_to_operators(site):
    url = site.put("/gone.png", b"", status=404)
    started = paint(url=f"{url}?signature=abc", later=False)
    generation = Generation.objects.get()
    told = get(client_of(started.initiator), f"/generations/{generation.pk}/").json()
    assert told["unfetched"]["files"] == [{"at": ["images", 0], "url": f"{url}?signature=abc", "name": "", "mime_type": ""}]
    assert (told["output"], told["cost_usd"]) == (None, "0.25")
    operator = ApiClient()
    operator.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    for name, row in (("casts_cast", started), ("generations_generation", generation)):
        assert "signature=abc" in operator.get(reverse(f"admin:{name}_change", args=[row.pk])).content.decode()
