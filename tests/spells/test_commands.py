"""import_spell and export_spell, as they are typed."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from spells.documents import parse
from spells.models import Spell, SpellVersion
from spells.naming import version_named
from tests.factories import SpellFactory, ToolFactory, UserFactory, published

pytestmark = pytest.mark.django_db

TEXT = """\
slug: a-spell
name: A spell
visibility: private
inputs:
  theme:
    type: string
steps:
  - key: only
    tool: t.any
    params:
      x: '{{ inputs.theme }}'
"""


@pytest.fixture(autouse=True)
def tool(db: None) -> None:
    ToolFactory(slug="t.any")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a-spell.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def run(*arguments: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_spell_is_imported_as_a_draft_and_published(file: Path) -> None:
    mara = UserFactory.create(username="mara")
    assert run("import_spell", file, "--owner", "mara") == ("a-spell version 1 saved as a draft.\n", "")
    assert run("import_spell", file) == ("a-spell version 1 saved as a draft.\n", "")
    assert run("import_spell", file, "--publish") == ("a-spell version 1 published.\n", "")
    assert run("import_spell", file) == ("a-spell version 2 saved as a draft.\n", "")
    assert Spell.objects.get().owner == mara


def test_export_gives_back_what_was_imported(file: Path, tmp_path: Path) -> None:
    UserFactory(is_superuser=True)
    run("import_spell", file, "--publish")
    assert run("export_spell", "a-spell") == (TEXT, "")
    assert run("export_spell", "a-spell@1") == (TEXT, "")
    out, _ = run("export_spell", "a-spell", "--format", "json")
    assert parse(out, format="json") == parse(TEXT, format="yaml")
    written = tmp_path / "out.json"
    assert run("export_spell", "a-spell", "--format", "json", "--output", written) == ("", f"Wrote {written}.\n")
    assert written.read_text(encoding="utf-8") == out
    assert run("import_spell", written)[0] == "a-spell version 2 saved as a draft.\n"


def test_a_spell_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    UserFactory(is_superuser=True)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert run("import_spell", "-")[0] == "a-spell version 1 saved as a draft.\n"


def test_problems_are_listed_with_their_places_and_nothing_is_published(file: Path) -> None:
    UserFactory(is_superuser=True)
    file.write_text(TEXT.replace("inputs.theme", "inputs.them").replace("t.any", "t.an"), encoding="utf-8")
    with pytest.raises(CommandError) as caught:
        run("import_spell", file, "--publish")
    assert str(caught.value).splitlines() == [
        f"{file} cannot be published:",
        "  steps.only.tool: there is no tool 't.an'; did you mean 't.any'?",
        "  steps.only.params.x: inputs has no 'them'; did you mean 'theme'?",
    ]
    assert not SpellVersion.objects.exists()


def test_a_draft_with_problems_is_saved_and_they_are_told(file: Path) -> None:
    UserFactory(is_superuser=True)
    file.write_text(TEXT.replace("inputs.theme", "inputs.them"), encoding="utf-8")
    out, err = run("import_spell", file)
    assert out == "a-spell version 1 saved as a draft.\n"
    assert err.splitlines() == [
        f"{file}: before it can be published, mend:",
        "  steps.only.params.x: inputs has no 'them'; did you mean 'theme'?",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"slug: [\n", "line 2, column 1: is no YAML"),
        (b"\xff\xfe", "line 1: is not UTF-8"),
        (b"slug: a\nsteps: 1", "steps: 1 is not a list"),
        (b"x" * 300_000, "is larger than the 262,144 bytes that are allowed"),
        (b"", "is empty"),
    ],
)
def test_unreadable_documents_are_told_with_their_place(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(CommandError) as caught:
        run("import_spell", file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_files_that_cannot_be_read_or_written_are_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"lost\.yaml cannot be read: No such file or directory"):
        run("import_spell", tmp_path / "lost.yaml")
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        run("import_spell", tmp_path)
    published(slug="a-spell")
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        run("export_spell", "a-spell", "--output", tmp_path / "lost" / "x.yaml")


def test_whose_spell_it_is_must_be_known(file: Path) -> None:
    with pytest.raises(CommandError, match="Whose spell is it"):
        run("import_spell", file)
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        run("import_spell", file, "--owner", "nobody")
    UserFactory.create_batch(2, is_superuser=True)
    with pytest.raises(CommandError, match="Whose spell is it"):
        run("import_spell", file)


def test_the_spell_of_somebody_else_is_not_overwritten(file: Path) -> None:
    run("import_spell", file, "--owner", UserFactory.create().username)
    with pytest.raises(CommandError, match="The spell a-spell belongs to somebody else"):
        run("import_spell", file, "--owner", UserFactory.create().username)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lost", "There is no spell lost."),
        ("a-spell@7", "The spell a-spell has no version 7; it has: 1."),
        ("a-spell@draft", "The spell a-spell has no draft; it has: 1."),
        ("drafted", "The spell drafted has no published version yet; drafted@draft is its draft."),
        ("A Spell", "'A Spell' names no spell; write SLUG, SLUG@NUMBER or SLUG@draft, like illustrated-story@3."),
        ("a-spell@0", "names no spell"),
        ("a-spell@1\n", "names no spell"),
        ("a-spell@" + "9" * 5_000, "names no spell"),
    ],
)
def test_versions_that_do_not_exist_are_told(name: str, message: str) -> None:
    published(slug="a-spell")
    SpellFactory(slug="drafted")
    with pytest.raises(CommandError) as caught:
        run("export_spell", name)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_name_means_a_version() -> None:
    first, second = published(slug="a-spell"), published(slug="a-spell")
    assert version_named("a-spell") == second
    assert version_named("a-spell@1") == first
    assert version_named("a-spell@2").spell.slug == "a-spell"
    hidden = Spell.objects.none()
    with pytest.raises(Exception, match="There is no spell a-spell"):
        version_named("a-spell", spells=hidden)


def test_the_spell_of_a_tool_is_not_exported() -> None:
    version = published(slug="a-spell")
    Spell.objects.filter(pk=version.spell_id).update(owner=None, tool=ToolFactory())
    with pytest.raises(CommandError, match="a-spell is how a tool is run on its own"):
        run("export_spell", "a-spell")


@pytest.mark.parametrize("command", ["import_spell", "export_spell"])
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command(command, "--help")
    text = capsys.readouterr().out
    assert "\nexamples:\n  manage.py " in text
    assert text.count(f"manage.py {command} ") >= 3
