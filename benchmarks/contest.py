"""Who contends, how rounds are taken, and what comes of their figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from benchmarks.contenders.work import STEPS, Measured
from benchmarks.measured import Outcome

Kind = Literal["ours", "other", "floor"]
# On which store a contender works: PostgreSQL with Grimoire's tables or empty, an SQLite file with them, or one of its own.
Store = Literal["tables", "empty", "file", "own"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One line of the table. `program` is a module of `benchmarks.contenders`, `family` the name under which the best of its modes counts."""

    name: str
    family: str
    program: str
    store: Store
    kind: Kind = "other"
    mode: str = ""


CONTENDERS = (
    Contender(name="grimoire", family="grimoire", program="grimoire", store="tables", kind="ours"),
    Contender(name="grimoire, 2 conductors", family="grimoire of pairs", program="grimoire", store="tables", kind="ours", mode="pair"),
    Contender(name="grimoire on SQLite", family="grimoire on SQLite", program="grimoire", store="file", kind="ours"),
    Contender(name="dbos, threads", family="dbos", program="durable", store="empty", mode="threads"),
    Contender(name="dbos, coroutines", family="dbos", program="durable", store="empty", mode="async"),
    Contender(name="dbos, queue", family="dbos", program="durable", store="empty", mode="queue"),
    Contender(name="procrastinate, chained jobs", family="procrastinate", program="jobs", store="empty"),
    Contender(name="celery, chain on Valkey", family="celery", program="chained", store="own"),
    Contender(name="django-q2, chain", family="django-q2", program="clustered", store="empty"),
    Contender(name="psycopg, a commit a step", family="floor", program="floor", store="tables", kind="floor", mode="steps"),
    Contender(
        name="psycopg, the same on 2 connections", family="floor of pairs", program="floor", store="tables", kind="floor", mode="pair"
    ),
    Contender(name="psycopg, in sets of 50", family="floor of sets", program="floor", store="tables", kind="floor", mode="sets"),
)

# Contenders with one conductor and with two, or with as many connections: what is drawn as curves.
BY_CONDUCTORS = {
    "steps_per_second": ("grimoire", "grimoire, 2 conductors"),
    "floor_per_second": ("psycopg, a commit a step", "psycopg, the same on 2 connections"),
}


@dataclass(slots=True, kw_only=True)
class Line:
    """A contender and what it did: steps a second of each round, and milliseconds of each workflow that ran alone."""

    contender: Contender
    rates: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)

    def add(self, measured: Measured, *, workflows: int) -> None:
        self.rates.append(workflows * STEPS / measured.many)
        self.alone += [seconds * 1000 for seconds in measured.alone]

    @property
    def rate(self) -> float:
        """Return the median of the rounds, in steps a second."""
        return median(self.rates)

    @property
    def noise(self) -> float:
        """Return how far the rounds lie apart, as a share of their median."""
        return (max(self.rates) - min(self.rates)) / self.rate

    @property
    def milliseconds(self) -> float | None:
        """Return the median of the workflows that ran alone, if any did."""
        return median(self.alone) if self.alone else None


def contend(
    contenders: Sequence[Contender], *, rounds: int, workflows: int, take: Callable[[Contender], Measured], told: Callable[[str], None]
) -> list[Line]:
    """Have each contender work once a round, in turns: whatever disturbs the machine meanwhile disturbs all of them."""
    lines = [Line(contender=contender) for contender in contenders]
    for number in range(1, rounds + 1):
        for line in lines:
            told(f"round {number} of {rounds}: {line.contender.name}")
            line.add(take(line.contender), workflows=workflows)
    return lines


def best(lines: Sequence[Line], family: str) -> tuple[float | None, float | None]:
    """Return the steps a second and the milliseconds alone of a family, each of the mode that is best at it."""
    own = [line for line in lines if line.contender.family == family]
    alone = [line.milliseconds for line in own if line.milliseconds is not None]
    return max((line.rate for line in own), default=None), min(alone, default=None)


def outcome(lines: Sequence[Line]) -> Outcome:
    """Return what came of a contest: ratios by name, those that were measured, and steps a second by the number of conductors."""
    ours, ours_alone = best(lines, "grimoire")
    dbos, dbos_alone = best(lines, "dbos")
    procrastinate, _ = best(lines, "procrastinate")
    pairs, _ = best(lines, "grimoire of pairs")
    _, floor_alone = best(lines, "floor")
    floor_of_pairs, _ = best(lines, "floor of pairs")
    floor_of_sets, _ = best(lines, "floor of sets")
    ratios = {
        "steps_per_second": ours,
        "times_dbos": _ratio(ours, dbos),
        "pairs_times_dbos": _ratio(pairs, dbos),
        "times_procrastinate": _ratio(ours, procrastinate),
        "times_floor_of_pairs": _ratio(ours, floor_of_pairs),
        "times_floor_of_sets": _ratio(floor_of_sets, ours),
        "alone_ms": ours_alone,
        "alone_times_dbos": _ratio(dbos_alone, ours_alone),
        "alone_times_floor": _ratio(ours_alone, floor_alone),
    }
    rates = {line.contender.name: line.rate for line in lines}
    series = {
        name: [(float(number), rates[each]) for number, each in enumerate(names, 1) if each in rates]
        for name, names in BY_CONDUCTORS.items()
    }
    return Outcome(figures={name: value for name, value in ratios.items() if value is not None}, series=series)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def as_json(lines: Sequence[Line], *, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that was measured."""
    return {
        "about": dict(about),
        "contenders": [
            {
                "name": line.contender.name,
                "steps_per_second": line.rate,
                "rounds": line.rates,
                "noise": line.noise,
                "alone_ms": line.milliseconds,
                "alone_ms_each": line.alone,
            }
            for line in lines
        ],
    }
