"""All runs, one after the other, each as the program that it is. One that fails keeps nobody from the next.

`uv run --extra dev --group bench python -m benchmarks.everything --write`
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks import targets
from tests.functional.site import ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A module with its options; `quick` are those that show only whether it runs."""

    module: str
    quick: tuple[str, ...]


# Those that time things while little is on the machine come first.
PROGRAMS = (
    Program(module="latency", quick=("--casts", "5")),
    Program(module="idle", quick=("--seconds", "5")),
    Program(module="waiting", quick=("--casts", "10", "100", "--requests", "5", "--seconds", "5")),
    Program(module="web", quick=("--seconds", "1", "--rounds", "1")),
    Program(module="contest", quick=("--quick", "--rounds", "1")),
    Program(module="immediate", quick=("--calls", "40", "--seconds", "2")),
    Program(module="deferred", quick=("--casts", "40", "--latency", "1..3")),
    Program(module="churn", quick=("--casts", "50", "--rounds", "6")),
    Program(module="history", quick=("--casts", "0", "1000", "--prune", "200")),
)


def command(program: Program, *, quick: bool, write: bool) -> list[str]:
    """Return the words that run a program. The contest is the package itself."""
    module = "benchmarks" if program.module == "contest" else f"benchmarks.{program.module}"
    return [sys.executable, "-m", module, *(program.quick if quick else ()), *(["--write"] if write else [])]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everything", description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the figures in docs/measured, and write the documents anew")
    parser.add_argument("--quick", action="store_true", help="little work: to see whether all of it runs, not for figures to keep")
    parser.add_argument("--only", action="append", default=[], choices=[each.module for each in PROGRAMS], help="may be repeated")
    options = parser.parse_args()
    if options.quick and options.write:
        parser.error("--quick measures nothing that is worth keeping: leave out --write.")
    failed = []
    for program in PROGRAMS:
        if options.only and program.module not in options.only:
            continue
        print(f"── {program.module}", flush=True)
        began = time.monotonic()
        ended = subprocess.run(command(program, quick=options.quick, write=options.write), cwd=ROOT, check=False)
        failed += [program.module] if ended.returncode else []
        print(f"── {program.module}: {time.monotonic() - began:.0f} s, ended with {ended.returncode}", flush=True)
    print(targets.table())
    if failed:
        print(f"Something does not hold, or did not work: {', '.join(failed)}.")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
