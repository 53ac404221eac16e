"""How long a cast waits that is alone: from `POST /casts/` to the first call, and from a callback to the next one.

`python -m benchmarks.latency --casts 120`
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from benchmarks import runs
from benchmarks.clients import Connection
from benchmarks.house import House, house, told
from benchmarks.measured import Outcome, share_below

CASTS = "/api/v1/casts/"
OK = (200, 201)
# Between two requests; at random, so that no poll keeps step with them.
PAUSE_SECONDS = (0.15, 0.25)
WARM = 10
SECONDS = 120.0


class Asker:
    """Whoever asks a site that is served, and has the clocks tell when the calls came of it that were asked for."""

    def __init__(self, built: House, *, key: str) -> None:
        """Take a site with the spells of `orders.prepare_clocks(waits=True)`, and an API key."""
        self._built = built
        self._headers = {"Authorization": f"Bearer {key}"}
        self._asked = 0

    async def starts(self, casts: int) -> list[float]:
        """Start so many casts, and return how long each waited for its first call, in seconds."""
        first, self._asked = self._asked, self._asked + casts

        async def start(connection: Connection, number: int) -> tuple[int, bytes]:
            return await connection.post(CASTS, {"spell": "benchmark-clock", "inputs": {"number": first + number}})

        asked = await self._one_by_one(start, count=casts)
        at = await self._called("benchmark-clock", least=self._asked)
        return [at[str(first + number)] - asked[number] for number in range(casts)]

    async def callbacks(self, jobs: int) -> list[float]:
        """Have so many jobs that wait end by callbacks, and return how long it was until the call after each, in seconds."""
        paths = self._built.order("callbacks_of_jobs", most=jobs)
        before = len(await self._called("benchmark", least=0))

        async def call_back(connection: Connection, number: int) -> tuple[int, bytes]:
            return await connection.post(paths[number][1], {})

        asked = await self._one_by_one(call_back, count=len(paths))
        at = await self._called("benchmark", least=before + len(paths))
        return [at[cast_id] - asked[number] for number, (cast_id, _) in enumerate(paths)]

    async def _called(self, spell: str, *, least: int) -> dict[str, float]:
        """Return when clocks were called, by the number of their cast or its id, once there are at least so many."""
        for _ in range(60):
            at: dict[str, float] = self._built.order("times_of_clocks", spell)
            if len(at) >= least:
                return at
            await asyncio.sleep(1)
        raise TimeoutError(f"Of {least} calls {len(at)} were made.")

    async def _one_by_one(self, ask: Callable[[Connection, int], Awaitable[tuple[int, bytes]]], *, count: int) -> list[float]:
        """Send requests one after the other with pauses between them, and return when each was sent, in seconds since 1970."""
        asked = []
        async with Connection(self._built.site.url, headers=self._headers) as connection:
            for number in range(count):
                asked.append(time.time())
                status, body = await ask(connection, number)
                if status not in OK:
                    raise RuntimeError(f"The answer was {status}: {body.decode(errors='replace')[:500]}")
                await asyncio.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - no secret
        return asked


def run(built: House, *, casts: int, prefix: str = "") -> Outcome:
    """Start casts one after the other, then callbacks, print how long each waited, and return it in milliseconds."""
    built.offer_clocks()
    key = built.order("prepare_clocks", waits=True)
    built.site.serve("--conductors", "1", "--workers", "1")
    asker, outcome = Asker(built, key=key), Outcome()
    built.order("start", casts + WARM)
    built.wait_for_jobs(casts + WARM, seconds=SECONDS)
    for name, ask in (("start", asker.starts), ("callback", asker.callbacks)):
        asyncio.run(ask(WARM))
        times = asyncio.run(ask(casts))
        outcome.figures |= figures_of(times, prefix=f"{prefix}{name}")
        middle, most = share_below(times, 0.5), share_below(times, 0.99)
        told({f"{prefix}{name} to call": f"{1000 * middle:.1f} ms in the middle, {1000 * most:.1f} ms for 1 of 100, of {len(times)}"})
    return outcome


def figures_of(times: list[float], *, prefix: str) -> dict[str, float]:
    """Return the median of times in seconds, and what 1 of 100 exceeds, in milliseconds by name."""
    return {f"{prefix}_p50_ms": 1000 * share_below(times, 0.5), f"{prefix}_p99_ms": 1000 * share_below(times, 0.99)}


def main() -> None:
    parser = runs.parser("latency", __doc__)
    parser.add_argument("--casts", type=int, default=120, help="how many of each")
    options = parser.parse_args()
    outcome = Outcome()
    for prefix, sqlite in (("", False), ("sqlite_", True)):
        with house(sqlite=sqlite) as built:
            outcome.figures |= run(built, casts=options.casts, prefix=prefix).figures
    how = f"{options.casts} casts and as many callbacks one after the other, with pauses, on an idle site; the call tells when it was made"
    runs.finish("latency", outcome, how=how, write=options.write)


if __name__ == "__main__":
    main()
