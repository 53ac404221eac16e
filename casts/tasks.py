"""What the cluster of django-q2 runs: three lines each. It is trusted with waking us, sometimes twice, sometimes never."""

import asyncio
import time
from datetime import timedelta

from django.conf import settings

from casts import retention, shifts, upkeep
from casts.clock import database_now
from casts.conductor import Conductor
from casts.conductor.due import is_any_due
from casts.conductor.pace import Pace
from casts.doorbell import ask_for_a_shift, shift_begins
from casts.metrics import tallies
from casts.models import ConductorProcess
from casts.models.conductor import ConductorKind
from generations import tracing

# Well below the cluster's own timeout, which kills: claims end after the shift, calls within the overtime. No call starts
# that could outlast it. In the overtime another shift may begin, so that for its length no worker may be left to the
# other tasks: less than the silence of a canary for which the cluster is taken for dead.
SHIFT_SECONDS = 450.0
OVERTIME_SECONDS = 90.0
PRUNING_SECONDS = 60.0


def continue_casts() -> None:
    """Conduct until nothing is due or the shift is over. One worker of the cluster is left to the other tasks."""
    shift_begins()
    others = ConductorProcess.objects.alive().claiming().filter(kind=ConductorKind.TASK).count()
    if others >= max(1, settings.Q_CLUSTER["workers"] - 1):
        return
    pace = Pace.of_settings(shift=SHIFT_SECONDS, overtime=OVERTIME_SECONDS)
    asyncio.run(Conductor(kind=ConductorKind.TASK, pace=pace, must_end=shifts.is_over).run())
    tracing.flush()  # a fork ends without Python's exit
    if is_any_due():
        ask_for_a_shift()  # somebody rang while we were leaving, and took us for present


def reap() -> None:
    """Restore what must hold of every unfinished cast, and tell operators of what is wrong."""
    upkeep.tend(now=database_now())
    tallies.hand_in()


def prune() -> None:
    """Remove what is kept no longer, for as long as a task may take. The rest waits for the next hour."""
    if settings.GRIMOIRE_RETENTION_DAYS:
        age = timedelta(days=settings.GRIMOIRE_RETENTION_DAYS)
        retention.prune(now=database_now(), age=age, give_up_at=time.monotonic() + PRUNING_SECONDS)


def answer_canary() -> None:
    """Do nothing: that it was done is what `casts.canary` wants to know."""
