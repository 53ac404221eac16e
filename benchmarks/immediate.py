"""Calls that are answered while one waits: how many at once one conductor holds, and what that costs in time and memory.

`python -m benchmarks.immediate --calls 1000 --seconds 5`
"""

from decimal import Decimal

from benchmarks import runs
from benchmarks.house import House, house, told
from benchmarks.measured import Outcome

PRICING = {"input_per_million": "0.15", "output_per_million": "0.6"}
PARAMS = {"prompt": "A sentence about the number {{ inputs.number }}."}
LONGEST_FACTOR = 60.0


def run(built: House, *, calls: int, seconds: float, conductors: int, limit: float) -> Outcome:
    """Make the calls, print the figures, and return them."""
    built.provide("--answer-latency", f"{seconds}")
    config = {"base_url": f"{built.fake_url}/openai/v1"}
    # All are due when the conductors come: how fast casts can be ordered is not what is measured.
    built.order("prepare", tool="openai.chat", config=config, pricing=PRICING, params=PARAMS, casts=calls)
    with built.serve(conductors=conductors) as memory:
        built.wait_for_casts(calls, seconds=seconds + LONGEST_FACTOR * max(1, calls / 100))
    by_status = built.counts("SELECT status, count(*) FROM casts_cast GROUP BY status")
    [(took,)] = built.ask("SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM generations_generation")
    [(at_once,)] = built.ask(
        """
        SELECT max(running) FROM (SELECT sum(change) OVER (ORDER BY at, change) AS running FROM (
            SELECT started_at AS at, 1 AS change FROM generations_generation
            UNION ALL SELECT finished_at, -1 FROM generations_generation WHERE finished_at IS NOT NULL
        ) AS changes) AS counted
        """
    )
    ledger = built.control("ledger")
    [(cost,)] = built.ask("SELECT coalesce(sum(cost_usd), 0) FROM casts_cast")
    told(
        {
            "calls of": f"{seconds} s, {calls} of them, on {conductors} conductors",
            "ended": by_status,
            "at once": f"{at_once} at most",
            "in all": f"{took:.1f} s from the start of the first to the end of the last (limit {limit} s)",
            "billed / booked": f"{Decimal(ledger['usd']):.10f} / {cost:.10f} USD in {ledger['count']} calls",
            "memory of conductors": f"{memory.start:.0f} MiB at the start, {memory.peak:.0f} at most, {memory.end:.0f} at the end",
        }
    )
    outcome = Outcome(figures={"calls": calls, "at_once": float(at_once), "seconds": float(took), "peak_mib": memory.peak})
    found = outcome.problems
    if by_status != {"succeeded": calls}:
        found.append(f"Not all casts succeeded: {by_status}.")
    if took is None or took > limit:
        found.append(f"It took {took} s, longer than {limit} s.")
    if ledger["count"] != calls or abs(Decimal(ledger["usd"]) - cost) > Decimal("0.005"):
        found.append("What was billed is not what was booked.")
    return outcome


def main() -> None:
    parser = runs.parser("immediate", __doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each call takes")
    parser.add_argument("--conductors", type=int, default=1)
    parser.add_argument("--limit", type=float, default=25.0, help="seconds that all may take together")
    options = parser.parse_args()
    with house() as built:
        outcome = run(built, calls=options.calls, seconds=options.seconds, conductors=options.conductors, limit=options.limit)
    how = f"{options.calls} calls of {options.seconds:g} s that are due at once, on {options.conductors} conductor"
    runs.finish("immediate", outcome, how=how, write=options.write)


if __name__ == "__main__":
    main()
