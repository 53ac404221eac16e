"""The tasks of the contender `celery`, as its workers import them."""

import os
import time

from celery import Celery

from benchmarks.contenders.work import step

BEGAN = "benchmark-began-at"
BROKER = "BENCHMARK_BROKER"

app = Celery("benchmark", broker=os.environ.get(BROKER), backend=os.environ.get(BROKER))
# What a worker had in hand when it was killed is done again, as it is by the others.
app.conf.update(task_acks_late=True, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)


@app.task(name="step")
def one_step(text: str, *, is_first: bool = False) -> str:
    if is_first:
        app.backend.client.setnx(BEGAN, time.monotonic())
    return step(text)
