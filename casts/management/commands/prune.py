from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from casts import retention
from casts.clock import database_now
from casts.management.teaching import TeachingCommand
from casts.retention import Pruned


def days(text: str) -> timedelta:
    """Read an age in days, at least one: what ended today may still be looked at."""
    try:
        number = float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no number of days.") from error
    if not 1 <= number <= 36_500:  # noqa: PLR2004 - a hundred years; also refuses what is not a number
        raise ArgumentTypeError(f"{text} is not between 1 and 36500 days.")
    return timedelta(days=number)


class Command(TeachingCommand):
    help = "Remove casts that ended long ago, with all that they made, and what nobody needs any more beside them."
    examples = """\
A schedule does this each hour, for casts that ended more than GRIMOIRE_RETENTION_DAYS ago (180, unless it says otherwise; 0
keeps them for ever). What is removed cannot be brought back. A cast stays while something of it is open: a call of which
nobody knows what became of it, or a message that is yet to be sent. A picture that a younger cast was given stays, too.
Safe while Grimoire works; broken off, it goes on where it was.

examples:
  manage.py prune --dry-run               show what would be removed
  manage.py prune
  manage.py prune --older-than 30         days
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Change nothing, and say what would be removed.")
        parser.add_argument(
            "--older-than", type=days, metavar="DAYS", help="How long ago casts must have ended (default: GRIMOIRE_RETENTION_DAYS)."
        )

    def handle(self, *, dry_run: bool, older_than: timedelta | None, verbosity: int, **_options: Any) -> None:
        age = older_than or timedelta(days=settings.GRIMOIRE_RETENTION_DAYS)
        if not age:
            raise CommandError(
                "GRIMOIRE_RETENTION_DAYS is 0: all is kept for ever. To remove what is older nevertheless: --older-than DAYS."
            )
        pruned = retention.prune(now=database_now(), age=age, dry_run=dry_run, progress=self._progress if verbosity else lambda _: None)
        for line in _told(pruned, dry_run=dry_run):
            self.stdout.write(line)

    def _progress(self, pruned: Pruned) -> None:
        if self.stderr.isatty():
            self.stderr.write(
                f"\r{pruned.casts:,} casts, {pruned.generations:,} generations, {pruned.other_rows:,} other rows …", ending=""
            )


def _told(pruned: Pruned, *, dry_run: bool) -> list[str]:
    verb = "would be removed" if dry_run else "removed"
    lines = [
        (pruned.casts, f"casts, with {pruned.generations:,} generations that had cost ${pruned.cost_usd:.2f}"),
        (pruned.artifacts, "artefacts"),
        (pruned.other_rows, "rows of events, messages and callbacks"),
        (pruned.files, f"files that no artefact names, {filesizeformat(pruned.file_bytes)}"),
    ]
    told = [f"{verb}: {number:,} {what}" for number, what in lines if number]
    if pruned.open:
        told.append(f"kept: {pruned.open:,} casts that are old enough and have something open")
    return told or ["Nothing to remove."]
