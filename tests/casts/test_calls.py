"""One call of one adapter: what its time counts."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from casts.conductor import calls
from casts.conductor.lanes import Place
from generations.tools.contract import Cost, Result
from tests.generations.alone import Alone
from tests.generations.test_isolation import offered, request

__all__ = ["offered"]


def test_files_that_take_long_cost_no_answer_that_came_in_time():
    """The call itself is over at once; keeping what it made takes until its time is long up."""
    asked = request(do="leave", seconds=4, timeout_seconds=3)
    begun = time.monotonic()
    with ThreadPoolExecutor() as threads:
        told = asyncio.run(calls.run(adapter_key=Alone.key, request=asked, threads=threads, place=Place(on_free=lambda: None)))
    assert time.monotonic() - begun > 4
    assert told == Result(output={"file": asked.workbench.made[0].reference()}, cost=Cost(usd=Decimal(2)))
