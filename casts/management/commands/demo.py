import logging
import os
import sys
import textwrap
import time
from argparse import SUPPRESS
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, InterfaceError
from rich.console import Console
from rich.text import Text

from casts import demo, demo_provider, installation, programs
from casts.clock import database_now
from casts.demo import Client, DemoError, Prepared
from casts.management import display
from casts.management.teaching import TeachingCommand, whole_number
from casts.models import CastStatus
from casts.programs import AddressError, Site
from casts.supervisor import TICK_SECONDS, NotReadyError, StopAsked, StopSignals, Supervisor
from casts.watching import Watched

DEFAULT_PORT = 8000
START_SECONDS = 120.0
FAILED = 3
INTERRUPTED = 130
NAME_WIDTH = 12
NARROWEST = 40


class Command(TeachingCommand):
    serves_pages = True
    help = "Show Grimoire at work: set everything up, serve it on this machine, cast a spell and watch it."
    examples = """\
Nothing has to be prepared. The first time it makes the database, the tools, the example spells and a superuser
`admin`, whose password it prints once and keeps nowhere; `manage.py changepassword admin` sets another one. It works
with the database of DATABASE_URL and the folder of GRIMOIRE_DATA_DIR, whatever is in them, and only this machine can
reach what it serves. Ctrl-C stops all of it; what was cast stays, and goes on at the next start.

With --providers the spell calls a language model and an image model: a fake provider on this machine, that speaks as
the real ones do, sends signed webhooks and keeps a log of what it bills. That demonstration has a database of its own.

exit code: 0 the cast succeeded; 1 it could not be shown; 3 the cast failed; 130 stopped before it had ended.

examples:
  manage.py demo
  manage.py demo --theme "a fox in the snow"
  manage.py demo --once                             end with the cast
  manage.py demo --providers                        jobs, webhooks and costs, with no key and no bill
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="End with the cast instead of serving on.")
        parser.add_argument(
            "--port",
            type=whole_number(least=0, most=65_535),
            metavar="N",
            help=f"The port to serve on (default: {DEFAULT_PORT}, or another one if that is taken).",
        )
        parser.add_argument("--providers", action="store_true", help="Cast a spell that calls providers, against a fake one.")
        parser.add_argument("--theme", metavar="TEXT", help="What the story is about.")
        parser.add_argument("--seed", type=int, metavar="N", help="Another number tells another story.")

        parser.add_argument("--own-folder", action="store_true", help=SUPPRESS)  # this is the process that --providers became

    def handle(
        self, *, once: bool, port: int | None, providers: bool, own_folder: bool, theme: str | None, seed: int | None, **_options: Any
    ) -> None:
        if providers and seed is not None:
            raise CommandError("The model of --providers is asked anew each time, and takes no seed. Leave --seed out.")
        if providers and not own_folder:
            become_another(settings.DATA_DIR / demo_provider.FOLDER)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # a story may have letters that the terminal has not
        self.has_told_password = False
        self.console = Console(file=self.stdout._out, highlight=False, soft_wrap=True)  # type: ignore[arg-type] # a stream, whatever the stubs say
        logging.getLogger().setLevel(logging.WARNING)  # what the programs log goes to files
        inputs = {name: value for name, value in (("theme", theme), ("seed", seed)) if value is not None}
        with StopSignals() as asked:
            try:
                code = self._show(inputs=inputs, port=port, once=once, providers=providers, asked=asked)
            except StopAsked:
                code = INTERRUPTED
            except (DemoError, AddressError, NotReadyError) as error:
                raise CommandError(str(error)) from error
            except (DatabaseError, InterfaceError) as error:
                raise CommandError(f"The database cannot be used: {error}") from error
        if code:
            raise SystemExit(code)

    def _show(self, *, inputs: dict[str, Any], port: int | None, once: bool, providers: bool, asked: StopSignals) -> int:
        self._say("Preparing the database …")
        installation.migrate()
        site = free_site(port)
        folder = settings.DATA_DIR / "demo"
        logs = folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        surroundings = on_this_machine(site)
        wanted = programs.whole_site(site=site, workers=settings.Q_CLUSTER["workers"], conductors=1, environment=surroundings)
        with ExitStack() as opened:
            opened.enter_context(site.listener)
            provider = programs.listen(host="127.0.0.1", port=0) if providers else None
            if provider is not None:
                opened.enter_context(provider.listener)
                wanted.append(demo_provider.program(site=provider, folder=folder, environment=surroundings))
            self._say(f"Starting the web server, the cluster{', a fake provider' if provider else ''} and a conductor …")
            supervisor = opened.enter_context(Supervisor(wanted, folder=settings.BASE_DIR, tell=self._say, logs=logs))
            pause = pausing(supervisor, asked)
            prepared = self._prepared(provider)  # while they start
            if prepared.password is not None:
                opened.callback(self._tell_password, prepared)  # also when it is stopped, or fails, before it tells where all is
            supervisor.wait_until_ready(seconds=START_SECONDS, is_stopped=lambda: asked.count > 0)
            watched = self._cast(prepared, site=site, inputs=inputs, folder=folder, pause=pause)
            self._tell_where(site=site, prepared=prepared, watched=watched, logs=logs)
            if provider is not None:
                self._pair("the bill", f"{folder / demo_provider.LOG} ({provider.url}/__fake/ledger)\n")
            try:
                while not once:
                    pause(TICK_SECONDS)
            except StopAsked:
                pass  # that is how it is meant to end
            self._say("Stopping …")
            supervisor.stop(is_hurried=lambda: asked.count > 1)
        return 0 if watched.status == CastStatus.SUCCEEDED else FAILED

    def _prepared(self, provider: Site | None) -> Prepared:
        prepared = demo.prepare(now=database_now(), spell=demo.SPELL if provider is None else demo_provider.SPELL)
        if provider is not None:
            demo_provider.point_tools(url=provider.url)
        return prepared

    def _cast(self, prepared: Prepared, *, site: Site, inputs: dict[str, Any], folder: Path, pause: Callable[[float], None]) -> Watched:
        """Cast the spell through the API, watch it, and show what it made."""
        with demo.key_of(prepared.admin) as key, Client(url=site.url, key=key) as client:
            cast_id = client.cast(spell=prepared.spell, inputs=inputs)
            self._say(f"POST {site.url}/api/v1/casts/ started cast {cast_id} of {prepared.spell}.\n")
            watched = display.watch(cast_id=cast_id, console=self.console, pause=pause)
            self._say(f"\n{display.verdict(watched)}\n")
            outputs = client.outputs(cast_id)
            files = demo.save_files(outputs=outputs, client=client, folder=folder / cast_id.hex)
            for name, value in outputs.items():
                if isinstance(value, str):
                    self._text(name, value)
            for place, path in files.items():
                self._pair(place, str(path))
        return watched

    def _tell_where(self, *, site: Site, prepared: Prepared, watched: Watched, logs: Path) -> None:
        self._say("")
        self._pair("the cast", f"{site.url}/admin/casts/cast/{watched.id}/change/")
        self._pair("the admin", f"{site.url}/admin/")
        self._pair("the API", f"{site.url}/api/v1/docs/")
        self._pair("the logs", str(logs))
        self._tell_password(prepared)
        self._say("")

    def _tell_password(self, prepared: Prepared) -> None:
        """Tell how to sign in, once."""
        if self.has_told_password:
            return
        self.has_told_password = True
        self._pair("sign in as", f"{demo.ADMIN} with the password {prepared.password or 'that was shown the first time'}")
        if prepared.password is None:
            self._pair("", f"(another one: manage.py changepassword {demo.ADMIN})")
        else:
            self._pair("", "(it is kept nowhere and not shown again)")

    def _text(self, name: str, text: str) -> None:
        """Print a text beside its name, in lines that fit the terminal."""
        room = max(NARROWEST, self.console.width - NAME_WIDTH - 1)
        self._pair(name, "\n".join(textwrap.fill(paragraph, room) for paragraph in text.splitlines()))

    def _pair(self, name: str, value: str) -> None:
        lines = value.splitlines() or [""]
        self._say("\n".join(f"{'' if number else name:<{NAME_WIDTH}} {line}".rstrip() for number, line in enumerate(lines)))

    def _say(self, text: str) -> None:
        self.console.print(Text(text))


def free_site(port: int | None) -> Site:
    """Take the port that was asked for; else ours, or any that is free."""
    try:
        return programs.listen(host="127.0.0.1", port=DEFAULT_PORT if port is None else port)
    except AddressError:
        if port is not None:
            raise
        return programs.listen(host="127.0.0.1", port=0)


def become_another(folder: Path) -> None:
    """Begin again in a process that knows this folder alone: settings are read before any command. Does not return."""
    command = [*programs.manage_py(), *sys.argv[1:], "--own-folder"]
    os.execve(command[0], command, {**os.environ, **demo_provider.environment(folder)})  # noqa: S606 - ourselves, by our own path


def on_this_machine(site: Site) -> dict[str, str]:
    """Return settings by which the site answers plain http on this machine, whatever it is to others."""
    return {"GRIMOIRE_PUBLIC_URL": site.url, "DJANGO_ALLOWED_HOSTS": "localhost,127.0.0.1"}


def pausing(supervisor: Supervisor, asked: StopSignals) -> Callable[[float], None]:
    """Return what waits, looks after the programs meanwhile, and raises StopAsked when somebody asked to stop."""

    def pause(seconds: float) -> None:
        give_up_at = time.monotonic() + seconds
        while True:
            if asked.count:
                raise StopAsked
            supervisor.tend()
            if time.monotonic() >= give_up_at:
                return
            time.sleep(min(TICK_SECONDS, seconds))

    return pause
