"""manage.py import_spell: a spell from a document."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from spells.documents import MAX_DOCUMENT_BYTES, Document, DocumentError, Format, NotOwnerError, parse, save_draft
from spells.management.teaching import TeachingFormatter
from spells.problems import Problem, ProblemsError
from spells.publishing import publish, validate

EXAMPLES = """
examples:
  manage.py import_spell spells/examples/illustrated-story.yaml --publish
      Reads the spell, checks it, and publishes it: it can be cast at once.
  manage.py import_spell my-spell.yaml --owner mara
      Saves it as mara's draft. Run it again as often as you edit the file; publish when it is right.
  manage.py export_spell illustrated-story | manage.py import_spell - --format yaml --owner mara
      Reads standard input.

Without --owner the spell keeps its owner; a new one goes to the only superuser.
docs/spells.md describes the documents.
"""


class Command(BaseCommand):
    help = "Read a spell from a YAML or JSON document and save it as a draft, or publish it."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=TeachingFormatter, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="The document, or - for standard input.")
        parser.add_argument("--owner", metavar="USER", help="Whose spell it is, by user name.")
        parser.add_argument("--publish", action="store_true", help="Publish it, if nothing is wrong with it.")
        parser.add_argument("--format", choices=["yaml", "json"], help="How FILE is written. By default its ending tells, else yaml.")

    def handle(self, *, file: str, owner: str | None, publish: bool, format: Format | None, **_options: Any) -> None:  # noqa: A002 - the option's name
        try:
            document = parse(_read(file), format=format or ("json" if file.endswith(".json") else "yaml"))
        except DocumentError as error:
            raise CommandError(_told(file, error.problems)) from error
        problems = validate(document)
        if publish and problems:
            raise CommandError(_told(f"{file} cannot be published", problems))
        try:
            self._save(document, owner=_owner(owner, document.slug), publish_it=publish)
        except ProblemsError as error:
            raise CommandError(_told(file, error.problems)) from error
        except NotOwnerError as error:
            raise CommandError(str(error)) from error
        if problems:
            self.stderr.write(_told(f"{file}: before it can be published, mend", problems))

    def _save(self, document: Document, *, owner: User, publish_it: bool) -> None:
        with transaction.atomic():
            version = save_draft(document=document, owner=owner, now=timezone.now())
            if publish_it:
                version = publish(version_id=version.pk, now=timezone.now())
        state = "published" if publish_it else "saved as a draft"
        self.stdout.write(f"{document.slug} version {version.number} {state}.")


def _read(file: str) -> bytes:
    """Return the bytes of a file or of standard input; of one that is too large, just enough for that to show."""
    try:
        if file == "-":
            return sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        with Path(file).open("rb") as opened:
            return opened.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _owner(name: str | None, slug: str) -> User:
    users = get_user_model().objects.all()
    if name is not None:
        user = users.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no user {name!r}. `manage.py createsuperuser` makes one.")
        return user
    owner = users.filter(spells__slug=slug).first()
    superusers = [] if owner else list(users.filter(is_superuser=True, is_active=True)[:2])
    if owner is None and len(superusers) != 1:
        raise CommandError("Whose spell is it? Name a user: --owner USER.")
    return owner or superusers[0]


def _told(what: str, problems: Sequence[Problem]) -> str:
    return "\n".join([f"{what}:", *(f"  {problem}" for problem in problems)])
