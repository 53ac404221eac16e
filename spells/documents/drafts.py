"""Documents and the rows of a spell: writing a draft, reading a version."""

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max

from spells.models import Spell, SpellVersion, Step, Tool
from spells.problems import Problem, suggestion

from .document import Document, DocumentError, StepDocument, shape_problems, to_data
from .inputs import input_problems, input_schema_of, inputs_of

# Taken by addresses of the API.
RESERVED_SLUGS = frozenset({"validate"})


class NotOwnerError(Exception):
    """The spell belongs to somebody else, and only its owner may change it."""

    def __init__(self, slug: str) -> None:
        """Take the slug of the spell."""
        super().__init__(f"The spell {slug} belongs to somebody else; choose another slug, or ask its owner.")
        self.slug = slug


def save_draft(*, document: Document, owner: User, now: datetime) -> SpellVersion:
    """Write a document as the draft of its spell, in place of the draft that stands, in one transaction.

    A spell that does not exist is created for `owner`; the next version begins when the last one is published. What
    the spell itself says (name, description, tags, visibility) holds at once. The draft may still be unfit to publish;
    only what no row could hold is refused.

    Raises:
        DocumentError: unknown tools, keys used twice, a wrong form.
        NotOwnerError: the spell is one that `owner` may not change.
    """
    problems = shape_problems(to_data(document)) or [*slug_problems(document), *input_problems(document), *key_problems(document)]
    tools = tools_of(document)
    problems = problems or tool_problems(document, tools)
    if problems:
        raise DocumentError(problems)
    with transaction.atomic():
        spell = _spell(document=document, owner=owner, now=now)
        version = _draft(spell=spell, document=document)
        Step.objects.bulk_create(_step(version, tools[step.tool], step, place) for place, step in enumerate(document.steps))
    return version


def tools_of(document: Document) -> dict[str, Tool]:
    """Look up the tools that a document names, by slug. One query; unknown ones are left out."""
    return {tool.slug: tool for tool in Tool.objects.filter(slug__in={step.tool for step in document.steps})}


def tool_problems(document: Document, tools: Mapping[str, Tool]) -> list[Problem]:
    """Return a problem for each step whose tool does not exist. Queries when there is one."""
    lost = [step for step in document.steps if step.tool not in tools]
    known = list(Tool.objects.filter(enabled=True).values_list("slug", flat=True)) if lost else []
    return [Problem(f"steps.{step.key}.tool", f"there is no tool {step.tool!r}{suggestion(step.tool, known)}") for step in lost]


def slug_problems(document: Document) -> list[Problem]:
    """Return a problem when the slug could not be reached under its address."""
    reserved = document.slug in RESERVED_SLUGS
    return [Problem("slug", f"{document.slug!r} is a word of the API's own; choose another")] if reserved else []


def key_problems(document: Document) -> list[Problem]:
    """Return a problem for each key that two steps have."""
    keys = [step.key for step in document.steps]
    return [Problem(f"steps.{key}", "two steps have this key") for key in dict.fromkeys(keys) if keys.count(key) > 1]


def document_of(version: SpellVersion) -> Document:
    """Read a version, draft or published, as a document.

    Raises DocumentError when it says more than a document can: the spell of a tool, or a schema made otherwise.
    """
    spell = version.spell
    if spell.tool_id is not None:
        raise DocumentError([Problem("", f"{spell.slug} is how a tool is run on its own; it is not written by hand, and cannot be")])
    steps = version.steps.select_related("tool").order_by("position")
    return Document(
        slug=spell.slug,
        name=spell.name,
        description=spell.description,
        tags=tuple(spell.tags),
        visibility=spell.visibility,
        inputs=inputs_of(version.input_schema),
        steps=tuple(_step_document(step) for step in steps),
        outputs=version.outputs,
    )


def _step_document(step: Step) -> StepDocument:
    return StepDocument(
        key=step.key,
        tool=step.tool.slug,
        params=step.params,
        for_each=step.for_each,
        when=step.when,
        on_failure=step.on_failure,
        max_attempts=step.max_attempts,
        run_timeout=step.run_timeout_seconds,
        deadline=step.deadline_seconds,
    )


def _spell(*, document: Document, owner: User, now: datetime) -> Spell:
    """Create or lock the spell, and write what the document says of it."""
    said = {
        "name": document.name,
        "description": document.description,
        "tags": list(document.tags),
        "visibility": document.visibility,
    }
    spell, created = Spell.objects.select_for_update().get_or_create(slug=document.slug, defaults={**said, "owner": owner})
    if not created:
        if not Spell.objects.written().owned_by(owner).filter(pk=spell.pk).exists():
            raise NotOwnerError(document.slug)
        Spell.objects.filter(pk=spell.pk).update(**said, updated_at=now)
        for name, value in said.items():
            setattr(spell, name, value)
    return spell


def _draft(*, spell: Spell, document: Document) -> SpellVersion:
    """Empty the spell's draft, or begin the next version. The spell is locked."""
    content = {"input_schema": input_schema_of(document), "outputs": dict(document.outputs)}
    # locked before it is changed: whoever publishes it meanwhile is waited for, and then it is no draft any more
    version = spell.versions.drafts().select_for_update().first()
    if version is None:
        last = spell.versions.aggregate(last=Max("number"))["last"] or 0
        return SpellVersion.objects.create(spell=spell, number=last + 1, **content)
    version.steps.all().delete()
    for name, value in content.items():
        setattr(version, name, value)
    version.save(update_fields=list(content))
    return version


def _step(version: SpellVersion, tool: Tool, step: StepDocument, position: int) -> Step:
    return Step(
        version=version,
        position=position,
        key=step.key,
        tool=tool,
        params=dict(step.params),
        for_each=step.for_each,
        when=step.when,
        on_failure=step.on_failure,
        max_attempts=step.max_attempts,
        run_timeout_seconds=step.run_timeout,
        deadline_seconds=step.deadline,
    )
