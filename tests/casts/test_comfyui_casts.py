"""Casts with a step at a ComfyUI server."""

from typing import Any

import pytest

from generations.catalogue import sync_tools
from generations.models import Artifact, Generation
from spells.models import Tool
from tests.generations.comfy_server import ComfyServer, comfy_server

from .scenes import cast, statuses
from .test_conductor import conducting, ended, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture
def comfy():
    with comfy_server() as server:
        yield server


def painting(comfy: ComfyServer) -> Any:
    sync_tools()
    tool = Tool.objects.get(slug="comfyui")
    tool.config = {**tool.config, "base_url": comfy.url, "poll_seconds": 0.1, "listen_seconds": 0.3}
    tool.backoff_seconds, tool.max_backoff_seconds = 0.05, 0.1
    tool.save()
    step = {"key": "art", "tool": tool, "params": {"prompt": "a lighthouse", "steps": 3}}
    return cast(step, outputs={"image": "{{ steps.art.image }}"})


def test_a_workflow_is_followed_to_its_end_and_its_picture_is_the_initiators(comfy):
    comfy.open.clear()
    started = painting(comfy)
    with conducting():
        wait_for(
            lambda: (Generation.objects.get().progress or {}).get("preview") if Generation.objects.exists() else None, what="a preview"
        )
        assert Generation.objects.get().progress["stage"] == "KSampler (2 of 3)"
        comfy.open.set()
        wait_for(lambda: ended(started), what="the cast ends")
    assert started.status == "succeeded", started.error
    picture = Artifact.objects.get(pk=started.outputs["image"]["artifact"])
    assert (picture.owner_id, picture.mime_type) == (started.initiator_id, "image/png")
    generation = Generation.objects.get()
    assert generation.job_id == str(generation.idempotency_key)


def test_a_workflow_that_a_restart_forgot_is_made_again(comfy):
    comfy.open.clear()
    started = painting(comfy)
    with conducting():
        wait_for(lambda: comfy.running, what="the workflow is at work")
        comfy.forget()
        comfy.open.set()
        wait_for(lambda: ended(started), what="the cast ends")
    assert started.status == "succeeded", started.error
    assert statuses(started) == {"art": ["failed", "succeeded"]}
    assert Generation.objects.get(attempt=1).error["code"] == "job_lost"
    assert len(comfy.posted) == 2
