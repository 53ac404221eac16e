"""The way of counters into the database, and out of it again as Prometheus reads them."""

import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, connection, transaction
from prometheus_client import Metric
from prometheus_client.samples import Sample

from casts.models import Tally

from .counters import REGISTRY

logger = logging.getLogger(__name__)

HAND_IN_SECONDS = 5.0

_lock = threading.Lock()
_handed_in: dict[tuple[str, str], float] = {}
_handed_in_at = 0.0


def hand_in() -> int:
    """Add to the tallies what this process counted since it last did. Returns how many samples changed.

    Call it outside of transactions: what it hands in must not be rolled back.
    """
    global _handed_in_at
    with _lock:
        _handed_in_at = time.monotonic()
        counted = dict(_counted())
        more = {key: value - _handed_in.get(key, 0.0) for key, value in counted.items() if value > _handed_in.get(key, 0.0)}
        if more:
            _add(more)
            _handed_in.update({key: counted[key] for key in more})
        return len(more)


def hand_in_when_due() -> None:
    """Hand in if that was not done for some seconds. An unreachable database is no reason to fail: it is done later."""
    if time.monotonic() - _handed_in_at < HAND_IN_SECONDS:
        return
    try:
        hand_in()
    except (DatabaseError, InterfaceError):
        logger.warning("What this process counted could not be handed in; it is kept and handed in later.", exc_info=True)


def _counted() -> Iterator[tuple[tuple[str, str], float]]:
    for metric in REGISTRY.collect():
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                yield (sample.name, json.dumps(sample.labels, sort_keys=True)), sample.value


@transaction.atomic
def _add(more: dict[tuple[str, str], float]) -> None:
    """Add to each tally, in one order for all processes, so that two cannot deadlock."""
    rows = [(name, labels, value) for (name, labels), value in sorted(more.items())]
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO casts_tally (name, labels, value) VALUES (%s, %s, %s)
            ON CONFLICT (name, labels) DO UPDATE SET value = casts_tally.value + excluded.value
            """,
            rows,
        )


def collect() -> Iterator[Metric]:
    """Yield each counter with what all processes have handed in. What is known to be possible and never happened is zero."""
    samples = defaultdict(list)
    for name, labels, value in Tally.objects.order_by("name", "labels").values_list("name", "labels", "value"):
        samples[name].append(Sample(name, json.loads(labels), value))
    for own in REGISTRY.collect():
        metric = Metric(own.name, own.documentation, own.type)
        suffixes = ("_bucket", "_count", "_sum") if own.type == "histogram" else ("_total",)
        metric.samples = [sample for suffix in suffixes for sample in _in_order(samples[f"{own.name}{suffix}"])]
        if own.type == "counter":
            metric.samples += _zeros(own, told={frozenset(sample.labels.items()) for sample in metric.samples})
        yield metric


def _zeros(own: Metric, *, told: set[frozenset[tuple[str, str]]]) -> list[Sample]:
    """Return the samples that this process knows to be possible and that nobody has handed in."""
    samples = (sample for sample in own.samples if sample.name.endswith("_total"))
    return [sample._replace(value=0.0) for sample in samples if frozenset(sample.labels.items()) not in told]


def _in_order(samples: list[Sample]) -> list[Sample]:
    """Sort the buckets of a histogram by their bounds; other samples stay as they are."""
    return sorted(
        samples, key=lambda sample: (sorted((name, label) for name, label in sample.labels.items() if name != "le"), _bound(sample))
    )


def _bound(sample: Sample) -> float:
    return float(sample.labels.get("le", 0))
