"""The counters of this process. Their names, labels and meaning are what alert rules and dashboards rely on."""

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()

# From the milliseconds of a local tool to the hour of a slow job.
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

CASTS_STARTED = Counter(
    "grimoire_casts_started", "Requests for a cast, by outcome: created, repeated, refused or failed.", ["outcome"], registry=REGISTRY
)
CASTS_ENDED = Counter("grimoire_casts_ended", "Casts that ended, by outcome.", ["outcome"], registry=REGISTRY)
CONTINUATIONS = Counter(
    "grimoire_continuations", "Looks at casts by conductors, by outcome: advanced, fenced or failed.", ["outcome"], registry=REGISTRY
)
SETTLEMENTS = Counter(
    "grimoire_settlements", "Results of calls that were recorded, by outcome: in_time, late or failed.", ["outcome"], registry=REGISTRY
)
CLAIMS_LOST = Counter("grimoire_claims_lost", "Claims that ran out under their holder.", registry=REGISTRY)
STEPS_ENDED = Counter("grimoire_steps_ended", "Attempts at steps that ended, by tool and outcome.", ["tool", "outcome"], registry=REGISTRY)
STEP_DURATION = Histogram(
    "grimoire_step_duration_seconds",
    "From the start of an attempt to its end, by tool.",
    ["tool"],
    buckets=DURATION_BUCKETS,
    registry=REGISTRY,
)
STEP_RETRIES = Counter("grimoire_step_retries", "Attempts that are to be made again, by tool.", ["tool"], registry=REGISTRY)
COST = Counter("grimoire_cost_usd", "What calls cost, in US dollars, by tool.", ["tool"], registry=REGISTRY)
PROVIDER_ERRORS = Counter("grimoire_provider_errors", "Attempts that failed, by tool and error code.", ["tool", "code"], registry=REGISTRY)
HEALED = Counter("grimoire_healed", "What the reaper mended, by reason.", ["reason"], registry=REGISTRY)
CALLBACKS = Counter("grimoire_callbacks", "Webhooks of providers, by adapter and outcome.", ["adapter", "outcome"], registry=REGISTRY)
NOTIFICATIONS = Counter(
    "grimoire_notifications", "Tries to deliver a notification, by channel and outcome.", ["channel", "outcome"], registry=REGISTRY
)
