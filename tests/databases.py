"""The suite on both databases: a pytest plugin, loaded by `addopts` before Django reads its settings.

A run starts one pytest per database of `--db` with the same arguments, and sums up. Such a child knows its database
from GRIMOIRE_TEST_DB. Settings come from here alone: neither `.env` nor the shell reaches a test.

Where the number of workers is ours to choose, the children work side by side: while one waits, the other computes. What the second
says is shown once the first has ended.
"""

import atexit
import gc
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from casts.processes import die_with_parent
from tests.postgres import CLUSTER, PostgresServer, temporary_folder

DATABASE = "GRIMOIRE_TEST_DB"  # `sqlite` or `postgresql`, in the children
FOLDER = "GRIMOIRE_TEST_FOLDER"  # of the run: data, settings, reports
RUNS = "GRIMOIRE_TEST_RUNS"  # how many children work side by side
POSTGRES_SCHEMES = ("postgres://", "postgresql://", "pgsql://")
DATABASES = ("sqlite", "postgresql")
PROCESS_FOLDERS = {"functional", "faults"}
# Tests wait more than they compute. With many cores there are enough of them at once, and servers have a bound to their connections.
WORKERS_PER_CORE = 2
ENOUGH_WORKERS = 8
WORKER_BYTES = 1 << 30  # with the processes that its test drives
WE_CHOOSE = pytest.StashKey[bool]()  # how many workers there are
SHOWN_EACH_SECONDS = 0.2
GARBAGE = (20_000, 20, 50)  # thresholds of its collector
FOREVER = 3600.0
DATABASE_FIXTURES = {
    "db",
    "transactional_db",
    "django_db_reset_sequences",
    "django_db_serialized_rollback",
    "django_db_setup",
    "live_server",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run on one database ended, and how many tests passed and failed."""

    database: str
    exit_code: int
    passed: int
    failed: int


def isolate() -> None:
    """Give this process settings of its own: a new data directory, nothing from `.env` or the shell.

    Raises:
        pytest.UsageError: GRIMOIRE_TEST_DB names no database.
    """
    database = os.environ.get(DATABASE)
    if database not in (None, *DATABASES):
        raise pytest.UsageError(f"{DATABASE} must be one of {', '.join(DATABASES)}, not {database!r}.")
    if FOLDER in os.environ:
        return
    folder = str(temporary_folder("grimoire-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in [name for name in os.environ if name.startswith(("DJANGO_", "EMAIL_", "GRIMOIRE_", "OTEL_"))]:
        if name not in (DATABASE, CLUSTER):
            del os.environ[name]
    if database == "sqlite":
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/data/grimoire.sqlite3"
    os.environ.update({FOLDER: folder, "GRIMOIRE_DATA_DIR": f"{folder}/data", "GRIMOIRE_ENV_FILE": os.devnull})
    os.environ.setdefault(CLUSTER, f"{folder}/cluster")


isolate()


def database_under_test() -> str:
    """Return `sqlite` or `postgresql`."""
    return os.environ[DATABASE]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("grimoire")
    group.addoption("--db", choices=[*DATABASES, "both"], default="both", help="The database to run the tests on (default: both).")


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Take more workers than cores, as long as memory lasts. PYTEST_XDIST_AUTO_NUM_WORKERS goes before that, and so does `-n NUMBER`.

    First, since xdist itself answers with one for each core.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    config.stash[WE_CHOOSE] = True
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return workers(cores=len(os.sched_getaffinity(0)), memory_bytes=memory, runs=int(os.environ.get(RUNS, "1")))


def workers(*, cores: int, memory_bytes: int, runs: int = 1) -> int:
    """Return how many workers each of the runs on a machine is given.

    Together they have two for each core until there are enough, then one, and none without its memory.
    """
    wanted = max(cores, min(WORKERS_PER_CORE * cores, ENOUGH_WORKERS))
    return max(1, min(wanted, memory_bytes // WORKER_BYTES) // runs)


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in (
        ("sqlite", "for SQLite only"),
        ("postgresql", "for PostgreSQL only"),
        ("both_databases", "runs on both, although the other tests of its module are for one"),
        ("each_database", "asks for no database fixture, but reaches the database all the same: runs on both"),
        ("faults", "injects faults into real processes"),
        ("lasting", "lasts for half a minute or longer, on any machine: begins before all others"),
    ):
        config.addinivalue_line("markers", f"{name}: {meaning}")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Run a child for each database, unless this is one, or only a question is asked."""
    asked = config.option
    if DATABASE in os.environ or asked.help or asked.version or asked.markers or asked.showfixtures or asked.show_fixtures_per_test:
        return None
    wanted = DATABASES if asked.db == "both" else (asked.db,)
    outcomes = run_side_by_side(wanted, config) if len(wanted) > 1 and may_share(config) else run_in_turn(wanted, config)
    print(f"\n{sum(outcome.passed for outcome in outcomes)} passed, {sum(outcome.failed for outcome in outcomes)} failed")
    return worst(outcomes)


def may_share(config: pytest.Config) -> bool:
    """Whether two runs may divide the machine's workers: nobody told their number, neither a debugger nor a failure stops the first, and
    no folder is theirs both.
    """
    options = config.option
    return config.stash.get(WE_CHOOSE, False) and not (options.maxfail or options.usepdb or options.basetemp)


def worst(outcomes: list[Outcome]) -> int:
    """Return the exit code of a run: the highest, but for a database that had nothing to do beside one that had."""
    codes = {outcome.exit_code for outcome in outcomes}
    if len(codes) > 1:
        codes.discard(pytest.ExitCode.NO_TESTS_COLLECTED)
    return max(codes)


def run_in_turn(wanted: Sequence[str], config: pytest.Config) -> list[Outcome]:
    """Run the same pytest on one database after the other, in sight of the terminal."""
    outcomes: list[Outcome] = []
    for database in wanted:
        announce(database, config)
        with started(database, config) as child:
            outcomes.append(outcome_of(database, exit_code=wait(child)))
        if outcomes[-1].exit_code == pytest.ExitCode.INTERRUPTED or (config.option.maxfail and outcomes[-1].failed):
            break
    return outcomes


def run_side_by_side(wanted: Sequence[str], config: pytest.Config) -> list[Outcome]:
    """Run the same pytest on all databases at once. The terminal shows one after the other."""
    os.environ[RUNS] = str(len(wanted))
    with ExitStack() as stack:
        said = {database: Path(os.environ[FOLDER], f"{database}.log") for database in wanted[1:]}
        children = {
            database: stack.enter_context(started(database, config, output=stack.enter_context(path.open("wb"))))
            for database, path in said.items()
        }
        children[wanted[0]] = stack.enter_context(started(wanted[0], config))  # last: a server that does not start stops no other
        outcomes = []
        for database in wanted:
            announce(database, config)
            if database in said:
                show(said[database], children[database])
            outcomes.append(outcome_of(database, exit_code=wait(children[database])))
    return outcomes


def announce(database: str, config: pytest.Config) -> None:
    print(f"\n{database}: {shlex.join(['pytest', *config.invocation_params.args])}", flush=True)


@contextmanager
def started(database: str, config: pytest.Config, *, output: IO[bytes] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a pytest on one database. What it says goes to the terminal, or to `output`."""
    arguments = [*config.invocation_params.args]
    if config.pluginmanager.hasplugin("cacheprovider"):
        arguments += ["-o", f"cache_dir={config.rootpath / '.pytest_cache' / database}"]  # --last-failed, for each database
    with database_url(database) as url:
        yield subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=config.invocation_params.dir,
            env={**os.environ, DATABASE: database, "DATABASE_URL": url},
            stdout=output,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - all it calls was looked up before the fork
        )


def show(path: Path, child: "subprocess.Popen[bytes]") -> None:
    """Print what a child has said, and goes on to say until it ends."""
    with path.open(errors="replace") as said:
        while True:
            has_ended = ended_within(child, seconds=SHOWN_EACH_SECONDS)
            print(said.read(), end="", flush=True)
            if has_ended:
                return


def ended_within(child: "subprocess.Popen[bytes]", *, seconds: float) -> bool:
    """Wait for the child's end for so long. Ctrl-C reaches it by itself; it is given the time to clean up."""
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        child.wait(seconds)
    return child.poll() is not None


def outcome_of(database: str, *, exit_code: int) -> Outcome:
    """Return how a child ended. One that ended badly has failed at least once, whatever it counted."""
    report = Path(os.environ[FOLDER]) / f"{database}.json"
    counts = {"passed": 0, "failed": 0, **(json.loads(report.read_text()) if report.exists() else {})}
    if exit_code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) and not counts["failed"]:
        interrupted = exit_code == pytest.ExitCode.INTERRUPTED
        print(f"{database}: pytest {'was interrupted' if interrupted else f'ended with exit code {exit_code}'}", flush=True)
        counts["failed"] = 1
    return Outcome(database, exit_code, **counts)


def wait(child: "subprocess.Popen[bytes]") -> int:
    """Return the child's exit code, or what a shell would tell of the signal that ended it."""
    while not ended_within(child, seconds=FOREVER):
        pass
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


@contextmanager
def database_url(database: str) -> Iterator[str]:
    """Yield the DATABASE_URL of a database server, the given one if it is one; for SQLite that of a file of this run."""
    given = os.environ.get("DATABASE_URL", "")
    if database == "sqlite":
        yield f"sqlite:///{os.environ[FOLDER]}/data/grimoire.sqlite3"
    elif given.startswith(POSTGRES_SCHEMES):
        yield given
    else:
        with PostgresServer() as server:
            yield server.url("grimoire")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the parent how many passed and failed. Only the process with the terminal comes here."""
    if FOLDER in os.environ and DATABASE in os.environ:
        counts = {kind: len(terminalreporter.stats.get(kind, ())) for kind in ("passed", "failed", "error")}
        report = {"passed": counts["passed"], "failed": counts["failed"] + counts["error"]}
        (Path(os.environ[FOLDER]) / f"{os.environ[DATABASE]}.json").write_text(json.dumps(report))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage while tests are found, and never again among what was loaded for them: a tenth of what a worker computes.

    Looking more rarely among what tests make is another twentieth.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for the other database, and on PostgreSQL what needs none and ran before. Begin with what takes longest."""
    database = database_under_test()
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[database]
    everything = database == "sqlite" or config.option.db == "postgresql"
    kept = [item for item in items if not is_left_out(item, other) and (everything or needs_database(item))]
    if len(kept) < len(items):
        here = set(kept)
        config.hook.pytest_deselected(items=[item for item in items if item not in here])
        items[:] = kept
    # They wait for processes: one worker does that while the others work, and at the end no worker is left alone with them.
    items.sort(key=lambda item: (item.get_closest_marker("lasting") is None, PROCESS_FOLDERS.isdisjoint(item.path.parts)))


def is_left_out(item: pytest.Item, other: str) -> bool:
    return item.get_closest_marker(other) is not None and item.get_closest_marker("both_databases") is None


def needs_database(item: pytest.Item) -> bool:
    if any(item.get_closest_marker(name) for name in ("django_db", "postgresql", "each_database")):
        return True
    return not DATABASE_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
