"""Workers that are killed, stopped and told to stop (faults 1 to 6)."""

import os
import signal
import time

import pytest

from spells.models import Recovery
from tests.processes import wait_for

from .stage import LEASE_SECONDS, Stage, kill

TICK_SECONDS = 1.0
# For starting another worker and all that works beside us; what is looked for is no multiple of a lease.
SLACK_SECONDS = 8.0


def test_a_worker_killed_inside_a_pure_step_leaves_it_to_another_within_a_lease_and_a_tick(stage: Stage):
    stage.step_tool()
    other = stage.conduct()
    os.kill(other.process.pid, signal.SIGSTOP)
    worker = stage.conduct()
    cast = stage.play({"key": "one", "tool": stage.step_tool(), "params": {"name": "one", "hold": "it"}})
    wait_for("the step runs", lambda: stage.runs("one"))
    os.kill(other.process.pid, signal.SIGCONT)
    worker.tell(signal.SIGKILL)
    killed_at = time.monotonic()
    stage.go("it")
    stage.wait_for_status(cast)
    assert time.monotonic() - killed_at < LEASE_SECONDS + TICK_SECONDS + SLACK_SECONDS
    assert [run["pid"] for run in stage.runs("one")] == [worker.process.pid, other.process.pid]
    assert [(each["status"], bool(each["lost"])) for each in stage.attempts(cast)] == [("failed", True), ("succeeded", False)]
    stage.check()
    stage.stop(other)
