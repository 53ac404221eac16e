import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import databases, forked
from tests.postgres import CLUSTER
from tests.processes import wait_for
from tests.test_postgres import is_running

ROOT = Path(__file__).parent.parent
COMMAND = ("-m", "pytest", "-p", "tests.databases")
# A server that nobody asks: where it does not matter, none is started.
SERVER = "postgresql://postgres@nowhere/theirs"

SUITE = """
import json, os
from pathlib import Path
import pytest

def note(test):
    with open("seen.jsonl", "a") as seen:
        seen.write(json.dumps({"test": test, **os.environ}) + "\\n")

@pytest.fixture
def db():
    yield

def test_plain(): note("plain")
def test_database(db): note("database")
@pytest.mark.each_database
def test_each(): note("each")
@pytest.mark.sqlite
def test_sqlite(db): note("sqlite")
@pytest.mark.both_databases
@pytest.mark.sqlite
def test_both(db): note("both")
@pytest.mark.postgresql
def test_postgresql(): note("postgresql")
"""


class Suite:
    """A suite of its own, run by this plugin alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pytest.ini").touch()
        self.write(SUITE)

    def write(self, text: str) -> None:
        (self.folder / "test_suite.py").write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, *COMMAND, *arguments], cwd=self.folder, env=self.environment(), stdout=subprocess.DEVNULL)

    def run(self, *arguments: str, **environment: str) -> tuple[int, list[str]]:
        """Return the exit code and the lines of the terminal, those of errors before the others."""
        ended = forked.run(*COMMAND, *arguments, environment=self.environment(**environment), folder=self.folder)
        return ended.returncode, f"{ended.stderr}{ended.stdout}".splitlines()

    def environment(self, **variables: str) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("GRIMOIRE_", "DJANGO_", "DATABASE_URL", "PYTEST"))
        }
        own = {CLUSTER: os.environ[CLUSTER], "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return {**inherited, **own, **variables}

    def seen(self) -> list[dict[str, Any]]:
        path = self.folder / "seen.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def seen_on(self, database: str) -> list[str]:
        return sorted(seen["test"] for seen in self.seen() if seen["GRIMOIRE_TEST_DB"] == database)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_a_run_covers_both_databases_and_sums_up(suite: Suite):
    code, lines = suite.run()
    assert code == 0, lines
    assert suite.seen_on("sqlite") == ["both", "database", "each", "plain", "sqlite"]
    assert suite.seen_on("postgresql") == ["both", "database", "each", "postgresql"]
    assert lines[-1] == "9 passed, 0 failed"
    assert any("5 passed" in line for line in lines[:-1])
    assert any("4 passed" in line for line in lines[:-1])
    urls = {seen["GRIMOIRE_TEST_DB"]: seen["DATABASE_URL"] for seen in suite.seen()}
    assert urls["sqlite"].startswith("sqlite:///")
    assert urls["postgresql"].startswith("postgresql://")


def test_one_database_can_be_chosen_and_then_runs_every_test_of_it(suite: Suite):
    assert suite.run("--db=sqlite")[0] == 0
    assert suite.run("--db=postgresql", DATABASE_URL=SERVER)[0] == 0
    assert suite.seen_on("sqlite") == ["both", "database", "each", "plain", "sqlite"]
    assert suite.seen_on("postgresql") == ["both", "database", "each", "plain", "postgresql"]


def test_neither_the_shell_nor_the_data_of_the_checkout_reaches_a_test(suite: Suite):
    suite.run(
        "--db=sqlite", "-k", "plain", DJANGO_DEBUG="true", GRIMOIRE_DATA_DIR="/precious", DATABASE_URL="sqlite:////precious/db.sqlite3"
    )
    [seen] = suite.seen()
    assert "DJANGO_DEBUG" not in seen
    assert "precious" not in seen["GRIMOIRE_DATA_DIR"] + seen["DATABASE_URL"]
    assert seen["GRIMOIRE_ENV_FILE"] == os.devnull
    assert not Path(seen["GRIMOIRE_TEST_FOLDER"]).exists()


def test_a_given_server_is_used(suite: Suite):
    code, _ = suite.run("--db=postgresql", "-k", "each", DATABASE_URL=SERVER)
    assert code == 0
    assert [seen["DATABASE_URL"] for seen in suite.seen()] == [SERVER]


def test_a_failure_on_one_database_fails_the_run(suite: Suite):
    suite.write(
        "import os\ndef test_it(db): assert os.environ['GRIMOIRE_TEST_DB'] == 'sqlite'\nimport pytest\n@pytest.fixture\ndef db(): pass\n"
    )
    code, lines = suite.run(DATABASE_URL=SERVER)
    assert (code, lines[-1]) == (1, "1 passed, 1 failed")


def test_an_error_in_a_fixture_counts_as_a_failure(suite: Suite):
    suite.write("import pytest\n@pytest.fixture\ndef broken(): raise ValueError\ndef test_it(broken): pass\n")
    code, lines = suite.run("--db=sqlite")
    assert (code, lines[-1]) == (1, "0 passed, 1 failed")


def test_a_run_that_dies_has_failed(suite: Suite):
    suite.write("import os\ndef test_it(): os.kill(os.getpid(), 9)\n")
    code, lines = suite.run("--db=sqlite")
    assert (code, lines[-1]) == (128 + signal.SIGKILL, "0 passed, 1 failed")


def test_the_first_failure_ends_the_run_when_asked_to(suite: Suite):
    suite.write("def test_it(): raise ValueError\n")
    _, lines = suite.run("-x")
    assert not [line for line in lines if line.startswith("postgresql:")]


MEETING = """
import os, time
from pathlib import Path
import pytest

