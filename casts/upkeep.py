"""What must be done again and again, by a schedule or by hand: heal what can be healed, and tell of what cannot."""

from dataclasses import dataclass
from datetime import datetime

from casts import alerts, engine
from casts.alerts import Evaluation
from casts.engine import Reaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Tended:
    """What was healed, and what of it, or beside it, is an alert."""

    reaped: Reaped
    alerts: Evaluation


def tend(*, now: datetime, dry_run: bool = False) -> Tended:
    """Reap, then look for alerts. Safe to run at any time, in any number of copies. A dry run looks for none."""
    reaped = engine.reap(now=now, dry_run=dry_run)
    return Tended(reaped=reaped, alerts=Evaluation() if dry_run else alerts.evaluate(now=now, at_once=True))
