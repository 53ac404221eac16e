"""What is cast: one spell of each shape, over tools of each kind."""

from typing import Any

from spells.models import Provider, Recovery, SpellVersion
from tests.casts.scenes import billed, tool, version

# Of the provider, and of the tool that has limits of its own.
FAILURES_TO_OPEN, FIRST_WAIT_SECONDS = 2, 30


def spells() -> list[SpellVersion]:
    """Publish a chain, a join of branches, a fan-out, a step that may fail, and a fan-out that is limited by its tool."""
    fast: dict[str, Any] = {"backoff_seconds": 1.0, "max_backoff_seconds": 2.0}
    values = {"failures_to_open": FAILURES_TO_OPEN, "first_wait_seconds": FIRST_WAIT_SECONDS, "max_wait_seconds": 60}
    faraway = Provider.objects.create(slug="faraway", name="Faraway", max_in_flight=2, max_per_minute=4, **values)
    pure, narrow = tool("pure.tool", **fast), tool("narrow.tool", max_in_flight=1, max_per_minute=2, **fast)
    none, resend = billed("none.tool", provider=faraway, **fast), billed("resend.tool", recovery=Recovery.RESEND, max_attempts=4, **fast)
    lookup = billed("lookup.tool", recovery=Recovery.LOOKUP, provider=faraway, retry_lost_jobs=True, **fast)
    after = {"params": {"n": "{{ steps.one }}"}}
    return [
        version({"key": "one", "tool": pure}, {**after, "key": "two", "tool": lookup}, slug="chain"),
        version(
            {"key": "one", "tool": resend},
            {"key": "other", "tool": lookup},
            {"key": "join", "tool": pure, "params": {"a": "{{ steps.one }}", "b": "{{ steps.other }}"}},
            slug="join",
        ),
        version({"key": "one", "tool": none, "for_each": "{{ [1, 2] }}"}, {**after, "key": "two", "tool": pure}, slug="fan"),
        version(
            {"key": "one", "tool": none, "max_attempts": 2, "on_failure": "continue"},
            {**after, "key": "two", "tool": resend},
            slug="may-fail",
        ),
        version({"key": "one", "tool": narrow, "for_each": "{{ [1, 2] }}"}, {**after, "key": "two", "tool": resend}, slug="narrow"),
    ]
