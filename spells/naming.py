"""Versions by the names that people type: `illustrated-story`, `illustrated-story@3`, `illustrated-story@draft`."""

import re

from spells.models import Spell, SpellQuerySet, SpellVersion

_NAME = re.compile(r"(?P<slug>[a-z0-9]+(?:-[a-z0-9]+)*)(?:@(?P<which>[1-9][0-9]{0,8}|draft))?\Z")


class VersionNotFoundError(Exception):
    """There is no such spell, or no such version of it, among those that may be seen."""


def version_named(name: str, *, spells: SpellQuerySet | None = None) -> SpellVersion:
    """Return the version that a name means, with its spell: by number, the draft, or without either the last published one.

    `spells` are those that whoever asks may see; left out, all. Raises VersionNotFoundError, whose message is for them.
    """
    parts = _NAME.match(name)
    if parts is None:
        raise VersionNotFoundError(f"{name[:120]!r} names no spell; write SLUG, SLUG@NUMBER or SLUG@draft, like illustrated-story@3.")
    spell = (Spell.objects.all() if spells is None else spells).filter(slug=parts["slug"]).first()
    if spell is None:
        raise VersionNotFoundError(f"There is no spell {parts['slug']}.")
    which = parts["which"]
    if which is None:
        version = spell.latest_version()
    elif which == "draft":
        version = spell.draft()
    else:
        version = spell.versions.filter(number=int(which)).first()
    if version is None:
        raise VersionNotFoundError(_lacking(spell, which))
    version.spell = spell
    return version


def _lacking(spell: Spell, which: str | None) -> str:
    if which is None:
        return f"The spell {spell.slug} has no published version yet; {spell.slug}@draft is its draft."
    numbers = ", ".join(str(number) for number in spell.versions.order_by("number").values_list("number", flat=True)[:50])
    wanted = "no draft" if which == "draft" else f"no version {which}"
    return f"The spell {spell.slug} has {wanted}; it has: {numbers or 'none'}."
