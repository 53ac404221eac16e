"""Documents and rows."""

from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given, settings

from spells.documents import Document, DocumentError, NotOwnerError, document_of, dump, from_data, parse, save_draft
from spells.models import Spell, SpellVersion, Step, Tool
from spells.publishing import publish
from tests.factories import SpellFactory, SpellVersionFactory, ToolFactory, UserFactory, published
from tests.spells.test_documents import STORY, documents

pytestmark = pytest.mark.django_db


def story(**changes: Any) -> Document:
    for slug in ("text.scenes", "image.paint", "image.contact_sheet"):
        ToolFactory(slug=slug)
    return replace(parse(STORY, format="yaml"), **changes)


def test_a_draft_is_the_document_in_rows() -> None:
    owner = UserFactory.create()
    document = story(tags=("picture",), visibility="public", description="Of a keeper.")
    version = save_draft(document=document, owner=owner, now=timezone.now())
    assert (version.number, version.is_published, version.spell.owner) == (1, False, owner)
    assert version.spell.tags == ["picture"]
    assert list(version.steps.order_by("position").values_list("position", "key", "tool__slug")) == [
        (0, "story", "text.scenes"),
        (1, "art", "image.paint"),
        (2, "sheet", "image.contact_sheet"),
    ]
    assert document_of(version) == document
    assert document_of(SpellVersion.objects.get(pk=version.pk)) == document


def test_a_draft_takes_the_place_of_the_one_that_stands() -> None:
    owner = UserFactory.create()
    first = save_draft(document=story(), owner=owner, now=timezone.now())
    shorter = story(steps=story().steps[:1], outputs={}, name="Shorter")
    second = save_draft(document=shorter, owner=owner, now=timezone.now())
    assert second.pk == first.pk
    assert document_of(second) == shorter
    assert Spell.objects.get().name == "Shorter"
    assert Step.objects.count() == 1


def test_the_next_draft_begins_when_the_last_one_is_published() -> None:
    owner = UserFactory.create()
    first = save_draft(document=story(), owner=owner, now=timezone.now())
    publish(version_id=first.pk, now=timezone.now())
    second = save_draft(document=story(outputs={}), owner=owner, now=timezone.now())
    assert (second.number, second.is_published) == (2, False)
    assert document_of(SpellVersion.objects.get(pk=first.pk)) == story()


def test_only_its_owner_and_the_staff_may_change_a_spell() -> None:
    owner, stranger, staff = UserFactory.create(), UserFactory.create(), UserFactory.create(is_staff=True)
    save_draft(document=story(), owner=owner, now=timezone.now())
    with pytest.raises(NotOwnerError, match="The spell illustrated-story belongs to somebody else"):
        save_draft(document=story(name="Mine now", outputs={}), owner=stranger, now=timezone.now())
    spell = Spell.objects.get()
    assert (spell.name, spell.owner) == ("Illustrated story", owner)
    assert document_of(spell.versions.get()) == story()
    save_draft(document=story(name="Mended"), owner=staff, now=timezone.now())
    spell.refresh_from_db()
    assert (spell.name, spell.owner) == ("Mended", owner)


def test_the_spell_of_a_tool_cannot_be_written_by_a_document() -> None:
    SpellFactory(slug="illustrated-story", owner=None, tool=ToolFactory())
    with pytest.raises(NotOwnerError):
        save_draft(document=story(), owner=UserFactory.create(is_staff=True), now=timezone.now())


def test_what_no_row_could_hold_is_refused_and_nothing_written() -> None:
    document = story()
    Tool.objects.filter(slug="image.paint").delete()
    with pytest.raises(DocumentError) as caught:
        save_draft(document=document, owner=UserFactory.create(), now=timezone.now())
    assert [str(problem) for problem in caught.value.problems] == [
        "steps.art.tool: there is no tool 'image.paint'; known: image.contact_sheet, text.scenes"
    ]
    twice = story(steps=(*story().steps, story().steps[0]))
    with pytest.raises(DocumentError, match=r"steps\.story: two steps have this key"):
        save_draft(document=twice, owner=UserFactory.create(), now=timezone.now())
    with pytest.raises(DocumentError, match=r"inputs\.a\.optional: can only be true"):
        save_draft(document=story(inputs={"a": {"optional": False}}), owner=UserFactory.create(), now=timezone.now())
    with pytest.raises(DocumentError, match="slug: "):
        save_draft(document=story(slug="No Slug"), owner=UserFactory.create(), now=timezone.now())
    assert not Spell.objects.exists()


def test_a_draft_may_be_unfit_to_publish() -> None:
    document = story(outputs={"x": "{{ steps.lost.y }}"})
    assert document_of(save_draft(document=document, owner=UserFactory.create(), now=timezone.now())) == document


def test_a_schema_that_no_document_can_say_is_told() -> None:
    version = SpellVersionFactory.create(input_schema={"type": "object", "minProperties": 1})
    with pytest.raises(DocumentError, match="input_schema"):
        document_of(version)


def test_a_published_version_is_written_as_it_was_read() -> None:
    version = published(steps=[{"key": "b", "tool": "t.b", "on_failure": "continue", "max_attempts": 2, "run_timeout": 5, "deadline": 60}])
    (step,) = document_of(version).steps
    assert (step.on_failure, step.max_attempts, step.run_timeout, step.deadline) == ("continue", 2, 5, 60)


@settings(max_examples=50)
@given(documents.filter(lambda document: len({step.key for step in document.steps}) == len(document.steps)))
def test_a_round_trip_through_the_database_is_exact(document: Document) -> None:
    if any("optional" in schema or isinstance(schema.get("required"), bool) for schema in document.inputs.values()):
        return
    for step in document.steps:
        ToolFactory(slug=step.tool)
    owner = Spell.objects.get(slug=document.slug).owner if Spell.objects.filter(slug=document.slug).exists() else UserFactory.create()
    assert owner is not None
    # an input that has no default is required, in rows as in documents
    version = save_draft(document=document, owner=owner, now=timezone.now())
    read = document_of(SpellVersion.objects.get(pk=version.pk))
    assert read == document
    assert dump(read, format="yaml") == dump(document, format="yaml")


def test_reading_a_version_takes_two_queries(django_assert_max_num_queries: Any) -> None:
    version = published(steps=[{"key": f"k{n}", "tool": "t.a"} for n in range(5)])
    with django_assert_max_num_queries(2):
        document_of(SpellVersion.objects.select_related("spell").get(pk=version.pk))


def test_a_document_from_a_request_is_read_alike() -> None:
    assert from_data({"slug": "a-b", "steps": [], "inputs": {"x": {}}}).name == "A b"


def test_a_slug_that_is_a_word_of_the_api_is_refused() -> None:
    with pytest.raises(DocumentError, match="slug: 'validate'"):
        save_draft(document=story(slug="validate"), owner=UserFactory.create(), now=timezone.now())
    assert not Spell.objects.exists()