@pytest.fixture
def db():
    yield

def test_both_are_at_work(db):
    Path(os.environ["GRIMOIRE_TEST_DB"]).touch()
    give_up_at = time.monotonic() + 20
    while not (Path("sqlite").exists() and Path("postgresql").exists()):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
"""


def test_both_databases_are_tested_side_by_side_and_told_of_in_turn(suite: Suite):
    suite.write(MEETING)
    code, lines = suite.run("-p", "xdist", "-n", "logical", DATABASE_URL=SERVER)
    assert (code, lines[-1]) == (0, "2 passed, 0 failed"), lines
    told = [line.partition(" in ")[0].strip("= ") for line in lines if line.startswith(("sqlite:", "postgresql:")) or " passed in " in line]
    command = "pytest -p tests.databases -p xdist -n logical"
    assert told == [f"sqlite: {command}", "1 passed", f"postgresql: {command}", "1 passed"]


@pytest.mark.parametrize(("how", "last"), [(("-n", "1"), "1 passed, 1 failed"), (("-n", "logical", "-x"), "0 passed, 1 failed")])
def test_one_database_is_tested_after_the_other_when_somebody_has_chosen_how(suite: Suite, how: tuple[str, ...], last: str):
    suite.write(MEETING.replace("+ 20", "+ 0.2"))
    _, lines = suite.run("-p", "xdist", *how, DATABASE_URL=SERVER)
    assert lines[-1] == last, lines


@pytest.mark.parametrize(("chosen", "code", "last"), [("plain", 0, "1 passed, 0 failed"), ("nonesuch", 5, "0 passed, 0 failed")])
def test_nothing_to_do_on_one_database_is_no_failure(suite: Suite, chosen: str, code: int, last: str):
    ended, lines = suite.run("-k", chosen, DATABASE_URL=SERVER)
    assert (ended, lines[-1]) == (code, last)


def test_an_unknown_database_is_refused(suite: Suite):
    code, lines = suite.run(GRIMOIRE_TEST_DB="oracle")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert any("GRIMOIRE_TEST_DB must be one of sqlite, postgresql" in line for line in lines)


def test_questions_are_answered_without_a_run(suite: Suite):
    code, lines = suite.run("--markers")
    assert code == 0
    assert any("each_database" in line for line in lines)
    assert not any("passed" in line for line in lines)


@pytest.mark.parametrize(("cores", "gigabytes", "workers"), [(1, 8, 2), (2, 8, 4), (2, 3, 3), (2, 0.5, 1), (6, 32, 8), (32, 128, 32)])
def test_tests_that_wait_share_cores_as_far_as_memory_lasts(cores: int, gigabytes: float, workers: int):
    memory = int(gigabytes * (1 << 30))
    assert databases.workers(cores=cores, memory_bytes=memory) == workers
    assert databases.workers(cores=cores, memory_bytes=memory, runs=2) == max(1, workers // 2)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_run(suite: Suite, stop: signal.Signals):
    suite.write(
        "import os, time\nfrom pathlib import Path\nimport pytest\n"
        "@pytest.mark.postgresql\ndef test_it():\n    Path('url').write_text(os.environ['DATABASE_URL'])\n    Path('pid').write_text(str(os.getpid()))\n    time.sleep(100)\n"
    )
    with suite.start("--db=postgresql") as process:
        pid = suite.folder / "pid"
        wait_for("the test to run", lambda: pid.exists() and pid.read_text(), seconds=20)
        process.send_signal(stop)
        process.wait(20)
    folder = (suite.folder / "url").read_text().split("@")[1].split("/")[0].replace("%2F", "/")
    running = [int(pid.read_text()), *server_pids(Path(folder))]
    assert running
    wait_for("all processes to end", lambda: not any(is_running(each) for each in running), seconds=20)


def server_pids(folder: Path) -> list[int]:
    file = folder / "data" / "postmaster.pid"
    return [int(file.read_text().splitlines()[0])] if file.exists() else []
