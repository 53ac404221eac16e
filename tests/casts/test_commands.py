import io
import json
import socket
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django_q.models import OrmQ, Schedule

from casts import canary, installation
from casts.clock import database_now
from casts.models import Alert, Cast, ConductorProcess, Subscription, Wakeup
from casts.notifications import signing
from casts.schedules import SCHEDULES
from generations.catalogue import sync_tools
from tests.casts import scenes
from tests.casts.factories import ConductorProcessFactory, GenerationFactory

COMMANDS = ("cast", "conduct", "cook", "demo", "doctor", "prune", "qcluster", "reap", "serve", "sync_schedules")
INPUTS = {
    "theme": {"type": "string"},
    "count": {"type": "integer", "maximum": 9},
    "tags": {"type": "array", "items": {"type": "string"}},
    "anything": {},
}


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_superuser("ada")


@pytest.fixture
def spell(ada: User) -> str:
    """A spell of ada's with inputs of several kinds."""
    scenes.version({"key": "only"}, inputs=INPUTS)
    return "scene"


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def refusal(*arguments: str) -> str:
    with pytest.raises(CommandError) as refused:
        run(*arguments)
    return str(refused.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        call_command(command, "--help")
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert f"\nexamples:\n  manage.py {command}" in told


# cast


def test_cast_starts_a_cast_and_prints_its_id_alone(spell: str, ada: User):
    cast = Cast.objects.get(pk=UUID(run("cast", spell).strip()))
    assert cast.initiator == ada
    assert cast.wakeup.due_at <= database_now()


def test_cast_reads_values_as_the_spell_wants_them(spell: str):
    run("cast", spell, "theme=42", "count=7", 'tags=["a", "b"]', "anything=true")
    assert Cast.objects.get().inputs == {"theme": "42", "count": 7, "tags": ["a", "b"], "anything": "true"}


def test_cast_keeps_what_follows_the_first_equals_sign(spell: str):
    run("cast", spell, "theme=a = b")
    assert Cast.objects.get().inputs["theme"] == "a = b"


def test_cast_reads_a_file_and_what_is_typed_wins(spell: str, tmp_path: Path):
    file = tmp_path / "inputs.json"
    file.write_text('{"theme": "from the file", "count": 3}')
    run("cast", spell, "count=4", "--inputs", str(file))
    assert Cast.objects.get().inputs == {"theme": "from the file", "count": 4}


def test_cast_reads_standard_input(spell: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO('{"theme": "ein Leuchtturmwärter"}'.encode())))
    run("cast", spell, "--inputs", "-")
    assert Cast.objects.get().inputs == {"theme": "ein Leuchtturmwärter"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[1]", "must hold a JSON object"),
        (b"{", "is no JSON"),
        (b'{"count": NaN}', "NaN is not a number of JSON"),
        (b'"\xff"', "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b" " * (5 * 1024 * 1024 + 1), "is larger than"),
    ],
)
def test_cast_refuses_a_file_that_holds_no_inputs(spell: str, tmp_path: Path, content: bytes, why: str):
    file = tmp_path / "inputs.json"
    file.write_bytes(content)
    assert why in refusal("cast", spell, "--inputs", str(file))
    assert not Cast.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nothing"], "There is no spell nothing."),
        (["scene@7"], "has no version 7"),
        (["Scene!"], "names no spell"),
        (["scene", "theme"], "'theme' is no input. Write NAME=VALUE"),
        (["scene", "=x"], "'=x' is no input"),
        (["scene", "count=nine"], "count='nine' is no integer, in JSON"),
        (["scene", "count=NaN"], "NaN is not a number of JSON"),
        (["scene", "count=10"], "inputs.count: 10 is greater than 9"),
        (["scene", "thme=x"], "inputs.thme: is unknown; did you mean 'theme'?"),
        (["scene", "theme=\0"], "inputs.theme"),
        (["scene", "--as", "bob"], "There is no active user 'bob'."),
        (["scene", "--inputs", "/nowhere.json"], "/nowhere.json cannot be read: No such file or directory."),
        (["scene", "--callback", "http://example.org/hook"], "callback.url: must be https"),
        (["scene", "--callback", "https://example.org/hook", "--callback-secret", "s3cret"], "callback.secret: is no secret"),
        (["scene", "--callback-secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "signs nothing without --callback"),
    ],
)
def test_cast_refuses_what_cannot_be_cast_in_words(spell: str, arguments: list[str], why: str):
    assert why in refusal("cast", *arguments)
    assert not Cast.objects.exists()


@pytest.mark.parametrize("sum_", ["-1", "NaN", "Infinity", "ten", "1e11", "0.00000000001"])
def test_cast_refuses_a_budget_that_is_no_sum(spell: str, sum_: str):
    assert "--max-cost" in refusal("cast", spell, "--max-cost", sum_)


