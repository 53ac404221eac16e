"""What the web process tells before it ends."""

from typing import Any

import pytest
from django.db import OperationalError

from casts.metrics import tallies
from casts.metrics.counters import HEALED
from casts.models import Tally
from config.asgi import application
from config.lifespan import Lifespan
from generations import tracing


async def live(app: Any) -> list[str]:
    """Let a server start and end, and return what it was told."""
    heard = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    told: list[str] = []

    async def receive() -> dict[str, str]:
        return next(heard)

    async def send(message: dict[str, str]) -> None:
        told.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    return told


COMPLETE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.django_db(transaction=True)
async def test_at_its_end_the_web_process_hands_in_what_it_counted_and_traced(monkeypatch):
    flushed = []
    monkeypatch.setattr(tracing, "flush", lambda: flushed.append(True))
    HEALED.labels("lifespan").inc(7)
    assert await live(application) == COMPLETE
    assert flushed == [True]
    tally = await Tally.objects.aget(name="grimoire_healed_total", labels__contains="lifespan")
    assert tally.value == 7


async def test_a_database_that_is_away_holds_up_no_end(monkeypatch, caplog):
    def away() -> int:
        raise OperationalError("gone")

    monkeypatch.setattr(tallies, "hand_in", away)
    assert await live(application) == COMPLETE
    assert "is lost" in caplog.text


async def test_requests_are_passed_on():
    seen: list[Any] = []

    async def inner(*call: Any) -> None:
        seen.append(call)

    await Lifespan(inner)({"type": "http"}, 1, 2)  # type: ignore[arg-type] # passed on as they are
    assert seen == [({"type": "http"}, 1, 2)]
