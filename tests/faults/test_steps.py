"""Steps whose tools are gone, whose outputs are strange, whose spells are edited (faults 18 to 20)."""

from typing import Any

import httpx2
import pytest
from knox.models import AuthToken

from generations.tools.http_client import certificates
from spells.models import Tool
from tests.casts import scenes
from tests.processes import wait_for

from .stage import LONG, Stage


def test_a_tool_that_is_gone_or_disabled_or_answers_nonsense_fails_its_cast_at_once_with_the_reason(stage: Stage):
    worker = stage.conduct()
    well = stage.step_tool()
    gone = scenes.tool("gone.tool", adapter="nobody.offers.this")
    disabled = scenes.tool("off.tool", adapter="fault.step")
    casts = {
        "adapter_not_found": stage.play({"key": "one", "tool": gone}),
        "bad_output": stage.play({"key": "one", "tool": well, "params": {"make": "undecodable"}}),
        "tool_disabled": stage.play(
            {"key": "one", "tool": well, "params": {"hold": "off"}},
            {"key": "two", "tool": disabled, "params": {"make": "{{ steps.one.n | string }}"}},
        ),
    }
    Tool.objects.filter(pk=disabled.pk).update(enabled=False)  # while a cast is on its way there
    stage.go("off")
    for code, cast in casts.items():
        stage.wait_for_status(cast, "failed")
        [row] = stage.books.ask(f"SELECT error FROM casts_cast WHERE id = '{stage.id_of(cast)}'")
        assert code in str(row["error"])
        assert [each["attempt"] for each in stage.attempts(cast)] == [1] * len(stage.attempts(cast))
    stage.check()
    stage.stop(worker)


# What is asked for, how the cast ends, and a word of what its one attempt then says.
STRANGE = {
    "nul": ("failed", "output.text contains a NUL character"),
    "surrogates": ("failed", "output.text"),
    "nan": ("failed", "bad_output"),
    "deep": ("failed", "bad_output"),
    "large": ("succeeded", "artifact"),
}


def test_strange_outputs_are_kept_as_artefacts_or_refused_and_their_casts_can_be_read(stage: Stage):
    web, worker = stage.web(), stage.conduct()
    casts = {what: stage.play({"key": "one", "tool": stage.step_tool(), "params": {"make": what}}) for what in STRANGE}
    _, key = AuthToken.objects.create(scenes.user())
    client = httpx2.Client(
        base_url=f"{stage.url}/api/v1/", headers={"Authorization": f"Bearer {key}"}, timeout=LONG, trust_env=False, verify=certificates()
    )
    for what, cast in casts.items():
        status, word = STRANGE[what]
        stage.wait_for_status(cast, status)
        assert client.get(f"casts/{cast}/").json()["status"] == status
        [generation] = client.get(f"casts/{cast}/generations/").json()["results"]
        assert word in f"{generation['output']} {generation['error']}"
    assert len(client.get("casts/").json()["results"]) == len(STRANGE)
    client.close()
    stage.check()
    stage.stop(worker, web)


@pytest.mark.parametrize("edit", ["renamed", "removed"])
def test_a_cast_follows_its_own_version_while_its_spell_is_edited(stage: Stage, edit: str):
    worker = stage.conduct()
    tool = stage.step_tool()
    one: dict[str, Any] = {"key": "one", "tool": tool, "params": {"name": "one", "hold": "it"}}
    two: dict[str, Any] = {"key": "two", "tool": tool, "params": {"name": "two", "make": "{{ steps.one.n | string }}"}}
    cast = stage.play(one, two, slug="edited", outputs={"n": "{{ steps.two.n }}"})
    wait_for("the first step runs", lambda: stage.runs("one"), seconds=LONG)
    edited = [one, {**two, "key": "deux"}] if edit == "renamed" else [one]
    other = stage.play(*edited, slug="edited", outputs={"n": f"{{{{ steps.{edited[-1]['key']}.n }}}}"})
    stage.go("it")
    stage.wait_for_status(cast)
    stage.wait_for_status(other)
    assert stage.told(cast) == [("one", "succeeded"), ("two", "succeeded")]
    assert stage.told(other) == [(step["key"], "succeeded") for step in edited]
    stage.check()
    stage.stop(worker)
