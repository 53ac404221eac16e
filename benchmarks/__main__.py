"""As fast as the database: Grimoire beside others that do the same work, on one machine, in one run.

`uv run --group bench python -m benchmarks` starts a PostgreSQL of its own that writes through to the disk.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import curves, measured, showing, targets
from benchmarks.contenders.work import Measured
from benchmarks.contest import CONTENDERS, Contender, Line, as_json, contend, outcome
from tests.functional.site import ROOT, Site, drop_database, make_database, own_database
from tests.postgres import PostgresServer, temporary_folder

PICTURE = ROOT / "docs" / "performance.svg"
# What `--write` replaces in `PERFORMANCE`.
BEGIN, END = "<!-- written by python -m benchmarks --write: begin -->", "<!-- end -->"
LONGEST_SECONDS = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much each contender does in a round."""

    workflows: int
    alone: int


FULL, QUICK = Size(workflows=400, alone=30), Size(workflows=20, alone=3)


class Stores:
    """Fresh stores for contenders, made of two that are prepared once."""

    def __init__(self, folder: Path, *, server_url: str) -> None:
        """Make the tables on both databases."""
        self._folder, self._server_url = folder, server_url
        self._template = f"tables_{os.getpid()}"
        url = make_database(server_url, name=self._template)
        self._file = folder / "tables.sqlite3"
        for each in (url, f"sqlite:///{self._file}"):
            Site(folder, database_url=each).run("migrate", "--verbosity", "0")

    def close(self) -> None:
        drop_database(f"{self._server_url.rpartition('/')[0]}/{self._template}")

    @contextmanager
    def fresh(self, contender: Contender) -> Iterator[str]:
        """Yield the DATABASE_URL of a store for one round."""
        name = f"round_{time.monotonic_ns()}"
        if contender.store == "file":
            file = self._folder / f"{name}.sqlite3"
            shutil.copy(self._file, file)
            yield f"sqlite:///{file}"
            return
        template = self._template if contender.store == "tables" else "template0"
        with own_database(self._server_url, name=name, template=template) as url:
            yield url


def take(contender: Contender, *, size: Size, stores: Stores, folder: Path) -> Measured:
    """Have a contender work in a process of its own.

    Raises:
        RuntimeError: it did not, and this is what it said.
    """
    with stores.fresh(contender) as url:
        program = [sys.executable, "-m", f"benchmarks.contenders.{contender.program}"]
        options = ["--url", url, "--workflows", str(size.workflows), "--alone", str(size.alone), "--mode", contender.mode]
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("GRIMOIRE_", "DJANGO_", "DATABASE_"))}
        environment = outside | {"GRIMOIRE_DATA_DIR": str(folder), "GRIMOIRE_ENV_FILE": os.devnull, "GRIMOIRE_LOG_LEVEL": "WARNING"}
        ended = subprocess.run(
            [*program, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
        )
    if ended.returncode != 0:
        raise RuntimeError(f"{contender.name} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
    return Measured(**json.loads(ended.stdout.splitlines()[-1]))


def chosen(words: Sequence[str]) -> list[Contender]:
    """Return the contenders whose name has one of these words in it; all of them when there is none.

    Raises:
        ValueError: no contender has.
    """
    found = [each for each in CONTENDERS if not words or any(word in each.name for word in words)]
    if not found:
        raise ValueError(f"No contender is called {' or '.join(words)}. There are: {'; '.join(each.name for each in CONTENDERS)}.")
    return found


def told_of(size: Size, *, rounds: int) -> str:
    """Return how the figures were measured, for whoever reads them later."""
    return f"{size.workflows} workflows at once and {size.alone} alone, {rounds} rounds in turns, medians"


def write(lines: Sequence[Line], *, how: str, about: str, svg: str) -> None:
    """Keep the figures, put the table into the document, and the picture beside it."""
    measured.keep("contest", outcome(lines), how=how)
    targets.replace(targets.PERFORMANCE, showing.markdown(lines, about=about), begin=BEGIN, end=END)
    PICTURE.write_text(svg)
    targets.write()
    curves.write()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORD", help="only contenders with this word in their name; may be repeated"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each works (default: 3)")
    parser.add_argument("--quick", action="store_true", help="little work: to see whether all of it runs, not for figures to keep")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured to a file")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the figures as SVG")
    parser.add_argument("--write", action="store_true", help="keep the figures, and write the documents and pictures anew")
    options = parser.parse_args()
    try:
        contenders = chosen(options.only)
    except ValueError as error:
        parser.error(str(error))
    size, console = QUICK if options.quick else FULL, Console()
    folder = temporary_folder("grimoire-contest-")
    try:
        with PostgresServer(fsync=True) as server:
            stores = Stores(folder, server_url=server.url())
            with console.status("") as status:
                lines = contend(
                    contenders,
                    rounds=options.rounds,
                    workflows=size.workflows,
                    take=lambda contender: take(contender, size=size, stores=stores, folder=folder),
                    told=status.update,
                )
            stores.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    how = told_of(size, rounds=options.rounds)
    about = f"{how}; {measured.machine()}."
    console.print(showing.table(lines))
    for name, value in outcome(lines).figures.items():
        console.print(f"{name}: {value:,.2f}")
    console.print(about)
    if options.json:
        options.json.write_text(json.dumps(as_json(lines, about={"how": about}), indent=1) + "\n")
    svg = showing.picture(lines, about=about)
    if options.picture:
        options.picture.write_text(svg)
    if options.write:
        write(lines, how=how, about=about, svg=svg)


if __name__ == "__main__":
    main()
