import json
import logging
import sys
import time
from argparse import ArgumentTypeError
from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, InterfaceError
from rich.console import Console

from casts.casting import Order, place
from casts.engine import InvalidInputsError, NotPublishedError, ToolDisabledError
from casts.management import display
from casts.management.inputs import read_inputs
from casts.management.teaching import TeachingCommand
from casts.models import Cast, CastStatus, ConductorProcess
from casts.notifications import signing
from casts.notifications.subscriptions import Callback
from spells.naming import VersionNotFoundError, version_named
from spells.problems import ProblemsError

EXIT_CODES = {CastStatus.SUCCEEDED: 0, CastStatus.FAILED: 3, CastStatus.CANCELLED: 4}
INTERRUPTED = 130
MOST_DOLLARS = Decimal(10) ** 10


class Command(TeachingCommand):
    help = "Cast a spell, and with --watch see it through."
    examples = """\
Prints the id of the cast, or with --watch its outputs as JSON, on standard output; all else goes to standard error.
Values are text, or JSON where the spell asks for a number, a list and the like. Somebody must conduct: `manage.py serve`.

exit code: 0 started, or with --watch succeeded; 1 refused; 3 failed; 4 cancelled; 130 no longer watched (Ctrl-C: the
cast goes on).

examples:
  manage.py cast illustrated-story --watch
  manage.py cast illustrated-story theme='a clockmaker' count=5 --watch
  manage.py cast illustrated-story@2 --inputs story.json seed=11 --as mara --max-cost 0.50
  manage.py cast illustrated-story --callback https://example.org/hooks/grimoire
  echo '{"theme": "a fox"}' | manage.py cast illustrated-story --inputs - --watch | jq .title
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("spell", metavar="SPELL", help="Its slug; @N after it chooses a version.")
        parser.add_argument("given", metavar="NAME=VALUE", nargs="*", help="Inputs. They win over those of --inputs.")
        parser.add_argument("--watch", action="store_true", help="Show its steps until it has ended.")
        parser.add_argument("--as", dest="username", metavar="USER", help="Whose cast it is (default: the only superuser).")
        parser.add_argument("--inputs", metavar="FILE", help="A JSON object with inputs; - reads standard input.")
        parser.add_argument("--callback", metavar="URL", help="Where to tell what becomes of it, by signed webhooks.")
        parser.add_argument(
            "--callback-secret", metavar="SECRET", help="What signs them: whsec_ and base64 (default: one is made, and said once)."
        )
        parser.add_argument("--max-cost", type=dollars, metavar="USD", help="What the cast may cost; no billed call starts beyond.")

    def handle(
        self,
        *,
        spell: str,
        given: list[str],
        watch: bool,
        username: str | None,
        inputs: str | None,
        max_cost: Decimal | None,
        callback: str | None,
        callback_secret: str | None,
        **_options: Any,
    ) -> None:
        logging.getLogger("django-q").setLevel(logging.WARNING)  # that the doorbell was rung is no news here
        try:
            schema = version_named(spell).input_schema
            read = read_inputs(given=given, file=inputs, schema=schema)
            told = callback_of(callback, callback_secret)
            order = Order(spell=spell, inputs=read, max_cost_usd=max_cost, callback=told)
            cast = place(order=order, user=caster(username)).cast
            if told is not None and callback_secret is None:
                say(f"Its webhooks are signed by {told.secret}")
            say(f"Cast {cast.pk} of {spell} started.")
            if not ConductorProcess.objects.alive().exists():
                say("No conductor is at work: a cluster takes it up within seconds, if one runs (manage.py serve).")
            if watch:
                raise SystemExit(self._watch(cast))
        except (InvalidInputsError, ProblemsError) as error:
            raise CommandError("\n".join([f"{spell} cannot be cast:", *(f"  {problem}" for problem in error.problems)])) from error
        except (VersionNotFoundError, NotPublishedError, ToolDisabledError) as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database cannot be used: {error}") from error
        self.stdout.write(str(cast.pk))

    def _watch(self, cast: Cast) -> int:
        """See a cast through, and return the exit code."""
        try:
            watched = display.watch(cast_id=cast.pk, console=Console(stderr=True), pause=time.sleep)
        except KeyboardInterrupt:
            say("No longer watched: the cast goes on.")
            return INTERRUPTED
        say(display.verdict(watched))
        if watched.outputs is not None:
            self.stdout.write(json.dumps(watched.outputs, ensure_ascii=False, indent=2))
        return EXIT_CODES[CastStatus(watched.status)]


def say(text: str) -> None:
    """Say something beside the result."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - Django's own stream paints it as an error


def callback_of(url: str | None, secret: str | None) -> Callback | None:
    """Return where to tell what becomes of a cast, if anywhere. Raises CommandError."""
    if url is None:
        if secret is not None:
            raise CommandError("--callback-secret signs nothing without --callback.")
        return None
    return Callback(url=url, secret=secret or signing.new_secret())


def caster(username: str | None) -> User:
    """Return the user of that name, or the only superuser. Raises CommandError."""
    users = get_user_model().objects.filter(is_active=True)
    found = list((users.filter(username=username) if username is not None else users.filter(is_superuser=True))[:2])
    if len(found) == 1:
        return found[0]
    if username is not None:
        raise CommandError(f"There is no active user {username!r}. `manage.py createsuperuser` makes one.")
    raise CommandError(
        "Whose cast is it? Name a user: --as USER." if found else "There is no user yet. `manage.py createsuperuser` makes one."
    )


def dollars(text: str) -> Decimal:
    """Read a sum in US dollars, of up to ten places before and behind the point."""
    try:
        sum_ = Decimal(text)
    except InvalidOperation as error:
        raise ArgumentTypeError(f"{text!r} is no sum in US dollars, like 0.50.") from error
    if not sum_.is_finite() or not 0 <= sum_ < MOST_DOLLARS or sum_ != round(sum_, 10):
        raise ArgumentTypeError(f"{text} is no sum between 0 and {MOST_DOLLARS:,} US dollars with at most ten decimal places.")
    return sum_
