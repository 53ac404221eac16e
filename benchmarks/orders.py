"""What a load run wants done. These run inside Grimoire: `manage.py shell -c "from benchmarks import orders; ..."`."""

import asyncio
import time
from typing import Any

from django.contrib.auth.models import User

from casts import engine
from casts.casting import Order, place
from casts.clock import database_now
from casts.conductor import Conductor
from casts.conductor.loop import Pace
from casts.models import Cast
from casts.models.conductor import ConductorKind
from generations.catalogue import sync_tools
from spells.documents import from_data, save_draft
from spells.models import Tool
from spells.publishing import publish

USER = "benchmark"
SPELL = "benchmark"


def prepare(
    *, tool: str, config: dict[str, Any], pricing: dict[str, str], params: dict[str, Any], max_attempts: int = 3, casts: int = 0
) -> None:
    """Make the user, point the tool at the fake provider, publish a spell of one step, whose input is a number, and start `casts`."""
    user = User.objects.create_user(USER)
    sync_tools()
    row = Tool.objects.get(slug=tool)
    row.config, row.pricing, row.max_attempts = {**row.config, **config}, pricing, max_attempts
    row.save(update_fields=["config", "pricing", "max_attempts", "updated_at"])
    _publish([{"key": "call", "tool": tool, "params": params}], owner=user)
    start(casts)


def _publish(steps: list[dict[str, Any]], *, owner: User) -> None:
    document = from_data({"slug": SPELL, "inputs": {"number": {"type": "integer"}}, "steps": steps})
    publish(version_id=save_draft(document=document, owner=owner, now=database_now()).pk, now=database_now())


def start(casts: int) -> None:
    """Start so many casts, each with its own number."""
    user = User.objects.get(username=USER)
    for number in range(casts):
        place(order=Order(spell=SPELL, inputs={"number": number}), user=user, now=database_now())


def prepare_chain(*, steps: int, payload: str) -> None:
    """Make the user, publish a spell of so many steps, each of which hands the payload on, and have one cast of it end."""
    user = User.objects.create_user(USER)
    sync_tools()
    chain = [
        {
            "key": f"step_{number}",
            "tool": "text.join",
            "params": {"items": [payload if number == 1 else f"{{{{ steps.step_{number - 1}.text }}}}"]},
        }
        for number in range(1, steps + 1)
    ]
    _publish(chain, owner=user)
    start(1)
    asyncio.run(Conductor(kind=ConductorKind.TASK, pace=Pace.of_settings(shift=60.0, linger=0.0)).run())
    assert Cast.objects.get().status == "succeeded"


def time_claims(claims: int) -> list[float]:
    """Claim so many casts, one after the other, and return how long each claim took in seconds. The casts are gone afterwards."""
    start(claims)
    times = []
    for _ in range(claims):
        began = time.perf_counter()
        claimed = engine.claim(limit=1)
        times.append(time.perf_counter() - began)
        assert len(claimed) == 1
    Cast.objects.filter(finished_at=None).delete()
    return times
