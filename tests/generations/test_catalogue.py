from io import StringIO

import pytest
from django.core.management import call_command, load_command_class

from generations.catalogue import Outcome, sync_tools
from generations.tools.examples import example_definitions
from spells.models import Provider, Tool
from tests.factories import ToolFactory

from .test_registry import ECHO, offer  # noqa: F401 - a fixture
from .toolbox import definitions

pytestmark = pytest.mark.django_db


def in_the_catalogue() -> list[str]:
    """Return the slugs of what the adapters declare and of the examples, which name models that they can call."""
    return sorted([*definitions(), *(definition.slug for _, definition in example_definitions())])


def outcomes(changes) -> dict[str, Outcome]:
    return {change.slug: change.outcome for change in changes}


@pytest.fixture(autouse=True)
def empty_catalogue():
    Tool.objects.all().delete()


def test_the_first_sync_creates_each_built_in_tool():
    assert outcomes(sync_tools()) == dict.fromkeys(in_the_catalogue(), Outcome.CREATED)
    tool = Tool.objects.get(slug="image.paint")
    assert tool.adapter == "image.paint"
    assert tool.enabled
    assert tool.input_schema["properties"]["prompt"]["maxLength"] == 4000


def test_a_provider_that_a_tool_names_is_made_once_and_then_left_to_the_operator():
    sync_tools()
    openai = Provider.objects.get(slug="openai")
    assert {"openai.chat", "openai.image", "openai.responses"} <= set(openai.tools.values_list("slug", flat=True))
    Provider.objects.filter(slug="openai").update(max_in_flight=3, name="Ours")
    Tool.objects.filter(slug="openai.chat").update(provider=None)
    Tool.objects.filter(slug="openai.image").delete()
    sync_tools()
    openai.refresh_from_db()
    assert (openai.name, openai.max_in_flight) == ("Ours", 3)
    assert Tool.objects.get(slug="openai.chat").provider is None
    assert Tool.objects.get(slug="openai.image").provider == openai


def test_a_second_sync_changes_nothing():
    sync_tools()
    stamps = dict(Tool.objects.values_list("slug", "updated_at"))
    assert set(outcomes(sync_tools()).values()) == {Outcome.UNCHANGED}
    assert dict(Tool.objects.values_list("slug", "updated_at")) == stamps


def test_what_code_declares_is_restored():
    sync_tools()
    Tool.objects.filter(slug="text.join").update(name="Old", input_schema={}, effects="billed")
    (change,) = (change for change in sync_tools() if change.slug == "text.join")
    assert change.outcome is Outcome.UPDATED
    assert change.detail == "name, input_schema, effects"
    tool = Tool.objects.get(slug="text.join")
    assert (tool.name, tool.effects) == ("Join texts", "pure")
    assert "items" in tool.input_schema["properties"]


def test_what_the_operator_set_is_kept():
    sync_tools()
    operators = {
        "enabled": False,
        "max_in_flight": 3,
        "max_per_minute": 10,
        "config": {"model": "mine"},
        "pricing": {"input_per_million": "1"},
        "run_timeout_seconds": 7,
        "deadline_seconds": 8,
        "max_attempts": 9,
        "backoff_seconds": 0.5,
        "max_backoff_seconds": 2.0,
        "retry_lost_jobs": True,
    }
    Tool.objects.filter(slug="openai.chat").update(**operators, description="Old")
    sync_tools()
    tool = Tool.objects.get(slug="openai.chat")
    assert {name: getattr(tool, name) for name in operators} == operators
    assert tool.description != "Old"


def test_a_check_writes_nothing_and_reports_the_same():
    ToolFactory(slug="gone.tool", adapter="gone")
    told = sync_tools(write=False)
    assert Tool.objects.count() == 1
    assert Tool.objects.get().enabled
    assert told == sync_tools()


