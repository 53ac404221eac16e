import os
import sqlite3
import sys
import textwrap
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.core.checks import run_checks
from django.core.checks.registry import registry
from django_q.models import Schedule
from pytest_django import Settings

from casts.management.commands import conduct, serve
from config import checks
from tests import forked


def ids() -> set[str]:
    return {str(message.id) for message in run_checks() if str(message.id).startswith("grimoire.")}


def test_addresses_without_a_mail_server_are_told(settings):
    settings.EMAIL_IS_CONFIGURED = False
    settings.GRIMOIRE_ALERT_EMAILS = ["ada@example.org"]
    assert [message.id for message in checks.check_operators_can_be_written_to()] == ["grimoire.W003"]
    settings.EMAIL_IS_CONFIGURED = True
    assert checks.check_operators_can_be_written_to() == []


def test_a_sound_site_has_nothing_to_say():
    assert ids() == set()


@pytest.mark.each_database
def test_an_old_sqlite_is_refused_where_it_is_used(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    assert ids() == ({"grimoire.E001"} if settings.DATABASES["default"]["ENGINE"] == "config.sqlite" else set())


@pytest.mark.parametrize(("command", "found"), [("qcluster", {"grimoire.E002"}), ("check", set())])
def test_a_pool_is_refused_in_the_cluster(settings: Settings, monkeypatch: pytest.MonkeyPatch, command: str, found: set[str]):
    monkeypatch.setitem(settings.DATABASES, "default", {"ENGINE": "config.postgresql", "OPTIONS": {"pool": {"max_size": 4}}})
    monkeypatch.setattr(sys, "argv", ["manage.py", command])
    assert {str(message.id) for message in checks.check_cluster_has_no_pool()} == found


def test_a_data_folder_that_cannot_be_written_is_refused(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "data"
    folder.mkdir()
    settings.DATA_DIR = folder
    assert ids() == set()
    # Root may write everywhere: ask as if the answer were given to somebody else.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert ids() == {"grimoire.E003"}


def test_a_file_in_the_place_of_the_data_folder_is_refused(settings: Settings, tmp_path: Path):
    settings.DATA_DIR = tmp_path / "file" / "data"
    (tmp_path / "file").write_text("")
    assert ids() == {"grimoire.E003"}


def test_a_data_folder_that_is_yet_to_be_made_is_fine(settings: Settings, tmp_path: Path):
    settings.DATA_DIR = tmp_path / "not" / "yet"
    assert ids() == set()


def test_a_secret_key_that_others_can_read_is_told_of(settings: Settings, tmp_path: Path):
    settings.DATA_DIR = tmp_path
    key = tmp_path / "secret_key"
    key.write_text("secret")
    key.chmod(0o640)
    assert ids() == {"grimoire.W001"}
    key.chmod(0o600)
    assert ids() == set()


def test_a_misspelt_variable_is_told_of(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRIMOIRE_CLUSTER_WORKER", "4")
    monkeypatch.setenv("GRIMOIRE_OPENAI_KEY", "named by a tool")
    [message] = [message for message in run_checks() if message.id == "grimoire.W002"]
    assert message.hint == "Did you mean GRIMOIRE_CLUSTER_WORKERS?"


def test_a_command_that_serves_no_pages_is_started_after_all_checks_but_those_of_pages():
    every = registry.tags_available()
    assert {"admin", "grimoire", "models", "urls"} <= every
    assert conduct.Command().get_check_kwargs({}) == {"tags": every - {"admin", "urls"}}
    assert all(check.tags for check in registry.get_checks() if check.__module__ == checks.__name__)  # or they would be left out, too
    assert serve.Command().get_check_kwargs({}) == {}  # all of them


def test_pages_of_the_admin_are_read_where_they_are_checked_or_served_and_nowhere_else(tmp_path: Path):
    code = """
        import sys
        import django
        django.setup()
        read = lambda: sorted(name for name in ("casts.admin", "generations.admin", "spells.admin.spell") if name in sys.modules)
        print(read())
        from django.core.checks import run_checks
        errors = run_checks(tags=["admin"])
        print(read(), errors)
    """
    environment = {"DJANGO_SETTINGS_MODULE": "config.settings", "GRIMOIRE_DATA_DIR": str(tmp_path), "GRIMOIRE_ENV_FILE": os.devnull}
    done = forked.run("-c", textwrap.dedent(code), environment=environment, folder=settings.BASE_DIR)
    assert done.stdout.splitlines() == ["[]", "['casts.admin', 'generations.admin', 'spells.admin.spell'] []"], done.stderr


def test_a_page_of_the_admin_that_makes_no_sense_is_told_of(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(admin.site.get_model_admin(Schedule), "list_display", ("nothing",))
    assert "admin.E108" in {message.id for message in run_checks(tags=["admin"])}
