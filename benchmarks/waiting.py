"""Casts that wait for their providers: what up to 100,000 of them cost while nothing happens, and how long the others then take.

`python -m benchmarks.waiting --casts 10 1000 10000 100000`
"""

import asyncio
import time
from collections.abc import Sequence

import psycopg

from benchmarks import runs
from benchmarks.copies import Copies
from benchmarks.house import House, asleep, beside, house, told
from benchmarks.idle import SETTLING_SECONDS, processor_seconds
from benchmarks.latency import Asker
from benchmarks.measured import Outcome, share_below

CLAIMS, TURNS = 120, 3
# A site that has nothing to do may use so much of a core, however many casts wait.
MOST_PERCENT = 3.0


class Processor:
    """Processor time of a site and of its database's server since somebody began to look."""

    def __init__(self, built: House) -> None:
        """Begin to look."""
        self._built = built
        self._before = self._read()
        self._began = time.monotonic()

    def percent(self) -> tuple[float, float]:
        """Return what the site and the server have used, in percent of one core."""
        took, after = time.monotonic() - self._began, self._read()
        used = [sum(after[group][pid] - self._before[group].get(pid, 0.0) for pid in after[group]) for group in (0, 1)]
        return 100 * used[0] / took, 100 * used[1] / took

    def _read(self) -> tuple[dict[int, float], dict[int, float]]:
        servers = [int(pid) for (pid,) in self._built.ask("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")]
        return processor_seconds(self._built.site.processes()), processor_seconds(servers)


def run(built: House, *, casts: Sequence[int], seconds: float, requests: int, turns: int = TURNS, most: float = MOST_PERCENT) -> Outcome:
    """Have so many casts wait, ask for others meanwhile, print the figures, and return them."""
    built.offer_clocks()
    key = built.order("prepare_clocks", waits=True)
    outcome = Outcome()
    with beside(built) as twin:
        twin.offer_clocks()
        built.site.serve("--conductors", "1", "--workers", "1")
        asker = Asker(built, key=key)
        built.order("start", 1)
        built.wait_for_jobs(1, seconds=60)
        with psycopg.connect(built.database_url, autocommit=True) as connection:
            [(cast_id,)] = connection.execute("SELECT id FROM casts_cast").fetchall()
            copies = Copies(connection, cast_id=cast_id)
            for number in sorted(casts):
                copies.grow(number)
                _look(built, asker, twin=twin, casts=number, requests=requests, turns=turns, outcome=outcome)
    time.sleep(SETTLING_SECONDS)
    processor = Processor(built)
    time.sleep(seconds)
    site, server = processor.percent()
    crowd = max(casts)
    outcome.figures = {
        "casts": crowd,
        "idle_percent": site,
        "idle_server_percent": server,
        "claim_times_none": outcome.series["claim_ms"][-1][1] / outcome.series["claim_ms_none"][-1][1],
        "start_p50_ms": outcome.series["start_ms"][-1][1],
        "callback_p50_ms": outcome.series["callback_ms"][-1][1],
    }
    told({"while they wait": f"{site:.2f} % of a core for the site, {server:.2f} % for the database, in {seconds:.0f} s"})
    if site > most:
        outcome.problems.append(f"While {crowd:,} casts waited, the site used {site:.2f} % of a core, more than {most:g} %.")
    return outcome


def _look(built: House, asker: Asker, *, twin: House, casts: int, requests: int, turns: int, outcome: Outcome) -> None:
    """Ask beside so many casts that wait, and note how long that took. Claims are timed in turns with those of a twin where none wait."""
    times = {
        "start_ms": asyncio.run(asker.starts(requests)),
        "callback_ms": asyncio.run(asker.callbacks(min(requests, casts))),  # the newest: the one that is copied waits on
        "claim_ms": [],
        "claim_ms_none": [],
    }
    for _ in range(turns):
        # nobody else claims meanwhile; not for long, or the conductor would be taken for dead
        with asleep([*built.site.leaders("conduct"), *built.site.leaders("qcluster")]):
            times["claim_ms"] += built.order("time_claims", CLAIMS // turns)
        times["claim_ms_none"] += twin.order("time_claims", CLAIMS // turns)
    for name, some in times.items():
        outcome.series.setdefault(name, []).append((casts, 1000 * share_below(some, 0.5)))
    told({f"{casts:,} casts wait": ", ".join(f"{name} {points[-1][1]:.1f}" for name, points in outcome.series.items())})


def main() -> None:
    parser = runs.parser("waiting", __doc__)
    parser.add_argument("--casts", type=int, nargs="+", default=[10, 1_000, 10_000, 100_000], help="how many wait")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to look at them")
    parser.add_argument("--requests", type=int, default=30, help="how many casts are started, and called back, meanwhile")
    options = parser.parse_args()
    with house() as built:
        outcome = run(built, casts=options.casts, seconds=options.seconds, requests=options.requests)
    how = f"{options.requests} casts and as many callbacks one after the other beside each number, medians; then {options.seconds:g} s of nothing"
    runs.finish("waiting", outcome, how=how, write=options.write)


if __name__ == "__main__":
    main()
