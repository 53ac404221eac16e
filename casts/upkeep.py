"""What must be done again and again, by a schedule or by hand: heal what can be healed, and tell of what cannot."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from casts import alerts, engine
from casts.alerts import Evaluation, Found
from casts.engine import Reaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Tended:
    """What was healed, and what of it, or beside it, is an alert. `found` is what a dry run finds wrong now, and raises no alert for."""

    reaped: Reaped
    alerts: Evaluation = field(default_factory=Evaluation)
    found: Sequence[Found] = ()


def tend(*, now: datetime, dry_run: bool = False) -> Tended:
    """Reap, then look for alerts. Safe to run at any time, in any number of copies. A dry run changes nothing, and tells no operator."""
    reaped = engine.reap(now=now, dry_run=dry_run)
    if dry_run:
        return Tended(reaped=reaped, found=list(alerts.find(now=now)))
    return Tended(reaped=reaped, alerts=alerts.evaluate(now=now, at_once=True))
