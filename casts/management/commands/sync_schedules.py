from typing import Any

from casts.management.teaching import TeachingCommand
from casts.schedules import SCHEDULES, sync_schedules


class Command(TeachingCommand):
    help = "Make the schedules of django-q2 stand as the code wants them: create, change, remove."
    examples = """\
`migrate` does the same. Schedules of your own are left alone; names that begin with "grimoire: " are ours.

examples:
  manage.py sync_schedules
"""

    def handle(self, **_options: Any) -> None:
        purposes = {wanted.name: f"every {wanted.minutes} min, {wanted.purpose}" for wanted in SCHEDULES}
        for name, what in sync_schedules().items():
            self.stdout.write(f"{name}: {what}" + (f" ({purposes[name]})" if name in purposes else ""))