def test_cast_takes_a_budget(spell: str):
    run("cast", spell, "--max-cost", "0.50")
    assert Cast.objects.get().max_cost_usd == Decimal("0.50")


def test_cast_has_its_end_told_and_says_once_what_signs_that(spell: str, capsys: pytest.CaptureFixture[str]):
    printed = run("cast", spell, "--callback", "https://example.org/hook").strip()
    told = Subscription.objects.get()
    assert (str(told.cast_id), told.url) == (printed, "https://example.org/hook")
    assert f"signed by {signing.unseal(told.secret)}" in capsys.readouterr().err


def test_cast_takes_a_secret_and_does_not_repeat_it(spell: str, capsys: pytest.CaptureFixture[str]):
    secret = signing.new_secret()
    run("cast", spell, "--callback", "https://example.org/hook", "--callback-secret", secret)
    assert signing.unseal(Subscription.objects.get().secret) == secret
    assert secret not in "".join(capsys.readouterr())


def test_cast_asks_whose_it_is_when_there_are_several_superusers(spell: str):
    User.objects.create_superuser("bob")
    assert "--as USER" in refusal("cast", spell)
    run("cast", spell, "--as", "bob")
    assert Cast.objects.get().initiator.username == "bob"


def test_cast_says_how_to_make_the_first_user(db: None):
    scenes.version({"key": "only"})
    assert "createsuperuser" in refusal("cast", "scene")


# reap


def test_reap_gives_a_stranded_cast_its_wakeup_but_not_in_a_dry_run(ada: User):
    cast = scenes.cast({"key": "only"})
    Wakeup.objects.all().delete()
    assert run("reap", "--dry-run").splitlines()[0] == f"cast {cast.pk}: would be given a wakeup"
    assert not Wakeup.objects.exists()
    assert run("reap") == f"cast {cast.pk}: given a wakeup\n"
    assert Wakeup.objects.get().cast == cast
    assert run("reap") == "Nothing to heal.\n"


def test_a_dry_run_of_reap_tells_what_is_wrong_and_raises_no_alert(ada: User, clock):
    scenes.cast({"key": "only"})
    clock.advance(hours=1)
    told = run("reap", "--dry-run").splitlines()
    assert told[0] == "Nothing to heal."
    assert any(line.startswith("wrong now: ") and "wait for a conductor" in line for line in told)
    assert any("no conductor is alive" in line for line in told)
    assert not Alert.objects.exists()


def test_reap_forgets_dead_conductors(db: None):
    ConductorProcessFactory(host="here", pid=7)
    assert run("reap") == "conductor here:7: forgotten, it no longer beats\n"
    assert not ConductorProcess.objects.exists()


# Schedules


def test_migrate_makes_the_schedules(db: None):
    assert installation.missing_schedules() == []
    assert set(Schedule.objects.values_list("name", flat=True)) == {wanted.name for wanted in SCHEDULES}


def test_sync_schedules_mends_what_was_changed_and_leaves_others_alone(db: None):
    first, second, *_ = SCHEDULES
    Schedule.objects.filter(name=first.name).update(minutes=999)
    Schedule.objects.filter(name=second.name).delete()
    Schedule.objects.create(name="grimoire: of old", func="casts.tasks.gone")
    Schedule.objects.create(name="my own", func="math.sqrt", args="4")
    assert set(installation.missing_schedules()) == {first.name, second.name}
    told = run("sync_schedules")
    assert f"{first.name}: changed (every {first.minutes} min, " in told
    assert f"{second.name}: created (" in told
    assert "grimoire: of old: removed\n" in told
    assert installation.missing_schedules() == []
    assert Schedule.objects.filter(name="my own").exists()
    assert run("sync_schedules").count(": unchanged (") == len(SCHEDULES)


def test_schedules_are_made_again_after_a_migration(db: None):
    Schedule.objects.all().delete()
    installation.migrate()
    assert installation.missing_schedules() == []


# doctor


def examined() -> dict[str, dict[str, object]]:
    """Run the doctor on a place without a cluster, and return its findings by name."""
    out = io.StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("doctor", "--json", "--wait", "0", stdout=out)
    told = json.loads(out.getvalue())
    assert told["well"] is False
    return {finding["name"]: finding for finding in told["findings"]}


def wrong(findings: dict[str, dict[str, object]]) -> set[str]:
    assert all(bool(finding["mend"]) != finding["well"] for finding in findings.values())
    return {name for name, finding in findings.items() if not finding["well"]}


@pytest.fixture
def sound(db: None) -> None:
    sync_tools()


