"""django-q2's cluster as it is, but for its orphans and its shifts."""

import signal
from functools import partial
from types import FrameType
from typing import Any

from django_q.management.commands import qcluster

from casts import (
    shifts,
    tasks,  # noqa: F401 - imported once before the forks, not by each worker at its first task
)
from casts.management.teaching import TeachingCommand
from casts.processes import let_forks_die_with_parent


class Command(TeachingCommand, qcluster.Command):  # type: ignore[misc] # django-q2 has no types
    help = "Run the cluster of django-q2, which wakes casts and calls the reaper on schedule."
    examples = """\
Casts go on with this process alone; `manage.py conduct` beside it makes them faster. Stop it by SIGTERM to this process
only (systemd: KillMode=mixed), which ends its own. A kill -9 of it takes its workers down, too.

examples:
  manage.py qcluster
  GRIMOIRE_CLUSTER_WORKERS=4 manage.py qcluster
"""

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the cluster, and return when it has ended."""
        # By kill -9 of one, its workers would go on unsupervised beside those of the next cluster.
        let_forks_die_with_parent(signal.SIGKILL)
        shifts.prepare()
        super().handle(*args, **options)  # returns once it runs; Python's exit waits for its end
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(_stop, then=signal.getsignal(number)))


def _stop(number: int, frame: FrameType | None, *, then: Any) -> None:
    shifts.end()
    then(number, frame)
