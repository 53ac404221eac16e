"""What a load run wants done. These run inside Grimoire: `manage.py shell -c "from benchmarks import orders; ..."`."""

import asyncio
import time
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from knox.models import AuthToken

from benchmarks.clocks import Clock, Job
from casts import engine, retention
from casts.casting import Order, place
from casts.clock import database_now
from casts.conductor import Conductor
from casts.conductor.pace import Pace
from casts.models import Cast
from casts.models.conductor import ConductorKind
from generations.callback_addresses import PATH, signed_id
from generations.catalogue import sync_tools
from generations.models import Generation, GenerationStatus
from spells.documents import from_data, save_draft
from spells.models import Tool
from spells.publishing import publish

USER = "benchmark"
SPELL = "benchmark"
CLOCK = {"key": "clock", "tool": Clock.key, "params": {}}


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


def _publish(steps: list[dict[str, Any]], *, owner: User, slug: str = SPELL) -> None:
    document = from_data({"slug": slug, "inputs": {"number": {"type": "integer"}}, "steps": steps})
    publish(version_id=save_draft(document=document, owner=owner, now=database_now()).pk, now=database_now())


def start(casts: int) -> None:
    """Start so many casts, each with its own number."""
    user = User.objects.get(username=USER)
    for number in range(casts):
        place(order=Order(spell=SPELL, inputs={"number": number}), user=user)


def prepare_clocks(*, waits: bool = False) -> str:
    """Make the user, publish a spell that tells when its step was called, and return an API key.

    If it `waits`, the step comes after a job that ends by a callback, and the spell without a job is another one.
    """
    user = User.objects.create_user(USER)
    sync_tools()
    job = {"key": "job", "tool": Job.key, "params": {}}
    _publish([job, {**CLOCK, "params": {"after": "{{ steps.job.at }}"}}] if waits else [CLOCK], owner=user)
    if waits:
        _publish([CLOCK], owner=user, slug=f"{SPELL}-clock")
    return str(AuthToken.objects.create(user)[1])


def times_of_clocks(spell: str) -> dict[str, float]:
    """Return when the clocks of a spell's casts were called, in seconds since 1970, by the id of the cast, or by its number where nothing waits."""
    called = Generation.objects.filter(cast__version__spell__slug=spell, step__key=CLOCK["key"], status=GenerationStatus.SUCCEEDED)
    found = called.values_list("cast_id", "cast__inputs", "output")
    by_id = spell == SPELL
    return {str(cast_id if by_id else inputs["number"]): output["at"] for cast_id, inputs, output in found if output is not None}


def callbacks_of_jobs(*, most: int) -> list[tuple[str, str]]:
    """Return the casts of jobs that wait, of the newest so many, each with the path to which its callback may be sent."""
    waiting = Generation.objects.filter(tool__adapter=Job.key, status=GenerationStatus.SUBMITTED).order_by("-pk")
    return [
        (str(cast_id), f"{PATH}{Job.key}/{signed_id(adapter=Job.key, generation_id=pk)}/")
        for cast_id, pk in waiting.values_list("cast_id", "pk")[:most]
    ]


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


def prune(*, older_than_seconds: float) -> int:
    """Prune what ended so long ago: the command takes whole days. Returns how many casts went."""
    return retention.prune(now=database_now(), age=timedelta(seconds=older_than_seconds)).casts


def time_claims(claims: int) -> list[float]:
    """Start so many casts and claim them one after the other; return how long each claim took in seconds. They are gone afterwards."""
    start(claims)
    times, taken = [], []
    for _ in range(claims):
        began = time.perf_counter()
        claimed = engine.claim(limit=1)
        times.append(time.perf_counter() - began)
        assert len(claimed) == 1
        taken.append(claimed[0].cast_id)
    Cast.objects.filter(pk__in=taken).delete()
    return times
