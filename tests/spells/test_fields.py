"""Serializers whose fields are made once."""

import pytest
from rest_framework import serializers

from spells.fields import AnswerSerializer
from spells.models import Spell
from tests.factories import SpellFactory


class Named(AnswerSerializer[Spell]):
    greeting = serializers.SerializerMethodField()

    class Meta:
        model = Spell
        fields = ["slug", "greeting"]

    def get_greeting(self, spell: Spell) -> str:
        return f"{self.context['word']} {spell.slug}"


class Shorter(Named):
    class Meta(Named.Meta):
        fields = ["slug"]


class Nested(AnswerSerializer[Spell]):
    words = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Spell
        fields = ["slug", "words"]


@pytest.mark.django_db
def test_each_answer_has_its_own_context_and_each_class_its_own_fields():
    spell = SpellFactory.create(slug="story")
    first, second = (Named(spell, context={"word": word}) for word in ("hello", "goodbye"))
    assert second.data == {"slug": "story", "greeting": "goodbye story"}
    assert first.data == {"slug": "story", "greeting": "hello story"}
    assert first.fields["greeting"].parent is first
    assert Shorter(spell).data == {"slug": "story"}


def test_fields_with_others_inside_are_refused():
    with pytest.raises(AssertionError, match="words"):
        Nested().get_fields()
