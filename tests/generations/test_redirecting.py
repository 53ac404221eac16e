from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from generations.catalogue import sync_tools
from generations.redirecting import redirect_tools
from spells.models import Tool
from spells.problems import ProblemsError
from tests.factories import ToolFactory

pytestmark = pytest.mark.django_db

OPENAI = "https://api.openai.com/v1"
FAKE = "http://127.0.0.1:8090/openai/v1"


@pytest.fixture(autouse=True)
def tools() -> None:
    Tool.objects.all().delete()
    ToolFactory(slug="chat.named", adapter="openai.chat", config={"base_url": f"{OPENAI}/", "model": "m"})
    ToolFactory(slug="chat.silent", adapter="openai.chat", config={"model": "m"})
    ToolFactory(slug="chat.elsewhere", adapter="openai.chat", config={"base_url": "https://api.openai.com/v10"})
    ToolFactory(slug="other", adapter="text.join")
    ToolFactory(slug="gone", adapter="house.gone", config={"base_url": OPENAI})


def base_urls() -> dict[str, str]:
    return {tool.slug: tool.config["base_url"] for tool in Tool.objects.all() if "base_url" in tool.config}


def test_tools_of_an_address_are_moved_also_those_that_do_not_name_it():
    assert [each.slug for each in redirect_tools(old=OPENAI, new=FAKE)] == ["chat.named", "chat.silent"]
    assert base_urls() == {"chat.named": FAKE, "chat.silent": FAKE, "chat.elsewhere": "https://api.openai.com/v10", "gone": OPENAI}
    assert Tool.objects.get(slug="chat.named").config["model"] == "m"
    assert redirect_tools(old=OPENAI, new=FAKE) == []


def test_the_beginning_of_an_address_is_enough_and_the_way_back_is_the_same():
    before = {"chat.named": OPENAI, "chat.silent": OPENAI, "chat.elsewhere": "https://api.openai.com/v10", "gone": OPENAI}
    assert len(redirect_tools(old="https://api.openai.com", new="http://127.0.0.1:8090/openai/")) == 3
    assert base_urls()["chat.named"] == FAKE
    redirect_tools(old="http://127.0.0.1:8090/openai", new="https://api.openai.com")
    assert base_urls() == before


@pytest.mark.parametrize("new", ["", "openai", "ftp://files", "http://a b", "https://" + "a" * 600])
def test_no_tool_is_moved_to_what_is_no_address(new: str):
    before = base_urls()
    with pytest.raises(ProblemsError, match=r"chat\.named cannot be moved"):
        redirect_tools(old=OPENAI, new=new)
    assert base_urls() == before


def test_the_command_tells_what_it_does_and_with_check_does_nothing():
    before, said = base_urls(), StringIO()
    call_command("redirect_tools", OPENAI, FAKE, "--check", stdout=said)
    assert said.getvalue() == f"chat.named base_url: {OPENAI} -> {FAKE}\nchat.silent base_url: {OPENAI} -> {FAKE}\n2 addresses to change.\n"
    assert base_urls() == before
    call_command("redirect_tools", OPENAI, FAKE, stdout=said)
    assert base_urls()["chat.named"] == FAKE


def test_the_command_says_what_is_wrong():
    with pytest.raises(CommandError, match="cannot be moved"):
        call_command("redirect_tools", OPENAI, "nowhere")


def test_other_addresses_of_a_tool_are_moved_too():
    ToolFactory(slug="fal.any", adapter="fal", config={"application": "a/b"})
    moved = redirect_tools(old="https://rest.fal.ai", new="http://127.0.0.1:8090/fal")
    assert [(each.slug, each.setting) for each in moved] == [("fal.any", "storage_url"), ("fal.any", "webhook_keys_url")]
    config = Tool.objects.get(slug="fal.any").config
    assert config["webhook_keys_url"] == "http://127.0.0.1:8090/fal/.well-known/jwks.json"
    assert "base_url" not in config


def test_a_sync_leaves_tools_where_they_were_moved():
    sync_tools()
    redirect_tools(old=OPENAI, new=FAKE)
    sync_tools()
    assert Tool.objects.get(slug="openai.chat").config["base_url"] == FAKE