def test_the_doctor_finds_a_sound_installation_well_but_for_its_cluster(sound: None):
    findings = examined()
    assert wrong(findings) == {"cluster"}
    assert "manage.py serve" in str(findings["cluster"]["mend"])
    assert not OrmQ.objects.exists(), "the canary was not called off"


def test_the_doctor_finds_tools_and_schedules_that_are_missing(db: None):
    Schedule.objects.all().delete()
    findings = examined()
    assert wrong(findings) >= {"tools", "schedules"}
    assert findings["tools"]["mend"] == "manage.py sync_tools"
    assert findings["schedules"]["mend"] == "manage.py sync_schedules"


def test_the_doctor_finds_stuck_casts(sound: None, ada: User):
    stranded, overdue, suspect = (scenes.cast({"key": "only"}, slug=f"scene-{number}") for number in range(3))
    Wakeup.objects.filter(cast=stranded).delete()
    Wakeup.objects.filter(cast=overdue).update(due_at=database_now() - timedelta(minutes=2))
    Wakeup.objects.filter(cast=suspect).update(lost=2, due_at=database_now() + timedelta(hours=1))
    findings = examined()
    told = str(findings["casts"]["told"])
    assert "casts" in wrong(findings)
    assert f"1 have no wakeup: {stranded.pk}" in told
    assert f"1 are overdue by more than a minute: {overdue.pk}" in told
    assert f"1 have lost their holder twice in a row: {suspect.pk}" in told


def test_the_doctor_finds_calls_that_may_have_been_billed(sound: None):
    unknown = GenerationFactory.create(status="unknown")
    findings = examined()
    assert "unknown calls" in wrong(findings)
    assert str(unknown.pk) in str(findings["unknown calls"]["told"])


def test_the_doctor_names_conductors_that_are_alive(sound: None):
    now = database_now()
    ConductorProcessFactory(host="here", pid=7, in_flight=3, started_at=now, alive_until=now + timedelta(seconds=10))
    assert "here:7 (process, 3 in flight)" in str(examined()["conductors"]["told"])


def test_the_doctor_finds_a_storage_that_cannot_be_written(sound: None, settings, tmp_path: Path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    settings.STORAGES = {
        **settings.STORAGES,
        "artifacts": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": blocked}},
    }
    assert "storage" in wrong(examined())


def test_the_doctor_finds_a_weak_secret_key(sound: None, settings):
    settings.SECRET_KEY = "django-insecure-" + "x" * 50
    assert "secret key" in wrong(examined())


def test_the_doctor_looks_no_further_without_a_database(db: None):
    def refuse(*arguments: object) -> None:
        raise OperationalError("the server is gone")

    with connection.execute_wrapper(refuse):
        findings = examined()
    assert wrong(findings) == {"database"}
    assert "the server is gone" in str(findings["database"]["told"])
    assert "tools" not in findings


def test_the_doctor_tells_a_person_what_to_do(sound: None):
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", "--wait", "0", stdout=out, no_color=True)
    assert "✓ migrations: all are applied\n" in out.getvalue()
    assert "✗ cluster: did not answer within 0 s; 0 tasks wait\n    Start `manage.py serve`" in out.getvalue()


# The canary


def test_a_canary_that_nobody_runs_is_not_back_and_can_be_called_off(db: None):
    sent = canary.send(now=database_now())
    assert not canary.is_back(sent)
    assert not canary.is_discarded(sent)
    canary.call_off(sent)
    assert not OrmQ.objects.exists()


def test_a_canary_without_row_and_result_was_thrown_away(db: None):
    sent = canary.send(now=database_now())
    OrmQ.objects.all().delete()
    assert canary.is_discarded(sent)


# serve and demo: what is refused before anything is started


def test_serve_refuses_a_taken_port(db: None):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refusal("serve", "--port", str(port)) == f"Port {port} of 127.0.0.1 cannot be used: Address already in use."


def test_serve_refuses_other_machines_without_a_public_address(db: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GRIMOIRE_PUBLIC_URL", raising=False)
    assert "GRIMOIRE_PUBLIC_URL=https://" in refusal("serve", "--host", "0.0.0.0", "--port", "0")


def test_demo_with_providers_takes_no_seed():
    assert "takes no seed" in refusal("demo", "--providers", "--seed", "3")


# qcluster


def test_the_cluster_refuses_a_pool_of_connections():
    ended = subprocess.run(
        [sys.executable, "manage.py", "qcluster"],
        cwd=django_settings.BASE_DIR,
        env={
            "PATH": "/usr/bin:/bin",
            "GRIMOIRE_ENV_FILE": "/dev/null",
            "GRIMOIRE_DATABASE_POOL": "true",
            "GRIMOIRE_DATA_DIR": str(django_settings.DATA_DIR),
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        },
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 1
    assert b"grimoire.E002" in ended.stderr
