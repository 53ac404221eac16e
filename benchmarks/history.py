"""What a long history costs: claims beside a million casts that ended, the room they take, and how fast they are pruned.

`python -m benchmarks.history --casts 0 10000 100000 1000000`
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from benchmarks import runs
from benchmarks.copies import Copies
from benchmarks.house import House, beside, house, told
from benchmarks.measured import Outcome, share_below

STEPS = 5
PAYLOAD = "x" * 150  # with its names and marks, a step's inputs and its output are of about 200 bytes
CLAIMS = 300
# Claims beside a history and beside none are timed in turns: whatever disturbs the machine meanwhile disturbs both.
TURNS = 3
# The first of the copies ended so long ago, and each further one so many seconds later.
DAYS = 365
SECONDS_APART = 3.0
# A claim beside a history may take so many times what it takes beside none.
LIMIT = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was measured beside so many ended casts: times of claims in seconds, also of those beside none meanwhile, and bytes."""

    casts: int
    times: Sequence[float]
    times_beside_none: Sequence[float]
    size: int

    @property
    def median(self) -> float:
        return share_below(self.times, 0.5)

    @property
    def ratio(self) -> float:
        return self.median / share_below(self.times_beside_none, 0.5)

    @property
    def bytes_per_step(self) -> float:
        return self.size / self.casts / STEPS

    def line(self) -> str:
        told = f"a claim {self.median * 1000:.2f} ms in the middle, {share_below(self.times, 0.95) * 1000:.2f} ms for 1 of 20"
        room = f"; {self.size / 2**20:,.0f} MiB" + (f", {self.bytes_per_step:,.0f} bytes a step" if self.casts else "")
        return f"{told}, {self.ratio:.2f} times what it takes beside none{room}"


def run(built: House, *, casts: Sequence[int], prune: int, claims: int = CLAIMS, turns: int = TURNS, limit: float = LIMIT) -> Outcome:
    """Measure beside each of these histories, print the figures, and return them. Prunes so many casts at the end."""
    since = time.monotonic()  # before the original ends: of it all copies take their times
    built.order("prepare_chain", steps=STEPS, payload=PAYLOAD)
    outcome, seen = Outcome(), []
    with beside(built) as twin, psycopg.connect(built.database_url, autocommit=True) as connection:
        [(cast_id,)] = connection.execute("SELECT id FROM casts_cast").fetchall()
        history = Copies(connection, cast_id=cast_id, days_ago=DAYS, seconds_apart=SECONDS_APART)
        for number in sorted(casts):
            history.grow(number)
            built.order("time_claims", 50)  # reads again what was cleaned
            times, times_beside_none = list[float](), list[float]()
            for _ in range(turns):
                times += built.order("time_claims", claims // turns)
                times_beside_none += twin.order("time_claims", claims // turns)
            seen.append(Seen(casts=number, times=times, times_beside_none=times_beside_none, size=history.size()))
            told({f"{number:,} ended casts": seen[-1].line()})
        if prune:
            _prune(built, history, casts=min(prune, history.made), since=since, outcome=outcome)
    worst = max((each.ratio for each in seen if each.casts), default=1.0)
    told({"ratio": f"a claim beside a history takes at most {worst:.2f} times what it takes beside none (limit {limit})"})
    if worst > limit:
        outcome.problems.append(f"A claim takes {worst:.2f} times as long beside a history, more than {limit} times.")
    outcome.figures |= {"casts": seen[-1].casts, "claim_times_empty": seen[-1].ratio, "claim_ms": 1000 * seen[-1].median}
    if seen[-1].casts:
        outcome.figures["bytes_per_step"] = seen[-1].bytes_per_step
    outcome.series["claim_ms"] = [(each.casts, 1000 * each.median) for each in seen]
    outcome.series["claim_ms_empty"] = [(each.casts, 1000 * share_below(each.times_beside_none, 0.5)) for each in seen]
    return outcome


def _prune(built: House, history: Copies, *, casts: int, since: float, outcome: Outcome) -> None:
    """Prune the oldest casts, print how fast that went, and note it with what does not hold."""
    began = time.monotonic()
    said = built.site.run("prune", "--older-than", f"{DAYS - (casts + 0.5) * SECONDS_APART / 86_400:.6f}", "--verbosity", "0")
    ended = time.monotonic()
    [(left,)] = built.ask("SELECT count(*) FROM casts_cast WHERE finished_at < now() - interval '1 day'")
    gone, took = history.made - left, ended - began
    told({"pruned": f"{gone:,} casts in {took:.1f} s, {gone / took:,.0f} casts/s", "it said": said.strip().replace("\n", "; ")})
    outcome.figures["pruned_casts_per_second"] = gone / took
    # the casts grew older meanwhile
    meanwhile = (ended - since) / SECONDS_APART
    if not casts <= gone <= casts + 1 + meanwhile:
        outcome.problems.append(f"Of {history.made:,} casts {gone:,} went, not {casts:,}.")


def main() -> None:
    parser = runs.parser("history", __doc__)
    parser.add_argument(
        "--casts", type=int, nargs="+", default=[0, 10_000, 100_000, 1_000_000], help="how many ended casts to measure beside"
    )
    parser.add_argument("--prune", type=int, default=20_000, help="how many to prune at the end")
    parser.add_argument("--limit", type=float, default=LIMIT, help="how many times as long a claim may take")
    options = parser.parse_args()
    with house() as built:
        outcome = run(built, casts=options.casts, prune=options.prune, limit=options.limit)
    how = f"{CLAIMS} claims of one due cast beside each history, {TURNS} turns with as many in a database without one; medians"
    runs.finish("history", outcome, how=how, write=options.write)


if __name__ == "__main__":
    main()
