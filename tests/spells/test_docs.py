"""docs/spells.md says what is so."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from spells import expressions, plan, schemas
from spells.documents import MAX_DOCUMENT_BYTES, MAX_STEPS, dump, parse, save_draft
from spells.documents.document import MAX_INPUTS, MAX_OUTPUTS
from spells.expressions import FILTERS, PREDICATES, compile_template, syntax
from spells.publishing import publish
from tests.factories import UserFactory

DOCS = Path(settings.BASE_DIR) / "docs" / "spells.md"
TEXT = DOCS.read_text(encoding="utf-8")
DOCUMENTS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
IN_CODE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
EXPRESSIONS = [code.replace("\\|", "|") for code in IN_CODE if code.startswith("{{") and code.endswith("}}") and "…" not in code]


def test_there_are_documents_and_expressions_in_it() -> None:
    assert len(DOCUMENTS) == 2
    assert len(EXPRESSIONS) >= 6


@pytest.mark.django_db
@pytest.mark.parametrize("text", DOCUMENTS)
def test_its_documents_can_be_published(text: str) -> None:
    call_command("sync_tools", verbosity=0)
    document = parse(text, format="yaml")
    assert parse(dump(document, format="yaml"), format="yaml") == document
    version = save_draft(document=document, owner=UserFactory.create(), now=timezone.now())
    assert publish(version_id=version.pk, now=timezone.now()).is_published


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_its_expressions_can_be_read(source: str) -> None:
    assert compile_template(source, path="docs").parts


def test_it_names_every_filter_and_every_test() -> None:
    words = {word for code in IN_CODE for word in re.findall(r"[a-z]+", code)}
    assert set(FILTERS) <= words
    assert set(PREDICATES) <= words


def test_it_tells_the_limits_as_they_are() -> None:
    limits = TEXT.partition("## Limits")[2]
    told = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", limits)}
    assert {
        syntax.MAX_TEMPLATE_CHARS,
        syntax.MAX_TOKENS,
        syntax.MAX_NODES,
        syntax.MAX_DEPTH,
        syntax.MAX_BRACKETS,
        expressions.MAX_TEXT_CHARS,
        expressions.MAX_LIST_ITEMS,
        expressions.MAX_WORK,
        expressions.MAX_EXPRESSIONS,
        expressions.MAX_RESULT_BYTES // 1024**2,
        schemas.MAX_BYTES // 1024,
        schemas.MAX_DEPTH,
        schemas.MAX_SCHEMA_BYTES // 1024,
        schemas.MAX_SCHEMA_DEPTH,
        MAX_DOCUMENT_BYTES // 1024,
        MAX_STEPS,
        MAX_INPUTS,
        MAX_OUTPUTS,
        plan.MAX_ITEMS,
    } <= told
