"""Calls that are answered while one waits: how many at once two conductors hold, and what that costs in time.

`python -m benchmarks.immediate --calls 500 --seconds 5`
"""

import argparse
from decimal import Decimal

from benchmarks.house import House, house, told

PRICING = {"input_per_million": "0.15", "output_per_million": "0.6"}
PARAMS = {"prompt": "A sentence about the number {{ inputs.number }}."}
LONGEST_FACTOR = 60.0


def run(built: House, *, calls: int, seconds: float, conductors: int, limit: float) -> list[str]:
    """Make the calls, print the figures, and return what does not hold."""
    built.provide("--answer-latency", f"{seconds}")
    config = {"base_url": f"{built.fake_url}/openai/v1"}
    # All are due when the conductors come: how fast casts can be ordered is not what is measured.
    built.order("prepare", tool="openai.chat", config=config, pricing=PRICING, params=PARAMS, casts=calls)
    with built.serve(conductors=conductors) as memory:
        built.wait_for_casts(calls, seconds=seconds + LONGEST_FACTOR * max(1, calls / 100))
    by_status = built.counts("SELECT status, count(*) FROM casts_cast GROUP BY status")
    [(took,)] = built.ask("SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM generations_generation")
    ledger = built.control("ledger")
    [(cost,)] = built.ask("SELECT coalesce(sum(cost_usd), 0) FROM casts_cast")
    told(
        {
            "calls of": f"{seconds} s, {calls} of them, on {conductors} conductors",
            "ended": by_status,
            "in all": f"{took:.1f} s from the start of the first to the end of the last (limit {limit} s)",
            "billed / booked": f"{Decimal(ledger['usd']):.10f} / {cost:.10f} USD in {ledger['count']} calls",
            "memory of conductors": f"{memory.start:.0f} MiB at the start, {memory.peak:.0f} at most, {memory.end:.0f} at the end",
        }
    )
    found = []
    if by_status != {"succeeded": calls}:
        found.append(f"Not all casts succeeded: {by_status}.")
    if took is None or took > limit:
        found.append(f"It took {took} s, longer than {limit} s.")
    if ledger["count"] != calls or abs(Decimal(ledger["usd"]) - cost) > Decimal("0.005"):
        found.append("What was billed is not what was booked.")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.immediate", description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each call takes")
    parser.add_argument("--conductors", type=int, default=2)
    parser.add_argument("--limit", type=float, default=15.0, help="seconds that all may take together")
    options = parser.parse_args()
    with house() as built:
        found = run(built, calls=options.calls, seconds=options.seconds, conductors=options.conductors, limit=options.limit)
    for problem in found:
        print(problem)
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
