"""The tools that the example spells use beside those of the adapters."""

import pytest
from django.utils import timezone

from generations.catalogue import sync_tools
from generations.tools.examples import EXAMPLES, ExampleTool
from spells.models import Tool
from spells.tool_spells import version_for

from .toolbox import definitions


@pytest.mark.django_db
@pytest.mark.parametrize("example", EXAMPLES, ids=[example.slug for example in EXAMPLES])
def test_an_example_is_a_tool_like_its_model_with_a_config_of_its_own(example: ExampleTool):
    sync_tools()
    tool, like = Tool.objects.get(slug=example.slug), Tool.objects.get(slug=example.of)
    tool.full_clean()
    assert tool.adapter == like.adapter == example.adapter
    assert (tool.input_schema, tool.output_schema, tool.effects) == (like.input_schema, like.output_schema, "billed")
    assert tool.config == {**like.config, **example.config}
    assert tool.config["model"] == example.config["model"]


@pytest.mark.django_db
@pytest.mark.parametrize("example", EXAMPLES, ids=[example.slug for example in EXAMPLES])
def test_an_example_can_be_cast_on_its_own(example: ExampleTool):
    sync_tools()
    assert version_for(tool=Tool.objects.get(slug=example.slug), now=timezone.now()).is_published


def test_no_example_takes_the_name_of_a_declared_tool():
    assert not definitions().keys() & {example.slug for example in EXAMPLES}
