from typing import Any

from django.core.management.base import CommandParser

from casts import upkeep
from casts.alerts import Evaluation
from casts.clock import database_now
from casts.engine import Reaped
from casts.management.teaching import TeachingCommand
from casts.metrics import tallies


class Command(TeachingCommand):
    help = "Restore what must hold of every unfinished cast, from its rows alone."
    examples = """\
A schedule does this each minute. Run it by hand when the cluster is down: it needs no queue. It judges no call and ends
no cast; it gives a wakeup to casts that have none, rings for those whose deadline has passed, and forgets conductors
that no longer beat. It also looks for alerts, and writes the mails that tell operators of them. Harmless at any time, and twice at once.

examples:
  manage.py reap --dry-run                show what would be healed, and what is wrong
  manage.py reap
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Change nothing, and say what would be changed.")

    def handle(self, *, dry_run: bool, **_options: Any) -> None:
        tended = upkeep.tend(now=database_now(), dry_run=dry_run)
        wrong = [f"wrong now: {found.told}" for found in tended.found]
        for line in [*_told(tended.reaped, dry_run=dry_run), *wrong, *_alerts(tended.alerts)]:
            self.stdout.write(line)
        if not dry_run:
            tallies.hand_in()


def _told(reaped: Reaped, *, dry_run: bool) -> list[str]:
    would = "would be " if dry_run else ""
    lines = [f"cast {cast_id}: {would}given a wakeup" for cast_id in reaped.given_a_wakeup]
    lines += [f"cast {cast_id}: {would}rung for, its deadline has passed" for cast_id in reaped.rung]
    lines += [f"conductor {name}: {would}forgotten, it no longer beats" for name in reaped.dead_conductors]
    return lines or ["Nothing to heal."]


def _alerts(evaluation: Evaluation) -> list[str]:
    opened = [f"alert: {alert}. {alert.told}" for alert in evaluation.opened]
    return opened + [f"over: {alert}" for alert in evaluation.closed]
