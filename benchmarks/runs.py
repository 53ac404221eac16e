"""What all runs share as programs: the option to keep what they measured, and their end."""

import argparse

from benchmarks import curves, targets
from benchmarks.measured import FOLDER, Outcome, keep
from tests.functional.site import ROOT


def parser(name: str, told: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option that all runs have."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=told)
    made.add_argument(
        "--write", action="store_true", help=f"keep the figures in {FOLDER.relative_to(ROOT)}/{name}.json, and write the documents anew"
    )
    return made


def finish(name: str, outcome: Outcome, *, how: str, write: bool) -> None:
    """Print what does not hold, keep the figures if that is asked, and end with 1 if something does not hold."""
    for problem in outcome.problems:
        print(problem)
    if write:
        keep(name, outcome, how=how)
        targets.write()
        curves.write()
    raise SystemExit(1 if outcome.problems else 0)
