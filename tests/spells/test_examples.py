"""The spells that come with the program."""

from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from spells.documents import document_of, dump, parse
from spells.models import Spell
from spells.naming import version_named
from spells.plan import plan_of
from tests.factories import UserFactory

FILES = sorted((Path(settings.BASE_DIR) / "spells" / "examples").glob("*.yaml"))


def test_there_are_three_that_need_nobody_and_four_that_need_providers() -> None:
    alone = ["haiku-card", "illustrated-story", "word-report"]
    assert [file.stem for file in FILES] == sorted([*alone, "picture-book", "product-photo", "prompt-comparison", "translated-summary"])


@pytest.mark.django_db
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_an_example_can_be_published_with_the_tools_that_come_with_it(file: Path) -> None:
    call_command("sync_tools", verbosity=0)
    UserFactory(is_superuser=True)
    call_command("import_spell", str(file), "--publish", verbosity=0)
    version = version_named(file.stem)
    document = parse(file.read_bytes(), format="yaml")
    assert document_of(version) == document
    assert parse(dump(document, format="yaml"), format="yaml") == document
    assert document.slug == file.stem
    assert Spell.objects.get().visibility == "public"
    assert all("default" in schema for schema in document.inputs.values()), "can be cast without any input"
    assert len(plan_of(version.pk).steps) == len(document.steps)
