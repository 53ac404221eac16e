"""Exports and reviews in the admin: to read."""

import pytest

from tests.casts.factories import ExportFactory, ReviewEventFactory
from tests.operators import page, superuser

pytestmark = pytest.mark.django_db


def test_the_list_tells_how_far_each_export_is():
    ExportFactory.create(total=40, prepared=10)
    ExportFactory.create(status="failed", error="A file is <gone>.")
    told = page(superuser(), "casts_export_changelist")
    assert '<progress class="is-running" value="10" max="40"></progress>' in told
    assert "0/1" in told


def test_the_page_of_an_export_says_why_it_failed():
    row = ExportFactory.create(status="failed", error="A file is <gone>.", description="<b>At sea.</b>")
    told = page(superuser(), "casts_export_change", row.pk)
    assert "A file is &lt;gone&gt;." in told
    assert "<b>At sea" not in told


def test_the_page_of_an_export_that_is_ready_leads_to_its_archive():
    row = ExportFactory.create(status="ready")
    assert f'<a href="/api/v1/exports/{row.pk}/archive/">export-{row.pk}.zip</a>' in page(superuser(), "casts_export_change", row.pk)
    assert "archive/" not in page(superuser(), "casts_export_change", ExportFactory.create().pk)


def test_the_history_of_reviews_says_who_decided_what_and_why():
    row = ReviewEventFactory.create(act="rejected", reason="<i>Blurred.</i>")
    told = page(superuser(), "casts_reviewevent_changelist")
    assert row.actor.username in told
    assert "&lt;i&gt;Blurred." in told
    assert page(superuser(), "casts_reviewevent_change", row.pk)
