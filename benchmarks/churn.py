"""A day of work and pruning in short: whether the tables level off, or grow with what has come and gone.

`python -m benchmarks.churn --casts 800 --rounds 9`
"""

import time

from benchmarks import runs
from benchmarks.house import House, house, told
from benchmarks.measured import Outcome

STEPS = 5
PAYLOAD = "x" * 150
ROUND_SECONDS = 300.0
# What is left behind is looked for each second instead of each minute, as rounds are seconds and not hours.
OPTIONS = {"autovacuum_naptime": "1s"}
# Later rounds may take so many times the room of those in the middle.
LIMIT = 1.1
SIZE = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
LARGEST = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC LIMIT 5
    """


def run(built: House, *, casts: int, rounds: int, limit: float = LIMIT) -> Outcome:
    """Conduct and prune so many casts a round, print how large the tables are after each, and return whether they level off.

    One round's casts are kept: those before are pruned. There are at least three rounds.
    """
    built.order("prepare_chain", steps=STEPS, payload=PAYLOAD)
    built.site.serve("--conductors", "1", "--workers", "1")
    outcome, sizes, ended_at = Outcome(), list[int](), list[float]()
    for number in range(1, rounds + 1):
        built.order("start", casts)
        built.wait_for_no_live_cast(seconds=ROUND_SECONDS)
        ended_at.append(time.time())
        if number > 1:
            built.order("prune", older_than_seconds=time.time() - ended_at[-2])
        [(size,)] = built.ask(SIZE)
        sizes.append(int(size))
        [(left,)] = built.ask("SELECT count(*) FROM casts_cast")
        told({f"round {number}": f"{size / 2**20:.1f} MiB, {left:,} casts"})
    third = len(sizes) // 3
    growth = max(sizes[-third:]) / max(sizes[third:-third])
    told({"growth": f"{growth:.2f} times from the middle rounds to the last (limit {limit})", "the largest": built.counts(LARGEST)})
    if left > casts + 1:
        outcome.problems.append(f"Of {rounds * casts:,} casts {left:,} are left, more than the {casts:,} of the last round.")
    if growth > limit:
        outcome.problems.append(f"The tables grew {growth:.2f} times, more than {limit} times.")
    outcome.figures = {"casts": rounds * casts, "growth": growth, "mib": sizes[-1] / 2**20}
    outcome.series = {"mib": [(number, size / 2**20) for number, size in enumerate(sizes, 1)]}
    return outcome


def main() -> None:
    parser = runs.parser("churn", __doc__)
    parser.add_argument("--casts", type=int, default=800, help="how many come and go in a round")
    parser.add_argument("--rounds", type=int, default=9, help="at least 3")
    options = parser.parse_args()
    with house(options=OPTIONS) as built:
        outcome = run(built, casts=options.casts, rounds=options.rounds)
    how = f"{options.rounds} rounds of {options.casts} casts of {STEPS} steps, of which one round is kept; the last third beside the middle one"
    runs.finish("churn", outcome, how=how, write=options.write)


if __name__ == "__main__":
    main()
