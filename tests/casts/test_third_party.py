"""docs/tools/third-party.md: its package is built, installed beside us as anybody would, and cast with."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from generations.artifacts import open_stored
from generations.catalogue import sync_tools
from generations.models import Artifact
from generations.tools import registry
from generations.tools.contract import Adapter
from spells.models import Tool
from tests.generations.website import Page, website

from .scenes import cast
from .test_conductor import conduct

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

TEXT = (Path(__file__).parents[2] / "docs" / "tools" / "third-party.md").read_text()
MODULE = "house_tools"


def files_of_the_page() -> dict[str, str]:
    return dict(re.findall(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder into which the package of the page was installed, from what its build made."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed: nothing here builds packages")
    source: Path = tmp_path_factory.mktemp("house-tools")
    target: Path = tmp_path_factory.mktemp("installed")
    for name, content in files_of_the_page().items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content)
    command = [
        uv,
        "pip",
        "install",
        "--offline",
        "--no-deps",
        "--no-cache",
        "--python",
        sys.executable,
        "--target",
        str(target),
        str(source),
    ]
    environment = {"PATH": str(Path(uv).parent), "HOME": str(source)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def press(installed, monkeypatch):
    """The adapter, found as other packages' are; and a press to print with."""
    monkeypatch.syspath_prepend(installed)
    monkeypatch.setenv("PRESS_API_KEY", "ink")
    registry.forget()
    sync_tools()
    with website() as site:
        config = {"base_url": site.url().rstrip("/"), "poll_seconds": 0.1}
        Tool.objects.filter(slug="house.press").update(config=config, backoff_seconds=0.05, max_backoff_seconds=0.1)
        yield site
    registry.forget()
    sys.modules.pop(MODULE, None)


def set_page() -> Any:
    tool = Tool.objects.get(slug="house.press")
    started = cast({"key": "set", "tool": tool, "params": {"text": "The lamp is out."}}, outputs={"page": "{{ steps.set.page }}"})
    conduct()
    started.refresh_from_db()
    return started


def test_the_page_shows_an_adapter_in_30_lines(press):
    code = files_of_the_page()[f"src/{MODULE}/__init__.py"]
    body = code.partition("class Press")[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 30
    adapter = registry.get("house.press")
    assert isinstance(adapter, Adapter)
    assert type(adapter).__module__ == MODULE
    assert "Press" not in str(registry.BUILT_IN)


def test_a_page_that_is_done_at_once_is_kept(press):
    press.put("/pages", {"url": press.put("/done.txt", b"The lamp is out.", headers={"Content-Type": "text/plain"})})
    started = set_page()
    assert started.status == "succeeded", started.error
    artifact = Artifact.objects.get(pk=started.outputs["page"]["artifact"])
    with open_stored(artifact.sha256) as file:
        assert file.read() == b"The lamp is out."
    assert press.seen[0].headers["authorization"] == "Bearer ink"


def test_a_page_that_takes_its_time_is_asked_for(press):
    press.put("/pages", {"id": "p1"})
    press.put("/pages/p1", {"url": press.put("/done.txt", b"page")}, before=[Page(body=b'{"percent": 40}')])
    started = set_page()
    assert started.status == "succeeded", started.error
    generation = started.generations.get()
    assert (generation.job_id, generation.progress["percent"], generation.progress["stage"]) == ("p1", 40, "at the press")
    assert [seen.path for seen in press.seen] == ["/pages", "/pages/p1", "/pages/p1", "/done.txt"]


@pytest.mark.parametrize(
    ("answer", "status", "code", "words"),
    [
        ({"why": "The ink is dry."}, 200, "refused_by_press", "The press refused: The ink is dry."),
        ({}, 404, "job_lost", "The press knows no such page."),
    ],
)
def test_what_became_of_a_job_that_failed_is_told(press, answer, status, code, words):
    press.put("/pages", {"id": "p1"})
    press.put("/pages/p1", answer, status=status)
    started = set_page()
    assert (started.status, started.error["code"]) == ("failed", code)
    assert words in started.error["message"]
