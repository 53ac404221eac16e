import json
import os
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from tests import forked
from tests.forked import Ended

ROOT = Path(django_settings.BASE_DIR)
LONG_KEY = "k3y-" * 20 + "abcdefgh"


def environment(folder: Path, **variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "GRIMOIRE_ENV_FILE": os.devnull, "GRIMOIRE_DATA_DIR": str(folder / "data"), **variables}


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the checkout with these settings, and none from the shell."""
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment(folder, **variables), capture_output=True, text=True, check=False, timeout=60
    )


def read(folder: Path, code: str, **variables: str) -> Ended:
    """Run code in a process in the checkout that reads these settings, and none from the shell."""
    return forked.run("-c", code, environment=environment(folder, **variables), folder=ROOT)


def values(folder: Path, *names: str, first: str = "", **variables: str) -> list[Any]:
    """Return settings as a process with these variables sees them."""
    code = f"{first}\nimport json\nfrom config import settings\nprint(json.dumps([getattr(settings, name) for name in {names!r}], default=str))"
    ended = read(folder, code, **variables)
    assert ended.returncode == 0, ended.stderr
    seen: list[Any] = json.loads(ended.stdout)
    return seen


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DATABASE_URL", "mysql://user:hunter2@db/grimoire", "postgresql://user:password@host:5432/name"),
        ("DATABASE_URL", "sqlite://:memory:", "sqlite:////absolute/path.sqlite3"),
        ("DATABASE_URL", "postgresql://user:hunter2@db:port/grimoire", "Not a valid database URL"),
        ("DJANGO_DEBUG", "perhaps", "boolean"),
        ("DJANGO_SECRET_KEY", "short", "at least 50"),
        ("DJANGO_SECRET_KEY", "a" * 80, "random"),
        ("EMAIL_URL", "ftp://mail.example.org", "smtp://"),
        ("GRIMOIRE_ALERT_EMAILS", "ada@example.org, grace", "grace is no e-mail address"),
        ("GRIMOIRE_ALERT_HEALED_CASTS", "0", "greater than or equal to 1"),
        ("EMAIL_URL", "mail.example.org", "smtp://user:password@host:25"),
        ("EMAIL_URL", "smtp://user:hunter2@host:port", "Not a valid email URL"),
        ("GRIMOIRE_CLUSTER_WORKERS", "0", "greater than or equal to 1"),
        ("GRIMOIRE_CLUSTER_WORKERS", "two", "integer"),
        ("GRIMOIRE_DATABASE_POOL_SIZE", "-1", "greater than or equal to 1"),
        ("GRIMOIRE_DATA_DIR", "", "folder"),
        ("GRIMOIRE_DATA_DIR", "/dev/null/data", "/dev/null/data"),
        ("GRIMOIRE_ENV_FILE", "/nonesuch/.env", "no file"),
        ("GRIMOIRE_LOG_FORMAT", "xml", "auto, json, console"),
        ("GRIMOIRE_LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("GRIMOIRE_MAX_BODY_BYTES", "5 MB", "integer"),
        ("GRIMOIRE_PUBLIC_URL", "grimoire.example.org", "https://grimoire.example.org"),
        ("GRIMOIRE_PUBLIC_URL", "https://user@example.org", "https://grimoire.example.org"),
        ("GRIMOIRE_PUBLIC_URL", "https://example.org:port", "URL"),
        ("GRIMOIRE_PUBLIC_URL", "https://example.org/grimoire", "scheme and host alone"),
    ],
)
def test_a_wrong_value_stops_the_start_with_the_name_and_what_was_expected(tmp_path: Path, name: str, value: str, expected: str):
    ended = read(tmp_path, "import config.settings", **{name: value})
    message = ended.stderr.splitlines()[-1]
    assert ended.returncode != 0
    assert f'"{name}"' in message
    assert expected in message
    assert "hunter2" not in message


def test_a_command_tells_of_a_wrong_value_without_a_traceback(tmp_path: Path):
    ended = run(tmp_path, "manage.py", "check", GRIMOIRE_CLUSTER_WORKERS="many")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert '"GRIMOIRE_CLUSTER_WORKERS"' in ended.stderr
    assert ".env.example" in ended.stderr


def test_each_variable_stands_in_the_example_file_and_no_other():
    written = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#?([A-Z_]+)=", written, re.MULTILINE)) == django_settings.ENVIRONMENT_VARIABLES


def test_the_defaults_are_fit_for_deployment(tmp_path: Path):
    ended = run(tmp_path, "-W", "error", "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert ended.returncode == 0, ended.stderr


def test_a_site_behind_tls_has_secure_cookies_and_hsts(tmp_path: Path):
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS", "DEBUG", "ALLOWED_HOSTS")
    *secure, hosts = values(tmp_path, *names, GRIMOIRE_PUBLIC_URL="https://grimoire.example.org/")
    assert secure == [True, True, True, 31_536_000, False]
    assert "grimoire.example.org" in hosts


def test_a_site_on_plain_http_can_be_used(tmp_path: Path):
    assert values(tmp_path, "SESSION_COOKIE_SECURE", "SECURE_SSL_REDIRECT", GRIMOIRE_PUBLIC_URL="http://localhost:8000") == [False, False]


def test_hosts_are_separated_by_commas(tmp_path: Path):
    assert values(tmp_path, "ALLOWED_HOSTS", DJANGO_ALLOWED_HOSTS="a.example.org, b.example.org") == [["a.example.org", "b.example.org"]]


def test_operators_are_named_by_their_addresses(tmp_path: Path):
    assert values(tmp_path, "GRIMOIRE_ALERT_EMAILS") == [[]]
    [named] = values(tmp_path, "GRIMOIRE_ALERT_EMAILS", GRIMOIRE_ALERT_EMAILS="ada@example.org, grace@example.org")
    assert named == ["ada@example.org", "grace@example.org"]


def test_no_mail_is_sent_until_a_server_is_named(tmp_path: Path):
    names = ("EMAIL_IS_CONFIGURED", "EMAIL_TIMEOUT", "DEFAULT_FROM_EMAIL")
    [configured, *rest] = values(tmp_path, *names, GRIMOIRE_PUBLIC_URL="https://grimoire.example.org")
    assert (configured, rest) == (False, [20, "Grimoire <grimoire@grimoire.example.org>"])


def test_a_mail_server_is_named_by_a_url(tmp_path: Path):
    names = ("EMAIL_IS_CONFIGURED", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_USE_TLS", "EMAIL_TIMEOUT", "DEFAULT_FROM_EMAIL")
    url, sender = "submission://ada:p%40ss@mail.example.org?timeout=7", "Us <us@example.org>"
    seen = values(tmp_path, *names, EMAIL_URL=url, GRIMOIRE_EMAIL_FROM=sender)
    assert seen == [True, "mail.example.org", 587, "ada", True, 7, sender]


def test_hosts_for_webhooks_and_keys_of_before_are_separated_by_commas(tmp_path: Path):
    variables = {"GRIMOIRE_WEBHOOK_PRIVATE_HOSTS": "Hooks.internal, 10.0.0.7,", "DJANGO_SECRET_KEY_FALLBACKS": f"{LONG_KEY},{LONG_KEY}x"}
    hosts, keys = values(tmp_path, "WEBHOOK_PRIVATE_HOSTS", "SECRET_KEY_FALLBACKS", **variables)
    assert hosts == ["hooks.internal", "10.0.0.7"]
    assert keys == [LONG_KEY, f"{LONG_KEY}x"]
    assert values(tmp_path, "WEBHOOK_PRIVATE_HOSTS", "SECRET_KEY_FALLBACKS") == [[], []]


def test_sqlite_is_the_default_and_survives_a_power_cut(tmp_path: Path):
    [databases] = values(tmp_path, "DATABASES")
    database = databases["default"]
    assert database["ENGINE"] == "config.sqlite"
    assert database["NAME"] == str(tmp_path / "data" / "grimoire.sqlite3")
    assert "synchronous=FULL" in database["OPTIONS"]["init_command"]
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_a_folder_may_have_characters_that_mean_something_in_a_url(tmp_path: Path):
    folder = tmp_path / "50% #1 what?"
    [databases] = values(folder, "DATABASES")
    assert databases["default"]["NAME"] == str(folder / "data" / "grimoire.sqlite3")


def test_a_relative_file_is_the_same_one_for_every_process(tmp_path: Path):
    [databases] = values(tmp_path, "DATABASES", DATABASE_URL="sqlite:///data/other.sqlite3")
    assert databases["default"]["NAME"] == str(ROOT / "data" / "other.sqlite3")


def test_postgresql_has_persistent_connections_and_prepared_statements(tmp_path: Path):
    [databases] = values(tmp_path, "DATABASES", DATABASE_URL="postgresql://user:p%40ss@db:5433/grimoire?sslmode=require")
    database = databases["default"]
    assert (database["USER"], database["PASSWORD"], database["HOST"], database["PORT"]) == ("user", "p@ss", "db", 5433)
    assert database["ENGINE"] == "config.postgresql"
    assert (database["CONN_MAX_AGE"], database["CONN_HEALTH_CHECKS"]) == (None, True)
    assert database["OPTIONS"] == {"sslmode": "require", "server_side_binding": True, "prepare_threshold": 2}


def test_only_the_web_process_pools_its_connections(tmp_path: Path):
    url = {"DATABASE_URL": "postgresql://db/grimoire"}
    [elsewhere] = values(tmp_path, "DATABASES", **url)
    [web] = values(tmp_path, "DATABASES", first="import config.asgi", **url)
    [told_otherwise] = values(tmp_path, "DATABASES", first="import config.asgi", GRIMOIRE_DATABASE_POOL="false", **url)
    assert "pool" not in elsewhere["default"]["OPTIONS"]
    assert web["default"]["OPTIONS"]["pool"] == {"min_size": 1, "max_size": 10, "timeout": 10}
    assert (web["default"]["CONN_MAX_AGE"], web["default"]["CONN_HEALTH_CHECKS"]) == (0, False)
    assert "pool" not in told_otherwise["default"]["OPTIONS"]


def test_the_secret_key_is_made_once_and_kept_from_others(tmp_path: Path):
    [first] = values(tmp_path, "SECRET_KEY")
    [second] = values(tmp_path, "SECRET_KEY")
    kept = tmp_path / "data" / "secret_key"
    assert first == second == kept.read_text()
    assert len(first) >= 50
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert [path.name for path in kept.parent.iterdir()] == ["secret_key"]


def test_processes_that_start_at_once_agree_on_the_secret_key(tmp_path: Path):
    code = "from config import settings; print(settings.SECRET_KEY)"
    outputs = [tmp_path / f"key-{number}" for number in range(6)]
    started = [forked.start("-c", code, environment=environment(tmp_path), folder=ROOT, stdout=stdout) for stdout in outputs]
    assert [process.wait(60) for process in started] == [0] * 6
    keys = {stdout.read_text() for stdout in outputs}
    assert len(keys) == 1
    assert keys != {""}


def test_a_given_secret_key_is_not_kept(tmp_path: Path):
    assert values(tmp_path, "SECRET_KEY", DJANGO_SECRET_KEY=LONG_KEY) == [LONG_KEY]
    assert not (tmp_path / "data" / "secret_key").exists()


def test_settings_come_from_the_file_unless_the_environment_says_otherwise(tmp_path: Path):
    file = tmp_path / "settings.env"
    file.write_text("GRIMOIRE_MAX_BODY_BYTES=4096\nGRIMOIRE_CLUSTER_WORKERS=3\n")
    body, cluster = values(tmp_path, "DATA_UPLOAD_MAX_MEMORY_SIZE", "Q_CLUSTER", GRIMOIRE_ENV_FILE=str(file), GRIMOIRE_CLUSTER_WORKERS="5")
    assert body == 4096
    assert (cluster["workers"], cluster["queue_limit"]) == (5, 10)


def test_tests_do_not_touch_the_data_of_the_checkout():
    assert ROOT not in Path(django_settings.DATA_DIR).parents


@pytest.mark.postgresql
def test_connections_of_the_web_process_come_from_its_pool(tmp_path: Path, database_url: str):
    code = """
        from concurrent.futures import ThreadPoolExecutor
        import config.asgi
        from django.db import connection

        def ask(number):
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s, pg_backend_pid()", [number])
                answer = cursor.fetchone()
            connection.close()
            return answer

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(ask, range(200)))
        assert [number for number, _ in answers] == list(range(200))
        print(len({pid for _, pid in answers}), connection.pool.max_size)
        connection.close_pool()
    """
    ended = run(tmp_path, "-W", "error", "-c", textwrap.dedent(code), DATABASE_URL=database_url, GRIMOIRE_DATABASE_POOL_SIZE="3")
    assert ended.returncode == 0, ended.stderr
    used, at_most = map(int, ended.stdout.split())
    assert 1 <= used <= at_most == 3
