from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from config.postgresql import base

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

KEPT = {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
POOLED = {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}


@pytest.fixture(params=["kept", "pooled"])
def used(request: pytest.FixtureRequest) -> Iterator[base.DatabaseWrapper]:
    """A connection of its own as a process has it, kept or out of a pool."""
    settings: dict[str, Any] = {**connection.settings_dict, **(KEPT if request.param == "kept" else POOLED)}
    if request.param == "pooled":
        settings["OPTIONS"] = {**settings["OPTIONS"], "pool": {"min_size": 1, "max_size": 1, "timeout": 10}}
    found = base.DatabaseWrapper(settings, request.param)
    yield found
    found.close()
    found.close_pool()


def ask(used: base.DatabaseWrapper, question: str) -> Any:
    """Ask as each request does: behind it the connection is given back, or looked at before its next use."""
    with used.cursor() as cursor:
        cursor.execute(question)
        [answer] = cursor.fetchone()
    used.close_if_unusable_or_obsolete()
    return answer


def last_statement(pid: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
        [statement] = cursor.fetchone()
    return str(statement)


def end(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        assert cursor.fetchone() == (True,)


def prepare_use(used: base.DatabaseWrapper) -> None:
    """Do what comes before a statement, and no statement."""
    used.ensure_connection()
    used.close_if_health_check_failed()


def test_a_connection_that_was_used_just_now_is_not_asked_whether_it_stands(used: base.DatabaseWrapper):
    pid = ask(used, "SELECT pg_backend_pid()")
    prepare_use(used)
    assert last_statement(pid) == "SELECT pg_backend_pid()"
    assert ask(used, "SELECT pg_backend_pid()") == pid


def test_one_that_was_not_used_for_a_while_is_asked(used: base.DatabaseWrapper, monkeypatch: pytest.MonkeyPatch):
    pid = ask(used, "SELECT pg_backend_pid()")
    monkeypatch.setattr(base, "TRUSTED_SECONDS", 0.0)
    prepare_use(used)
    assert last_statement(pid) == "SELECT 1"
    assert ask(used, "SELECT pg_backend_pid()") == pid


def test_one_that_the_server_ended_is_replaced_before_its_next_use(used: base.DatabaseWrapper):
    first = ask(used, "SELECT pg_backend_pid()")
    end(first)
    second = ask(used, "SELECT pg_backend_pid()")
    assert second != first
    assert ask(used, "SELECT pg_backend_pid()") == second


def test_one_that_was_ended_in_silence_is_replaced_once_it_is_asked(used: base.DatabaseWrapper, monkeypatch: pytest.MonkeyPatch):
    first = ask(used, "SELECT pg_backend_pid()")
    end(first)
    monkeypatch.setattr(base, "_has_news", lambda _: False)
    monkeypatch.setattr(base, "TRUSTED_SECONDS", 0.0)
    assert ask(used, "SELECT pg_backend_pid()") != first


def test_news_from_the_server_that_tell_of_no_end_end_nothing(used: base.DatabaseWrapper, monkeypatch: pytest.MonkeyPatch):
    pid = ask(used, "SELECT pg_backend_pid()")
    monkeypatch.setattr(base, "_has_news", lambda _: True)
    prepare_use(used)
    assert last_statement(pid) == "SELECT 1"
    assert ask(used, "SELECT pg_backend_pid()") == pid
