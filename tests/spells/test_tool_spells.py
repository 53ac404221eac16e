"""The spell by which a tool is run on its own."""

import pytest
from django.utils import timezone

from spells.models import Spell, SpellVersion, Tool
from spells.plan import plan_of
from spells.tool_spells import version_for
from tests.factories import SpellFactory, ToolFactory

pytestmark = pytest.mark.django_db

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}, "times": {"type": "integer"}}, "required": ["text"]}


def version_of(tool: Tool) -> SpellVersion:
    return version_for(tool=tool, now=timezone.now())


def test_it_asks_for_what_the_tool_asks_for_and_is_published():
    version = version_of(ToolFactory.create(slug="test.shout", name="Shout", input_schema=SCHEMA))
    assert version.input_schema == SCHEMA
    assert version.is_published
    assert (version.spell.slug, version.spell.owner, version.spell.visibility) == ("tool-test-shout", None, "listed")


@pytest.mark.parametrize("inputs", [{"text": "hey"}, {"text": "hey", "times": 3}, {"text": "{{ inputs.text }}", "more": {"a": [1, None]}}])
def test_its_step_gets_the_inputs_as_they_are_and_its_outputs_are_the_steps(inputs):
    plan = plan_of(version_of(ToolFactory.create(input_schema=SCHEMA)).pk)
    (step,) = plan.steps
    assert step.params({"inputs": inputs}) == inputs
    assert plan.outputs({"inputs": inputs, "steps": {"run": {"text": "HEY"}}}) == {"text": "HEY"}


def test_it_stays_the_same_until_the_schema_of_the_tool_changes():
    tool = ToolFactory.create(input_schema=SCHEMA)
    first = version_of(tool)
    assert version_of(tool) == first
    Tool.objects.filter(pk=tool.pk).update(input_schema={"type": "object"})
    second = version_of(Tool.objects.get(pk=tool.pk))
    assert (second.spell, second.number) == (first.spell, 2)
    assert Spell.objects.count() == 1


@pytest.mark.parametrize(
    ("slug", "made"), [("image.paint", "tool-image-paint"), ("a_b.c-d", "tool-a-b-c-d"), ("x" + ".y__" * 24, "tool-x" + "-y" * 24)]
)
def test_its_slug_is_one_of_a_spell(slug, made):
    spell = version_of(ToolFactory.create(slug=slug)).spell
    assert spell.slug == made
    spell.clean_fields(exclude=["name", "owner", "tags"])


def test_its_slug_gives_way_to_one_that_is_taken():
    for slug in ("tool-test-shout", "tool-test-shout-2"):
        SpellFactory.create(slug=slug)
    assert version_of(ToolFactory.create(slug="test.shout")).spell.slug == "tool-test-shout-3"
