"""The spell by which a tool is run on its own: one step that takes the cast's inputs as its params."""

from datetime import datetime

from django.db import transaction

from spells.models import Spell, SpellVersion, Step, Tool, Visibility

STEP_KEY = "run"
PARAMS = "{{ inputs }}"
OUTPUTS = f"{{{{ steps.{STEP_KEY} }}}}"


def version_for(*, tool: Tool, now: datetime) -> SpellVersion:
    """Return the published version that runs `tool`, made when there is none yet for the tool's present schema.

    Its inputs are the tool's, its outputs are the tool's output. Many may ask at once: they get the same one.
    """
    return _standing(tool) or _publish(tool_id=tool.pk, now=now)


def _standing(tool: Tool) -> SpellVersion | None:
    versions = SpellVersion.objects.published().filter(spell__tool=tool).select_related("spell")
    latest = versions.order_by("-number").first()
    return latest if latest is not None and latest.input_schema == tool.input_schema else None


@transaction.atomic
def _publish(*, tool_id: int, now: datetime) -> SpellVersion:
    # Whoever comes second waits here, and then finds what the first has made. Only the key is left unlocked: other
    # transactions may insert steps of the tool meanwhile.
    tool = Tool.objects.select_for_update(no_key=True).get(pk=tool_id)
    standing = _standing(tool)
    if standing is not None:
        return standing
    spell = Spell.objects.filter(tool=tool).first() or _spell_of(tool)
    number = spell.versions.count() + 1
    version = SpellVersion.objects.create(spell=spell, number=number, input_schema=tool.input_schema, outputs=OUTPUTS, created_at=now)
    Step.objects.create(version=version, position=0, key=STEP_KEY, tool=tool, params=PARAMS)
    # Nothing in it is a user's: what `publishing` would check holds by what stands above.
    version.published_at = now
    version.save(update_fields=["published_at"])
    return version


def _spell_of(tool: Tool) -> Spell:
    return Spell.objects.create(
        slug=_free_slug(tool),
        name=tool.name,
        description=f"Runs the tool {tool.slug} on its own.",
        tool=tool,
        visibility=Visibility.LISTED,
    )


def _free_slug(tool: Tool) -> str:
    """Return a slug like `tool-image-paint`, with a number behind it when a user was faster."""
    words = tool.slug.replace(".", "-").replace("_", "-")
    slug = "-".join(word for word in f"tool-{words}".split("-") if word)[:90].rstrip("-")
    taken = set(Spell.objects.filter(slug__startswith=slug).values_list("slug", flat=True))
    return next(name for name in (slug, *(f"{slug}-{number}" for number in range(2, len(taken) + 3))) if name not in taken)
