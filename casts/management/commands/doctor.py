import json
import logging
from typing import Any

from django.core.management.base import CommandParser

from casts.doctor import Finding, examine
from casts.management.teaching import TeachingCommand, seconds


class Command(TeachingCommand):
    help = "Examine the installation, and say what to do about what is wrong."
    examples = """\
Changes nothing but a file and a task of its own, both of which it takes back. docs/operations.md says more of each line.

exit code: 0 all is well; 1 something is not.

examples:
  manage.py doctor
  manage.py doctor --json | jq -r '.findings[] | select(.well | not) | .mend'
  manage.py doctor --wait 60                a single worker may be busy for a while
"""
    requires_system_checks = []  # they are part of the examination

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the findings as JSON.")
        parser.add_argument("--wait", type=seconds, default=10.0, metavar="S", help="Seconds for the cluster to answer (default: 10).")

    def handle(self, *, wait: float, **options: Any) -> None:
        logging.getLogger("django-q").setLevel(logging.WARNING)  # that a canary was sent is no news here
        findings = []
        for finding in examine(wait_seconds=wait):
            findings.append(finding)
            if not options["json"]:
                self._tell(finding)
        well = all(finding.is_well for finding in findings)
        if options["json"]:
            told = [{"name": finding.name, "well": finding.is_well, "told": finding.told, "mend": finding.mend} for finding in findings]
            self.stdout.write(json.dumps({"well": well, "findings": told}, ensure_ascii=False, indent=2))
        if not well:
            raise SystemExit(1)

    def _tell(self, finding: Finding) -> None:
        sign = self.style.SUCCESS("✓") if finding.is_well else self.style.ERROR("✗")
        self.stdout.write(f"{sign} {finding.name}: {finding.told}")
        if finding.mend:
            self.stdout.write(f"    {finding.mend}")
        self.stdout.flush()
