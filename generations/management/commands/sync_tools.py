"""manage.py sync_tools: the tools that come with the code."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from generations.catalogue import CHANGES, Outcome, ToolChange, sync_tools
from spells.management.teaching import TeachingFormatter

EXAMPLES = """
examples:
  manage.py sync_tools
      Creates the tools that are missing and brings the others in step with the code.
  manage.py sync_tools --check
      Only tells. Exit status 1 when a sync would change something: for deployments and CI.

Run it after each upgrade, and after a package with adapters came or went.
The code decides a tool's name, description, category, schemas, effects and recovery.
You decide the rest, in the admin: enabled, config, pricing, timeouts, retries, limits. A sync leaves that alone.
docs/tools.md lists the tools and shows how to write one.
"""


class Command(BaseCommand):
    help = "Create and update the tools that adapters declare; disable those whose adapter is gone."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=TeachingFormatter, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Change nothing; exit 1 when something would change.")

    def handle(self, *, check: bool, **_options: Any) -> None:
        changes = sync_tools(write=not check)
        width = max((len(change.slug) for change in changes), default=0)
        for change in changes:
            self.stdout.write(self._line(change, width=width))
        pending = sum(change.outcome in CHANGES for change in changes)
        self.stdout.write(f"{len(changes)} tools, {pending} {'to change' if check else 'changed'}.")
        if check and pending:
            raise SystemExit(1)

    def _line(self, change: ToolChange, *, width: int) -> str:
        style = {
            Outcome.CREATED: self.style.SUCCESS,
            Outcome.UPDATED: self.style.SUCCESS,
            Outcome.DISABLED: self.style.WARNING,
            Outcome.BROKEN: self.style.ERROR,
            Outcome.TAKEN: self.style.WARNING,
        }.get(change.outcome, str)
        off = "" if change.enabled or change.outcome == Outcome.DISABLED else "  (not enabled)"
        detail = f"  {change.detail}" if change.detail else ""
        return f"{change.slug:<{width}}  {style(f'{change.outcome:<9}')}{detail}{off}".rstrip()
