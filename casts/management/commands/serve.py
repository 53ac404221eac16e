import logging
import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from casts import installation, programs
from casts.management.teaching import TeachingCommand, whole_number
from casts.supervisor import TICK_SECONDS, NotReadyError, Program, StopAsked, StopSignals, Supervisor

logger = logging.getLogger(__name__)

START_SECONDS = 120.0


class Command(TeachingCommand):
    serves_pages = True
    help = "Serve Grimoire on this machine until SIGTERM: the web process, the cluster of django-q2, the conductors."
    examples = """\
Each is a process of its own, started again when it ends or falls silent. SIGTERM or Ctrl-C lets calls in flight end
within 20 s; a second one ends all at once. No process is left behind, not even by kill -9 of this one.

Only this machine can reach it unless GRIMOIRE_PUBLIC_URL says how others do (docs/operations.md).

examples:
  manage.py serve --migrate                         the first time, and after an update
  manage.py serve --port 8080 --conductors 2
  GRIMOIRE_PUBLIC_URL=https://grimoire.example.org GRIMOIRE_BEHIND_PROXY=true manage.py serve --host 10.0.0.5
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="The address to listen on (default: 127.0.0.1).")
        parser.add_argument(
            "--port", type=whole_number(least=0, most=65_535), default=8000, help="The port (default: 8000; 0: any that is free)."
        )
        parser.add_argument(
            "--conductors", type=whole_number(least=0, most=64), default=1, metavar="N", help="Conductor processes (default: 1)."
        )
        parser.add_argument(
            "--workers",
            type=whole_number(least=1, most=64),
            default=settings.Q_CLUSTER["workers"],
            metavar="N",
            help="Workers of the cluster (default: GRIMOIRE_CLUSTER_WORKERS, else 2).",
        )
        parser.add_argument("--migrate", action="store_true", help="Apply missing migrations first.")

    def handle(self, *, host: str, port: int, conductors: int, workers: int, migrate: bool, **_options: Any) -> None:
        require_migrations(migrate=migrate)
        try:
            site = programs.listen(host=host, port=port)
            with site.listener:
                url = programs.public_url(site)
                environment = {"GRIMOIRE_PUBLIC_URL": url}
                wanted = programs.whole_site(site=site, workers=workers, conductors=conductors, environment=environment)
                self._serve(wanted, told=site.url if url == site.url else f"{site.url}, for its clients {url}")
        except programs.AddressError as error:
            raise CommandError(str(error)) from error

    def _serve(self, wanted: list[Program], *, told: str) -> None:
        with StopSignals() as asked, Supervisor(wanted, folder=settings.BASE_DIR, tell=logger.warning) as supervisor:
            try:
                supervisor.wait_until_ready(seconds=START_SECONDS, is_stopped=lambda: asked.count > 0)
                self.stdout.write(f"Grimoire serves at {told} (/admin/, /api/v1/docs/). Ctrl-C stops it.")
                self.stdout.flush()
                while not asked.count:
                    supervisor.tend()
                    time.sleep(TICK_SECONDS)
            except NotReadyError as error:
                raise CommandError(str(error)) from error
            except StopAsked:
                pass  # before it was ready: it ends like any other time
            self.stdout.write("Stopping: calls in flight may end. Ctrl-C once more ends them.")
            self.stdout.flush()
            supervisor.stop(is_hurried=lambda: asked.count > 1)
        self.stdout.write("Stopped.")


def require_migrations(*, migrate: bool) -> None:
    """Return when the database is as the code wants it, after mending it if allowed to. Raises CommandError."""
    try:
        missing = installation.missing_migrations()
        if missing and migrate:
            installation.migrate()
            return
    except (DatabaseError, InterfaceError) as error:
        raise CommandError(f"The database cannot be used: {error}") from error
    if missing:
        raise CommandError(f"{len(missing)} migrations are not applied. Run `manage.py migrate`, or `manage.py serve --migrate`.")
