"""Jobs that a provider takes away: so many in flight at once, whose webhooks get lost, come twice, and tell of failures.

`python -m benchmarks.deferred --casts 2000`
"""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from benchmarks import runs
from benchmarks.house import House, Memory, house, told
from benchmarks.measured import Outcome

PRICING = {"per_second": "0.00115"}
PARAMS = {"input": {"prompt": "picture {{ inputs.number }}", "width": 64, "height": 64}}
CONFIG = {"webhook_secret_env": "REPLICATE_WEBHOOK_SECRET", "webhook_events": ["start", "completed"]}
CENT = Decimal("0.005")
# Casts that were asked for do not wait for their webhooks; the figures do.
WEBHOOK_SECONDS = 60.0
# A conductor that keeps what it had in flight grows by more than this; its caches do not.
GROWTH = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked for. Shares are from 0 to 1."""

    casts: int = 2000
    conductors: int = 2
    latency: str = "1..20"
    fail: float = 0.05
    lose: float = 0.2
    double: float = 0.1
    gathers: bool = True
    seconds: float = 900.0


@dataclass(slots=True, kw_only=True)
class Bill:
    """What the provider billed beside what Grimoire booked."""

    entries: list[dict[str, Any]]
    booked: Decimal
    jobs: set[str]
    per_generation: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.per_generation.update(entry["generation_id"] or entry["id"] for entry in self.entries)

    @property
    def billed(self) -> Decimal:
        return sum((Decimal(entry["usd"]) for entry in self.entries), Decimal(0))

    def problems(self) -> list[str]:
        found = []
        if abs(self.billed - self.booked) >= CENT:
            found.append(f"The provider billed {self.billed} USD, and {self.booked} are booked.")
        if strange := {entry["id"] for entry in self.entries} - self.jobs:
            found.append(f"{len(strange)} billed jobs are of no generation, like {min(strange)}.")
        if twice := [each for each, count in self.per_generation.items() if count > 1]:
            found.append(f"{len(twice)} generations were billed more than once, like {min(twice)}.")
        return found


def run(built: House, load: Load) -> Outcome:
    """Make the casts, print the figures, and return them."""
    shares = {"--fail": load.fail, "--lose-webhooks": load.lose, "--double-webhooks": load.double}
    options = [word for name, share in shares.items() for word in (name, str(share))]
    built.provide("--latency", load.latency, *options, *(["--gather", str(load.casts)] if load.gathers else []))
    config = {**CONFIG, "base_url": f"{built.fake_url}/replicate/v1"}
    built.order("prepare", tool="replicate", config=config, pricing=PRICING, params=PARAMS)
    with built.serve(conductors=load.conductors) as memory:
        built.order("start", load.casts)
        has_ended = built.wait_for_casts(load.casts, seconds=load.seconds)
        built.wait_for_webhooks(seconds=WEBHOOK_SECONDS)
    outcome = _outcome(built, load, memory)
    if not has_ended:
        outcome.problems.append(f"Not all casts have ended within {load.seconds:.0f} s.")
    return outcome


def _outcome(built: House, load: Load, memory: Memory) -> Outcome:
    casts = built.counts("SELECT status, count(*) FROM casts_cast GROUP BY status")
    generations = built.counts("SELECT status, count(*) FROM generations_generation GROUP BY status")
    [(booked,)] = built.ask("SELECT coalesce(sum(cost_usd), 0) FROM casts_cast")
    [(apart,)] = built.ask("SELECT coalesce(sum(cost_usd), 0) FROM generations_generation")
    [(took,)] = built.ask("SELECT extract(epoch FROM max(finished_at) - min(created_at)) FROM casts_cast")
    jobs = {str(job) for (job,) in built.ask("SELECT job_id FROM generations_generation")}
    bill = Bill(entries=built.control("ledger")["entries"], booked=booked, jobs=jobs)
    stats, webhooks = built.control("stats"), built.control("webhooks")["counts"]
    callbacks = built.counts("SELECT outcome, count(*) FROM generations_callback GROUP BY outcome")
    [(notified,)] = built.ask("SELECT count(*) FROM casts_notification")
    told(
        {
            "casts": f"{load.casts} on {load.conductors} conductors, jobs of {load.latency} s",
            "ended": casts,
            "generations": generations,
            "in flight at the provider": f"{stats['peak']} at once, {stats['accepted']} in all",
            "billed by the provider": f"{bill.billed:.10f} USD in {len(bill.entries)} calls",
            "booked by Grimoire": f"{booked:.10f} USD by casts, {apart:.10f} USD by generations",
            "billed calls of a generation": f"{max(bill.per_generation.values(), default=0)} at most",
            "webhooks sent": webhooks,
            "callbacks stored": callbacks,
            "notifications": notified,
            "in all": f"{took or 0:.1f} s",
            "memory of conductors": f"{memory.start:.0f} MiB at the start, {memory.peak:.0f} at most, {memory.end:.0f} at the end",
        }
    )
    found = bill.problems()
    figures = {
        "casts": load.casts,
        "at_once": stats["peak"],
        "seconds": float(took or 0),
        "unbooked_usd": abs(float(bill.billed - booked)),
        "billed_twice": sum(count > 1 for count in bill.per_generation.values()),
        "peak_mib": memory.peak,
    }
    if booked != apart:
        found.append("The costs of the casts are not those of their generations.")
    if casts != {"succeeded": load.casts}:
        found.append(f"Not all casts succeeded: {casts}.")
    if webhooks.get("refused"):
        found.append(f"{webhooks['refused']} webhooks were refused.")
    if sum(callbacks.values()) != webhooks.get("delivered", 0) - webhooks.get("doubled", 0):
        found.append("The callbacks that are stored are not the webhooks that were delivered, each once.")
    if load.gathers and stats["peak"] < load.casts:
        found.append(f"Only {stats['peak']} jobs were in flight at once.")
    if memory.peak > GROWTH * memory.start:
        found.append(f"The conductors grew from {memory.start:.0f} to {memory.peak:.0f} MiB.")
    return Outcome(figures=figures, problems=found)


def main() -> None:
    default = Load()
    parser = runs.parser("deferred", __doc__)
    parser.add_argument("--casts", type=int, default=default.casts)
    parser.add_argument("--conductors", type=int, default=default.conductors)
    parser.add_argument("--latency", default=default.latency, help="seconds that a job takes, like 1..20")
    parser.add_argument("--fail", type=float, default=default.fail, help="the share of jobs that fail once")
    parser.add_argument("--lose", type=float, default=default.lose, help="the share of webhooks that are lost")
    parser.add_argument("--double", type=float, default=default.double, help="the share of webhooks that come twice")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="how long it may take")
    options = vars(parser.parse_args())
    write, load = options.pop("write"), Load(**options)
    with house() as built:
        outcome = run(built, load)
    how = f"{load.casts} jobs of {load.latency} s on {load.conductors} conductors; {load.lose:.0%} of the webhooks lost, {load.double:.0%} doubled"
    runs.finish("deferred", outcome, how=how, write=write)


if __name__ == "__main__":
    main()
