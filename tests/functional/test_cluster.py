import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from casts import canary, programs
from casts.clock import database_now
from casts.doctor import examine
from casts.supervisor import Supervisor
from tests.databases import database_under_test
from tests.processes import alive, wait_for


def url_of_the_test_database() -> str:
    name = connection.settings_dict["NAME"]
    if database_under_test() == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


@pytest.mark.django_db(transaction=True)
def test_a_cluster_that_fell_silent_is_killed_and_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(programs, "CANARY_SECONDS", 0.5)
    said: list[str] = []
    environment = {"DATABASE_URL": url_of_the_test_database(), "GRIMOIRE_DATA_DIR": str(tmp_path), "DJANGO_SECRET_KEY": settings.SECRET_KEY}
    cluster = programs.cluster(workers=2, conductors=0, environment=environment)
    with Supervisor([cluster], folder=settings.BASE_DIR, tell=said.append, logs=tmp_path) as supervisor:
        supervisor.wait_until_ready(seconds=180, is_stopped=lambda: False)
        [child] = supervisor.children
        assert child.process
        first = child.process.pid
        # One idle worker holds the lock of the queue: after its death no other gets it, and nothing runs any more.
        _main, _sentinel, one, other, *_ = sorted(alive(group=first))
        os.kill(one, signal.SIGKILL)
        os.kill(other, signal.SIGKILL)
        child.program = replace(child.program, silence_seconds=5)

        def tended() -> bool:
            supervisor.tend()
            return bool(said)

        wait_for("the silence is noticed", tended, seconds=180)
        assert said[0].startswith("cluster has been silent for ")
        assert alive(group=first) == []
        child.program = cluster

        def well() -> bool:
            supervisor.tend()
            return child.is_ready

        wait_for("the next cluster works", well, seconds=180)
        supervisor.stop()
    assert sys.platform != "linux" or alive(marked=f"GRIMOIRE_DATA_DIR={tmp_path}\0") == []


@pytest.mark.django_db(transaction=True)
def test_the_doctor_notices_a_cluster_with_another_secret_key(tmp_path: Path):
    environment = {"DATABASE_URL": url_of_the_test_database(), "GRIMOIRE_DATA_DIR": str(tmp_path), "DJANGO_SECRET_KEY": "x1y2z" * 20}
    cluster = programs.cluster(workers=1, conductors=0, environment=environment)
    with Supervisor([cluster], folder=settings.BASE_DIR, tell=print, logs=tmp_path):
        sent = canary.send(now=database_now())
        wait_for("the canary is thrown away", lambda: canary.is_discarded(sent), seconds=120)
        [finding] = [finding for finding in examine(wait_seconds=1) if finding.name == "cluster"]
    assert finding.told == "throws our tasks away unread"
    assert "DJANGO_SECRET_KEY" in finding.mend
