"""What Grimoire does as a contender: one conductor, its tool a coroutine that does nothing. Django must be set up."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Min

from benchmarks.contenders.work import STEPS, TEXT, Asked, Measured, outcome, step, wait_until
from casts.casting import Order, place
from casts.clock import database_now
from casts.models import Cast, ConductorProcess
from generations.catalogue import sync_tools
from generations.models import Generation
from generations.tools import registry
from generations.tools.contract import Adapter, Request, Result, ToolDefinition
from generations.tools.definition import object_schema
from spells.documents import from_data, save_draft
from spells.models import Step
from spells.publishing import publish

SPELL = "five-steps"
USER = "benchmark"
# Casts before the measured ones.
WARM = 5


class Nothing(Adapter):
    """The tool."""

    key = "benchmark.nothing"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="benchmark.nothing",
            name="Do nothing",
            description="Takes a text and returns another as long.",
            category="text",
            input_schema=object_schema({"text": {"type": "string"}}, required=("text",)),
            output_schema=object_schema({"text": {"type": "string"}}, required=("text",)),
            example={"text": "a"},
        ),
    )

    async def run(self, request: Request) -> Result:
        return Result(output={"text": step(request.inputs["text"])})


def offer() -> None:
    """Let this process have the tool."""
    registry.BUILT_IN = {**registry.BUILT_IN, Nothing.key: f"{__name__}:Nothing"}
    registry.forget()


def prepare() -> None:
    """Offer the tool, make the user, publish the spell."""
    offer()
    sync_tools()
    user = User.objects.create_user(USER)
    texts = ["{{ inputs.text }}", *(f"{{{{ steps.step{number}.text }}}}" for number in range(1, STEPS))]
    steps = [{"key": f"step{number}", "tool": Nothing.key, "params": {"text": text}} for number, text in enumerate(texts, 1)]
    data = {"slug": SPELL, "inputs": {"text": {"type": "string"}}, "steps": steps, "outputs": {"text": f"{{{{ steps.step{STEPS}.text }}}}"}}
    publish(version_id=save_draft(document=from_data(data), owner=user, now=database_now()).pk, now=database_now())


def ids() -> dict[str, Any]:
    """Return the ids that rows of a cast name."""
    steps = list(Step.objects.filter(version__spell__slug=SPELL).order_by("position"))
    user = User.objects.get(username=USER)
    return {"version": steps[0].version_id, "tool": steps[0].tool_id, "user": user.pk, "steps": [each.pk for each in steps]}


@cache
def initiator() -> User:
    return User.objects.get(username=USER)


def start() -> UUID:
    """Start a cast as the API does, and return its id."""
    return place(order=Order(spell=SPELL, inputs={"text": TEXT}), user=initiator()).cast.pk


def check() -> None:
    """Hold that all casts have done what they were to do."""
    wrong = [cast.pk for cast in Cast.objects.all() if (cast.status, cast.outputs) != ("succeeded", {"text": outcome()})]
    assert not wrong, f"{len(wrong)} casts have not done what they were to do"


def all_ended() -> bool:
    """Ask as cheaply as can be: whoever waits must not take the processor from those who work."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM casts_cast WHERE finished_at IS NULL LIMIT 1")
        return cursor.fetchone() is None


@contextmanager
def conducting(*, conductors: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Have conductors, each in a process of its own, as `manage.py conduct` is one."""
    command = [sys.executable, "-m", "benchmarks.contenders.conductor"]
    processes = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr) for _ in range(conductors)]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def measure(asked: Asked) -> Measured:
    """Do the work on a database that has its tables, by one conductor, or two in the mode `pair`."""
    prepare()
    conductors = 2 if asked.mode == "pair" else 1
    with conducting(conductors=conductors) as processes:
        wait_until(lambda: ConductorProcess.objects.count() == conductors, pause=0.05)
        _warm(processes)
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        queued = [start() for _ in range(asked.workflows)]
        for process in processes:
            process.send_signal(signal.SIGCONT)
        wait_until(all_ended, pause=0.01)
        ended_at = time.time()
        began_at = Generation.objects.filter(cast__in=queued).aggregate(at=Min("started_at"))["at"].timestamp()
        alone = [_alone() for _ in range(asked.alone)]
    check()
    return Measured(many=ended_at - began_at, alone=alone)


def _warm(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Let each conductor do some work by itself: imports and caches are not what is measured."""
    for awake in processes:
        for other in processes:
            other.send_signal(signal.SIGCONT if other is awake else signal.SIGSTOP)
        for _ in range(WARM):
            start()
        wait_until(all_ended, pause=0.01)
    for process in processes:
        process.send_signal(signal.SIGCONT)


def _alone() -> float:
    started_at = time.monotonic()
    start()
    return wait_until(all_ended, pause=0.002) - started_at
