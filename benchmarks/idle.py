"""What a Grimoire costs that has nothing to do: processor time of its processes, and statements that its database sees.

`python -m benchmarks.idle --seconds 60`
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import runs
from benchmarks.house import House, house, told
from benchmarks.measured import Outcome

# What happens once after the start is not what is measured. The cluster first looks at its schedules half a minute after it, and
# finds all of them due, also that of each hour.
SETTLING_SECONDS = 45.0
MOST_SHARE = 0.02
MOST_STATEMENTS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What had been used when somebody looked: seconds of processor time by process, and statements so far."""

    at: float
    processor: dict[int, float]
    statements: int

    @classmethod
    def now(cls, built: House) -> "Reading":
        processor = processor_seconds(built.site.processes())
        [(statements,)] = built.ask("SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'")
        return cls(at=time.monotonic(), processor=processor, statements=int(statements))


def processor_seconds(pids: Iterable[int]) -> dict[int, float]:
    """Return how long processes have been at work, each itself and what it waited for, in seconds. One that has ended meanwhile is left out."""
    found = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[pid] = sum(int(words[number]) for number in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")
    return found


def run(built: House, *, seconds: float, share: float = MOST_SHARE, statements: float = MOST_STATEMENTS) -> Outcome:
    """Serve without anything to do for so long, print the figures, and return them."""
    built.site.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    built.site.serve("--conductors", "1", "--workers", "1")
    time.sleep(SETTLING_SECONDS)
    before = Reading.now(built)
    time.sleep(seconds)
    after = Reading.now(built)
    took = after.at - before.at
    used = sum(after.processor[pid] - before.processor.get(pid, 0.0) for pid in after.processor) / took
    asked = (after.statements - before.statements) / took
    told(
        {
            "idle for": f"{took:.0f} s: web, cluster with one worker, one conductor; {len(after.processor)} processes",
            "processor": f"{used:.2%} of a core (limit {share:.0%})",
            "statements": f"{asked:.1f} a second (limit {statements:g})",
        }
    )
    outcome = Outcome(figures={"percent": 100 * used, "statements_per_second": asked})
    found = outcome.problems
    if used > share:
        found.append(f"It used {used:.2%} of a core, more than {share:.0%}.")
    if asked > statements:
        found.append(f"It asked {asked:.1f} statements a second, more than {statements:g}.")
    return outcome


def main() -> None:
    parser = runs.parser("idle", __doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to look")
    options = parser.parse_args()
    with house(options={"shared_preload_libraries": "pg_stat_statements"}) as built:
        outcome = run(built, seconds=options.seconds)
    how = f"web, cluster and one conductor with nothing to do for {options.seconds:g} s"
    runs.finish("idle", outcome, how=how, write=options.write)


if __name__ == "__main__":
    main()
