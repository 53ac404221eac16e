"""How many casts a second one web process starts by `POST /casts/`, beside an empty view of DRF under the same server.

`python -m benchmarks.web --seconds 4 --rounds 3`
"""

import asyncio
from functools import partial
from statistics import median
from typing import Any

import psycopg

from benchmarks import runs
from benchmarks.clients import CREATED, Answers, Connection, load
from benchmarks.house import House, asleep, house, told
from benchmarks.measured import Outcome, share_below
from tests.functional.site import Running

CASTS, ORDERS = "/api/v1/casts/", "/orders/"
BODY: dict[str, Any] = {"spell": "benchmark", "inputs": {"number": 1}}
# Those of `benchmarks.contenders.empty_api`.
TABLES = """
    CREATE TABLE floor_order (id bigserial PRIMARY KEY, inputs jsonb NOT NULL, created_at timestamptz NOT NULL);
    CREATE TABLE floor_line (id bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES floor_order, due_at timestamptz NOT NULL)
    """
WARM_SECONDS = 1.0
# What was started meanwhile is conducted between rounds.
DRAIN_SECONDS = 120.0


def serve_floor(built: House) -> tuple[Running, str]:
    """Serve the empty view, and return its address."""
    with psycopg.connect(built.database_url) as connection:
        connection.execute(TABLES)
    options = ["--port=0", "--lifespan=off", "--no-server-header", "--no-access-log", "--no-proxy-headers"]
    running = built.site.start("benchmarks.contenders.empty_api:application", *options, program=("-m", "uvicorn"), by_fork=False)
    return running, running.says(r"running on (http://127\.0\.0\.1:\d+)")[1]


def run(built: House, *, seconds: float, rounds: int, connections: int) -> Outcome:
    """Start casts and insert the floor's rows in turns, print the figures, and return them."""
    built.offer_clocks()
    key = built.order("prepare_clocks")
    built.site.serve("--conductors", "1", "--workers", "1")
    conductors = built.site.leaders("conduct")
    _, floor_url = serve_floor(built)
    ours = partial(Connection, built.site.url, headers={"Authorization": f"Bearer {key}"})
    floor = partial(Connection, floor_url)
    take = partial(load, body=BODY, connections=connections)
    for connect, path in ((ours, CASTS), (floor, ORDERS)):
        asyncio.run(take(connect, path=path, seconds=min(WARM_SECONDS, seconds)))
    outcome, started, inserted = Outcome(), list[Answers](), list[Answers]()
    for _ in range(rounds):
        built.wait_for_no_live_cast(seconds=DRAIN_SECONDS)
        with asleep(conductors):
            started.append(asyncio.run(take(ours, path=CASTS, seconds=seconds)))
            inserted.append(asyncio.run(take(floor, path=ORDERS, seconds=seconds)))
    built.wait_for_no_live_cast(seconds=DRAIN_SECONDS)
    alone = asyncio.run(take(ours, path=CASTS, connections=1, seconds=seconds / 2))
    rates, floors = [[each.statuses.get(CREATED, 0) / seconds for each in some] for some in (started, inserted)]
    rate, floor_rate = median(rates), median(floors)
    outcome.figures = {
        "casts_per_second": rate,
        "floor_per_second": floor_rate,
        "times_floor": floor_rate / rate,
        "alone_p50_ms": 1000 * share_below(alone.times, 0.5),
    }
    for each in (*started, *inserted, alone):
        if set(each.statuses) != {CREATED}:
            outcome.problems.append(f"Not all requests were answered with 201: {each.statuses}.")
    told(
        {
            "casts started": f"{rate:,.0f} a second over {connections} connections ({', '.join(f'{each:,.0f}' for each in rates)})",
            "an empty create of DRF": f"{floor_rate:,.0f} a second ({', '.join(f'{each:,.0f}' for each in floors)})",
            "ratio": f"{floor_rate / rate:.2f} times as slow",
            "one after the other": f"{1000 * share_below(alone.times, 0.5):.1f} ms in the middle, {1000 * share_below(alone.times, 0.99):.1f} ms for 1 of 100",
        }
    )
    return outcome


def main() -> None:
    parser = runs.parser("web", __doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a round of each takes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8, help="requests at once")
    options = parser.parse_args()
    with house() as built:
        outcome = run(built, seconds=options.seconds, rounds=options.rounds, connections=options.connections)
    how = f"{options.rounds} rounds of {options.seconds:g} s in turns over {options.connections} connections, medians; conductors sleep meanwhile"
    runs.finish("web", outcome, how=how, write=options.write)


if __name__ == "__main__":
    main()
