"""The counters of this process. Their names, labels and meaning are what alert rules and dashboards rely on.

Labels are bounded: tools, adapters and outcomes are as many as the site has, and error codes, which other people's code
can make up, are cut off at `MOST_CODES`. Outcomes that are known beforehand are told as zero until they happen: the
first event after nothing at all would be no increase to Prometheus.
"""

import re
from collections.abc import Iterable
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()

# From the milliseconds of a local tool to the hour of a slow job.
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


def _counter(name: str, told: str, *labels: str, known: Iterable[str | tuple[str, ...]] = ()) -> Counter:
    """Return a counter; `known` are the values of its one label, or of all its labels, that are told from the beginning."""
    counter = Counter(name, told, labels, registry=REGISTRY)
    for value in known:
        counter.labels(*([value] if isinstance(value, str) else value))
    return counter


CASTS_STARTED = _counter(
    "grimoire_casts_started",
    "Requests for a cast, by outcome: created, repeated, refused or failed.",
    "outcome",
    known=("created", "repeated", "refused", "failed"),
)
CASTS_ENDED = _counter("grimoire_casts_ended", "Casts that ended, by outcome.", "outcome", known=("succeeded", "failed", "cancelled"))
CONTINUATIONS = _counter(
    "grimoire_continuations",
    "Looks at casts by conductors, by outcome: advanced, fenced, interrupted or failed.",
    "outcome",
    known=("advanced", "fenced", "interrupted", "failed"),
)
SETTLEMENTS = _counter(
    "grimoire_settlements",
    "Results of calls that were to be recorded, by outcome: in_time, late, interrupted or failed.",
    "outcome",
    known=("in_time", "late", "interrupted", "failed"),
)
CLAIMS_LOST = _counter("grimoire_claims_lost", "Claims that ran out under their holder.")
STEPS_ENDED = _counter("grimoire_steps_ended", "Attempts at steps that ended, by tool and outcome.", "tool", "outcome")
STEP_DURATION = Histogram(
    "grimoire_step_duration_seconds",
    "From the start of an attempt to its end, by tool.",
    ["tool"],
    buckets=DURATION_BUCKETS,
    registry=REGISTRY,
)
STEP_RETRIES = _counter("grimoire_step_retries", "Attempts that are to be made again, by tool.", "tool")
COST = _counter("grimoire_cost_usd", "What calls cost, in US dollars, by tool.", "tool")
PROVIDER_ERRORS = _counter("grimoire_provider_errors", "Attempts that failed, by tool and error code.", "tool", "code")
HEALED = _counter(
    "grimoire_healed",
    "What the reaper mended, by reason.",
    "reason",
    known=("wakeup_missing", "deadline_passed", "conductor_dead"),
)
CALLBACKS = _counter("grimoire_callbacks", "Webhooks of providers as they came in, by adapter and outcome.", "adapter", "outcome")
CALLBACKS_DONE = _counter(
    "grimoire_callbacks_done",
    "Stored webhooks that were dealt with, by outcome: applied, ignored or unreadable.",
    "outcome",
    known=("applied", "ignored", "unreadable"),
)
NOTIFICATIONS = _counter(
    "grimoire_notifications",
    "Tries to deliver a notification, by channel and outcome.",
    "channel",
    "outcome",
    known=product(("webhook", "email"), ("delivered", "failed", "given_up")),
)
ALERT_MAILS = _counter(
    "grimoire_alert_mails",
    "Tries to send a mail to an operator, by outcome: sent, refused (tried again) or failed (given up).",
    "outcome",
    known=("sent", "refused", "failed"),
)

MOST_CODES = 100
OTHER = "other"
codes_seen: set[str] = set()
_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")


def code_label(code: str) -> str:
    """Return an error code as a label: itself, or `other` when it is no plain word, or one too many."""
    if code in codes_seen:
        return code
    if not _CODE.fullmatch(code) or len(codes_seen) >= MOST_CODES:
        return OTHER
    codes_seen.add(code)
    return code
