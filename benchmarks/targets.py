"""What is to hold of Grimoire's speed, and whether it does: a table over all runs, written into the documents.

`python -m benchmarks.targets --write` writes it anew from what is kept in `docs/measured`; so does each run with `--write`.
"""

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measured import kept
from tests.functional.site import ROOT

PERFORMANCE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
# What is replaced in the documents.
BEGIN, END = "<!-- targets, written by python -m benchmarks.targets --write: begin -->", "<!-- targets: end -->"
MILLION, CROWD = 1_000_000, 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A figure of a run, and what it is to be: at least the `goal`, or with `at_most` no more; without a goal it is only told.

    `size` is how many casts, or calls, the run must have had for its figure to count. Of targets with the same `either` one is
    to be met. Those that are `brief` stand in the README, too.
    """

    told: str
    run: str
    figure: str
    goal: float | None = None
    at_most: bool = True
    unit: str = ""
    size: tuple[str, int] | None = None
    either: str = ""
    brief: bool = False

    def value(self) -> float | None:
        """Return what was measured; None when nothing was, or too little."""
        found = kept(self.run)
        if found is None or self.figure not in found["figures"]:
            return None
        figures = found["figures"]
        return None if self.size and figures[self.size[0]] < self.size[1] else float(figures[self.figure])

    def is_met(self) -> bool | None:
        """Tell whether it holds; None when it was not measured, or has no goal."""
        value = self.value()
        if value is None or self.goal is None:
            return None
        return value <= self.goal if self.at_most else value >= self.goal


TARGETS = (
    Target(
        told="many workflows at once, one conductor: times the steps a second of dbos",
        run="contest",
        figure="times_dbos",
        goal=5,
        at_most=False,
        brief=True,
    ),
    Target(told="the same with two conductors", run="contest", figure="pairs_times_dbos", at_most=False, brief=True),
    Target(
        told="one conductor: times the steps a second of procrastinate",
        run="contest",
        figure="times_procrastinate",
        goal=5,
        at_most=False,
        brief=True,
    ),
    Target(
        told="the same: times those of psycopg, a commit a step on two connections",
        run="contest",
        figure="times_floor_of_pairs",
        goal=1,
        at_most=False,
    ),
    Target(told="the same: times as slow as psycopg in sets of 50", run="contest", figure="times_floor_of_sets", goal=4),
    Target(told="one workflow alone: times as quick as dbos", run="contest", figure="alone_times_dbos", goal=2, at_most=False),
    Target(told="the same: times as slow as psycopg, a commit a step", run="contest", figure="alone_times_floor", goal=2),
    Target(
        told="casts started by `POST /casts/`, one web process",
        run="web",
        figure="casts_per_second",
        goal=400,
        at_most=False,
        unit="/s",
        either="web",
        brief=True,
    ),
    Target(
        told="or: times as slow as an empty view of DRF that inserts two rows",
        run="web",
        figure="times_floor",
        goal=2,
        either="web",
        brief=True,
    ),
    Target(
        told="from `POST /casts/` to the first call, idle site: median",
        run="latency",
        figure="start_p50_ms",
        goal=15,
        unit=" ms",
        brief=True,
    ),
    Target(told="the same: 99 of 100", run="latency", figure="start_p99_ms", goal=60, unit=" ms"),
    Target(told="the same on SQLite: median", run="latency", figure="sqlite_start_p50_ms", goal=60, unit=" ms"),
    Target(
        told="from a callback to the next call, idle site: median", run="latency", figure="callback_p50_ms", goal=15, unit=" ms", brief=True
    ),
    Target(
        told="a claim beside a million casts that ended: times as long as beside none",
        run="history",
        figure="claim_times_empty",
        goal=1.2,
        size=("casts", MILLION),
        brief=True,
    ),
    Target(told="bytes for each step of a cast that ended", run="history", figure="bytes_per_step", goal=900),
    Target(
        told="casts pruned beside that million",
        run="history",
        figure="pruned_casts_per_second",
        at_most=False,
        unit="/s",
        size=("casts", MILLION),
    ),
    Target(told="a site with nothing to do: share of a core", run="idle", figure="percent", goal=2, unit=" %"),
    Target(told="the same: statements a second", run="idle", figure="statements_per_second", goal=5),
    Target(
        told="100,000 casts that wait for providers: share of a core",
        run="waiting",
        figure="idle_percent",
        goal=3,
        unit=" %",
        size=("casts", CROWD),
        brief=True,
    ),
    Target(
        told="beside them: a claim, times as long as beside none", run="waiting", figure="claim_times_none", goal=1.2, size=("casts", CROWD)
    ),
    Target(
        told="beside them: from a callback to the next call, median",
        run="waiting",
        figure="callback_p50_ms",
        goal=15,
        unit=" ms",
        size=("casts", CROWD),
    ),
    Target(told="calls of 5 s at once, one conductor", run="immediate", figure="at_once", goal=1000, at_most=False, brief=True),
    Target(told="the same: memory of the conductor", run="immediate", figure="peak_mib", goal=250, unit=" MiB", size=("at_once", 1000)),
    Target(
        told="2,000 jobs, webhooks lost and doubled: USD billed and not booked",
        run="deferred",
        figure="unbooked_usd",
        goal=0.005,
        size=("casts", 2000),
    ),
    Target(told="the same: generations billed twice", run="deferred", figure="billed_twice", goal=0, size=("casts", 2000)),
    Target(told="tables after more rounds of work and pruning: times their size before", run="churn", figure="growth", goal=1.1),
)


def shown(value: float) -> str:
    """Return a number as people read it: three digits, two of a small one, all those of a whole one."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}" if abs(value) >= 1 else f"{value:.2g}"


def table(targets: Iterable[Target] = TARGETS) -> str:
    """Return the targets as Markdown."""
    return "\n".join(["| target | goal | measured | |", "|---|--:|--:|---|", *map(_line, targets)])


def _line(target: Target) -> str:
    goal = "" if target.goal is None else f"{'≤' if target.at_most else '≥'} {shown(target.goal)}{target.unit}"
    value = target.value()
    measured = "not measured" if value is None else f"{shown(value)}{target.unit}"
    return f"| {target.told} | {goal} | {measured} | {_verdict(target)} |"


def _verdict(target: Target) -> str:
    met = target.is_met()
    if met is False and target.either and any(other.is_met() for other in TARGETS if other.either == target.either):
        return "the other is met"
    return {None: "", True: "met", False: "missed"}[met]


def runs() -> str:
    """Return how each run that was kept was made, as Markdown."""
    names = sorted({target.run for target in TARGETS})
    found = [(name, kept(name)) for name in names]
    return "\n".join(f"- `{name}`: {each['how']} ({each['machine']})." for name, each in found if each)


def replace(document: Path, text: str, *, begin: str = BEGIN, end: str = END) -> None:
    """Put text between the two marks of a document, in place of what stands there. Raises ValueError when it lacks them."""
    before, opened, rest = document.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{document} has no place for it: {begin} and {end}.")
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def write() -> None:
    """Write the tables into the documents."""
    replace(PERFORMANCE, f"{table()}\n\n{runs()}")
    replace(README, table(target for target in TARGETS if target.brief))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md and README.md")
    if parser.parse_args().write:
        write()
    print(table())


if __name__ == "__main__":
    main()