def test_a_tool_whose_adapter_is_gone_is_disabled_and_reported():
    ToolFactory(slug="gone.tool", adapter="gone")
    (change,) = (change for change in sync_tools() if change.slug == "gone.tool")
    assert (change.outcome, change.detail) == (Outcome.DISABLED, "its adapter gone is gone")
    assert not Tool.objects.get(slug="gone.tool").enabled
    (again,) = (change for change in sync_tools() if change.slug == "gone.tool")
    assert (again.outcome, again.enabled) == (Outcome.UNCHANGED, False)


def test_an_operators_own_tool_is_left_alone():
    ToolFactory(slug="house.chat", adapter="openai.chat", name="Ours")
    assert "house.chat" not in outcomes(sync_tools())
    assert Tool.objects.get(slug="house.chat").name == "Ours"


def test_a_slug_that_an_operator_took_is_theirs():
    ToolFactory(slug="text.join", adapter="openai.chat", name="Ours")
    assert outcomes(sync_tools())["text.join"] is Outcome.TAKEN
    assert Tool.objects.get(slug="text.join").name == "Ours"


def test_a_built_in_tool_of_a_renamed_adapter_gets_the_new_one():
    ToolFactory(slug="text.join", adapter="text.concat")
    assert outcomes(sync_tools())["text.join"] is Outcome.UPDATED
    assert Tool.objects.get(slug="text.join").adapter == "text.join"


DECLARED = (
    ECHO
    + """
        from generations.tools.contract import ToolDefinition
        definitions = (
            ToolDefinition(
                slug="gift.echo", name="Echo", description="Says it again.", category="gifts", input_schema={"type": "object"},
                output_schema={"type": "object"}, example={"text": "hello"},
            ),
            ToolDefinition(
                slug="text.join", name="Mine now", description="", category="", input_schema={}, output_schema={}, example={},
            ),
        )
"""
)


def test_another_packages_tools_are_made_but_cannot_take_ours(offer):  # noqa: F811 - the fixture
    offer({"gift.echo": "grimoire_gifts:Echo"}, code=DECLARED)
    assert outcomes(sync_tools())["gift.echo"] is Outcome.CREATED
    assert Tool.objects.get(slug="gift.echo").adapter == "gift.echo"
    assert Tool.objects.get(slug="text.join").name == "Join texts"


def test_a_package_that_cannot_be_loaded_is_reported_and_its_tools_wait(offer):  # noqa: F811 - the fixture
    ToolFactory(slug="gift.echo", adapter="gift.echo")
    offer({"gift.echo": "grimoire_gifts:Nothing", "gift.more": "grimoire_gifts:Nothing"}, code=ECHO)
    told = {change.slug: change for change in sync_tools()}
    assert told["gift.echo"].outcome is told["gift.more"].outcome is Outcome.BROKEN
    assert "AttributeError" in told["gift.echo"].detail
    assert Tool.objects.get(slug="gift.echo").enabled


def command(*arguments: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("sync_tools", *arguments, stdout=out, no_color=True)
    except SystemExit as error:
        return out.getvalue(), int(error.code or 0)
    return out.getvalue(), 0


def test_the_command_lists_what_it_did():
    told, status = command()
    assert status == 0
    width = max(map(len, in_the_catalogue()))
    assert f"{'image.paint':<{width}}  created\n" in told
    assert told.endswith(f"{len(in_the_catalogue())} tools, {len(in_the_catalogue())} changed.\n")
    Tool.objects.filter(slug="text.join").update(enabled=False)
    assert f"{'text.join':<{width}}  unchanged  (not enabled)\n" in command()[0]


def test_the_commands_check_exits_1_while_something_would_change():
    told, status = command("--check")
    assert (status, Tool.objects.count()) == (1, 0)
    assert "to change" in told
    command()
    assert command("--check")[1] == 0


def test_the_commands_help_teaches():
    text = load_command_class("generations", "sync_tools").create_parser("manage.py", "sync_tools").format_help()
    assert "manage.py sync_tools --check" in text
    assert "docs/tools.md" in text
