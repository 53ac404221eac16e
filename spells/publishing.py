"""Publishing: a draft is checked, its edges are written down, and from then on it never changes."""

from datetime import datetime

from django.db import transaction

from spells.checks import Examination, examine
from spells.documents import Document, DocumentError, document_of, input_schema_of, tools_of
from spells.models import SpellVersion, StepDependency
from spells.problems import Problem, ProblemsError


class PublishError(ProblemsError):
    """A version that cannot be published. `problems` says why."""


def validate(subject: Document | SpellVersion) -> list[Problem]:
    """Return everything that keeps a document, or a version, from being published; an empty list when nothing does.

    Nothing is written. Problems name their place: `steps.art.params.prompt`.
    """
    try:
        document = subject if isinstance(subject, Document) else document_of(subject)
    except DocumentError as error:
        return list(error.problems)
    return _examination(document).problems


def publish(*, version_id: int, now: datetime) -> SpellVersion:
    """Publish a draft for good: check it, write which step reads which, and mark it, in one transaction.

    Raises:
        SpellVersion.DoesNotExist: there is no such version.
        PublishError: it is published already, or not fit to be.
    """
    with transaction.atomic():
        # locked before its steps are read: nobody adds one between the check and the mark
        version = SpellVersion.objects.select_for_update().get(pk=version_id)
        if version.is_published:
            raise PublishError([Problem("", f"version {version.number} of {version.spell.slug} is published already")])
        try:
            document = document_of(version)
        except DocumentError as error:
            raise PublishError(error.problems) from error
        examination = _examination(document)
        if examination.problems:
            raise PublishError(examination.problems)
        _write_edges(version, examination)
        version.input_schema = input_schema_of(document)
        version.published_at = now
        drafts = SpellVersion.objects.drafts().filter(pk=version_id)
        if drafts.update(published_at=version.published_at, input_schema=version.input_schema) != 1:
            raise PublishError([Problem("", "somebody else has published or removed it meanwhile")])
    return version


def _examination(document: Document) -> Examination:
    return examine(document, tools=tools_of(document))


def _write_edges(version: SpellVersion, examination: Examination) -> None:
    steps = {step.key: step for step in version.steps.all()}
    version.dependencies.all().delete()
    StepDependency.objects.bulk_create(
        StepDependency(version=version, step=steps[key], depends_on=steps[other])
        for key, others in examination.edges.items()
        for other in sorted(others)
    )
