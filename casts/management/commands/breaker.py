import getpass
import socket
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser
from django.db.models import Q

from casts import engine
from casts.management.teaching import TeachingCommand
from casts.models import BreakerState, Gate
from spells.models import Provider, Tool

MAX_REASON_CHARACTERS = 500


class Command(TeachingCommand):
    help = "Show the breakers of providers, and open or close one by hand."
    examples = """\
An open breaker lets no call to its provider start; casts wait, and no attempt is burnt. One that was opened by hand stays
open until it is closed by hand. Closing one also ends a rest that the provider asked for.

examples:
  manage.py breaker list
  manage.py breaker open replicate --reason "Maintenance until noon"
  manage.py breaker close replicate --reason "They are back" --user ada
"""

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="list|open|close", required=True)
        verbs.add_parser("list", help="Show all of them.")
        for verb in ("open", "close"):
            of = verbs.add_parser(verb, help=f"{verb.capitalize()} one.")
            of.add_argument("slug", metavar="PROVIDER", help="The slug of a provider, or of a tool that has none.")
            of.add_argument("--reason", default="", help="Why. It is kept in the history.")
            of.add_argument("--user", metavar="USERNAME", help="Who says so (default: your name on this machine).")

    def handle(self, *, verb: str, **options: Any) -> None:
        if verb == "list":
            self._list()
            return
        owner, reason = _owner(options["slug"]), " ".join(options["reason"].replace("\0", " ").split())[:MAX_REASON_CHARACTERS]
        actor_id, by = _actor(options["user"])
        act = engine.open_breaker if verb == "open" else engine.close_breaker
        gate = act(owner=owner, reason=reason or "No reason was given.", by=by, actor_id=actor_id)
        self.stdout.write(f"The breaker of {owner} is {gate.get_state_display()}.")

    def _list(self) -> None:
        gates = {gate.provider_id: gate for gate in Gate.objects.filter(provider__isnull=False)}
        for provider in Provider.objects.order_by("slug"):
            self._tell(provider.slug, gates.get(provider.pk))
        alone = Gate.objects.filter(~Q(state=BreakerState.CLOSED) | Q(failures__gt=0), tool__isnull=False).select_related("tool")
        for gate in alone.order_by("tool__slug"):
            self._tell(str(gate), gate)

    def _tell(self, slug: str, gate: Gate | None) -> None:
        if gate is None:
            self.stdout.write(f"{slug}: {BreakerState.CLOSED.label}")
            return
        parts = [f"{slug}: {gate.get_state_display()}"]
        if gate.state != BreakerState.CLOSED and gate.since is not None:
            parts.append(f"since {gate.since:%Y-%m-%d %H:%M:%S} UTC")
        if gate.state == BreakerState.OPEN:
            parts.append(f"next try at {gate.retry_at:%H:%M:%S}" if gate.retry_at else "until it is closed by hand")
        if gate.failures:
            parts.append(f"{gate.failures} outages in a row, the last: {gate.errors[0]['message']}")
        self.stdout.write(", ".join(parts))


def _owner(slug: str) -> Provider | Tool:
    """Return whose breaker is meant. Raises CommandError."""
    provider = Provider.objects.filter(slug=slug).first()
    if provider is not None:
        return provider
    tool = Tool.objects.filter(slug=slug).select_related("provider").first()
    if tool is None:
        known = ", ".join(Provider.objects.order_by("slug").values_list("slug", flat=True)) or "none"
        raise CommandError(f"There is no provider {slug!r}, and no tool. Providers: {known}.")
    if tool.provider is not None:
        raise CommandError(f"The tool {slug} has the breaker of its provider: name {tool.provider.slug}.")
    return tool


def _actor(username: str | None) -> tuple[int | None, str]:
    """Return who says so: a user of Grimoire, or of this machine. Raises CommandError."""
    if username is None:
        return None, f"{getpass.getuser()}@{socket.gethostname()}"
    users = get_user_model()._default_manager
    user = users.filter(**{get_user_model().USERNAME_FIELD: username}).first()
    if user is None:
        raise CommandError(f"There is no user {username!r}.")
    return user.pk, username
