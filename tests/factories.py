"""Rows for tests. `published` is the short way to something that can be cast."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from factory.declarations import LazyAttribute, LazyFunction, Sequence, SubFactory
from factory.django import DjangoModelFactory

from spells.documents import from_data, save_draft
from spells.models import Provider, Spell, SpellVersion, Step, Tool
from spells.publishing import publish


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    username = Sequence(lambda n: f"mara{n}")


class ProviderFactory(DjangoModelFactory[Provider]):
    class Meta:
        model = Provider

    slug = Sequence(lambda n: f"provider{n}")
    name = LazyAttribute(lambda provider: provider.slug)


class ToolFactory(DjangoModelFactory[Tool]):
    """A tool that takes and gives any object. Its adapter is `text.join` and never asked."""

    class Meta:
        model = Tool
        django_get_or_create = ("slug",)

    slug = Sequence(lambda n: f"test.tool{n}")
    name = LazyAttribute(lambda tool: tool.slug)
    adapter = "text.join"
    input_schema = LazyFunction(lambda: {"type": "object"})
    output_schema = LazyFunction(lambda: {"type": "object"})


class SpellFactory(DjangoModelFactory[Spell]):
    class Meta:
        model = Spell

    slug = Sequence(lambda n: f"test-spell-{n}")
    name = LazyAttribute(lambda spell: spell.slug)
    owner = SubFactory(UserFactory)


class SpellVersionFactory(DjangoModelFactory[SpellVersion]):
    """A draft without steps."""

    class Meta:
        model = SpellVersion

    spell = SubFactory(SpellFactory)
    number = 1


class StepFactory(DjangoModelFactory[Step]):
    class Meta:
        model = Step

    version = SubFactory(SpellVersionFactory)
    position = Sequence(lambda n: n)
    key = Sequence(lambda n: f"step_{n}")
    tool = SubFactory(ToolFactory)


def published(
    *,
    steps: Iterable[Mapping[str, Any]] = ({"key": "only", "tool": "test.any"},),
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    owner: User | None = None,
    slug: str | None = None,
    **spell: Any,
) -> SpellVersion:
    """Publish a version of a spell, written as in a document: `published(steps=[{"key": "a", "tool": "test.any"}])`.

    Tools that do not exist yet are made by `ToolFactory`. A slug that exists gets its next version.
    """
    steps = [dict(step) for step in steps]
    for step in steps:
        if not Tool.objects.filter(slug=step["tool"]).exists():
            ToolFactory(slug=step["tool"])
    slug = slug or f"published-{Spell.objects.count() + 1}"
    document = from_data({"slug": slug, "steps": steps, "inputs": inputs or {}, "outputs": outputs or {}, **spell})
    draft = save_draft(document=document, owner=owner or _owner_of(slug), now=timezone.now())
    return publish(version_id=draft.pk, now=timezone.now())


def _owner_of(slug: str) -> User:
    spell = Spell.objects.filter(slug=slug).first()
    owner = spell.owner if spell else UserFactory.create()
    assert owner is not None
    return owner
