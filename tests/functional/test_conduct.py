import signal

import pytest

from tests.functional.site import Running, Site
from tests.processes import wait_for

CAST = """
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone
from spells.documents import from_data, save_draft
from spells.models import Tool
from spells.publishing import publish
Tool.objects.create(slug="test.stuck", name="Stuck", adapter="test.stuck", input_schema={}, output_schema={})
document = from_data({"slug": "stuck", "steps": [{"key": "stuck", "tool": "test.stuck"}]})
draft = save_draft(document=document, owner=get_user_model().objects.get(), now=timezone.now())
publish(version_id=draft.pk, now=timezone.now())
call_command("cast", "stuck")
"""


def conductor_with_a_stuck_call(site: Site, *, grace: str) -> Running:
    called = site.folder / "stuck"
    called.unlink(missing_ok=True)
    conductor = site.start("conduct", "--grace", grace, program=("-m", "tests.functional.manage_stuck"))
    conductor.says("is ready")
    wait_for("the call is made", called.exists)
    return conductor


@pytest.mark.sqlite
def test_a_conductor_leaves_calls_behind_that_do_not_end_and_a_second_signal_ends_it_at_once(site: Site):
    site.run("shell", "--no-imports", "-c", CAST)
    conductor = conductor_with_a_stuck_call(site, grace="1")
    conductor.tell(signal.SIGTERM)
    assert conductor.end() == 0, conductor.said()
    assert "left behind" in conductor.said()
    assert site.sql("SELECT claimed_until FROM casts_wakeup") == [(None,)]

    conductor = conductor_with_a_stuck_call(site, grace="600")  # the cast was handed back, and its call is made again
    conductor.tell(signal.SIGTERM)

    # those that come within a second are echoes of the first
    def ended() -> bool:
        conductor.tell(signal.SIGTERM)
        return conductor.process.poll() is not None

    wait_for("it ends", ended)
    assert conductor.end() == 1


@pytest.mark.sqlite
def test_a_conductor_without_a_database_says_so(site: Site):
    site.environment["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    said = site.run("conduct", code=1)
    assert "The database cannot be reached" in said
    assert "Traceback" not in said
