"""docs/tools.md, held against the code."""

import re
import sys
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from generations.artifacts import Workbench
from generations.catalogue import sync_tools
from generations.tools import registry
from generations.tools.contract import Request, ToolError
from generations.tools.examples import EXAMPLES
from spells.models import Tool
from spells.schemas import check, check_schema, complete

from .toolbox import definitions

TEXT = (Path(__file__).parents[2] / "docs" / "tools.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_each_built_in_tool_is_listed_once():
    listed = sorted(re.findall(r"^\| `([\w.-]+)` \|", TEXT, re.MULTILINE))
    assert listed == sorted([*definitions(), *(example.slug for example in EXAMPLES)])


def test_each_example_is_listed_with_its_model():
    for example in EXAMPLES:
        assert f"| `{example.slug}` | `{example.adapter}` | {example.config['model']} |\n" in TEXT


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([\w./-]+)\)", TEXT):
        assert (Path(__file__).parents[2] / "docs" / target).exists()


@pytest.fixture
def house_tools(tmp_path, monkeypatch):
    """The package of the document: its code, installed under the entry point that it names."""
    (code,), (entry_point,) = blocks("python"), blocks("toml")
    (tmp_path / "house_tools.py").write_text(code)
    info = tmp_path / "house_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house-tools\nVersion: 1.0\n")
    header, _, line = entry_point.strip().partition("\n")
    assert header == '[project.entry-points."grimoire.adapters"]'
    (info / "entry_points.txt").write_text("[grimoire.adapters]\n" + line.replace('"', ""))
    monkeypatch.syspath_prepend(tmp_path)
    registry.forget()
    yield
    registry.forget()
    sys.modules.pop("house_tools", None)


def test_the_adapter_of_the_document_works(house_tools):
    adapter = registry.get("house.shout")
    (definition,) = adapter.definitions
    assert check_schema(definition.input_schema, path="input_schema") == []
    assert check_schema(definition.output_schema, path="output_schema") == []
    assert shout(adapter, **definition.example) == {"text": "THE LAMP IS OUT!"}
    with pytest.raises(ToolError, match="nothing to shout"):
        shout(adapter, text=" ")


def shout(adapter, **inputs):
    (definition,) = adapter.definitions
    request = Request(
        tool="house.shout", config={}, pricing={}, inputs=complete(inputs, definition.input_schema), generation_id=uuid7(), cast_id=uuid7(),
        attempt=1, idempotency_key=uuid7(), timeout_seconds=5, workbench=Workbench(),
    )  # fmt: skip
    output = dict(adapter.run(request).output)
    assert check(output, definition.output_schema, path="output") == []
    return output


@pytest.mark.django_db
def test_a_sync_makes_the_tool_of_the_document(house_tools):
    sync_tools()
    assert Tool.objects.get(slug="house.shout").adapter == "house.shout"
