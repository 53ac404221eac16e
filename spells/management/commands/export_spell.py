"""manage.py export_spell: a spell as a document."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from spells.documents import DocumentError, Format, document_of, dump
from spells.management.teaching import TeachingFormatter
from spells.naming import VersionNotFoundError, version_named

EXAMPLES = """
examples:
  manage.py export_spell illustrated-story
      Prints the last published version as YAML.
  manage.py export_spell illustrated-story@2 --output story.yaml
      Writes version 2 to a file.
  manage.py export_spell illustrated-story@draft --format json
      Prints the draft as JSON.

import_spell reads back what export_spell writes, exactly.
"""


class Command(BaseCommand):
    help = "Write a version of a spell as a YAML or JSON document."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=TeachingFormatter, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="SLUG[@N]", help="The spell; @N or @draft choose a version of it.")
        parser.add_argument("--format", choices=["yaml", "json"], default="yaml", help="How to write it (default: yaml).")
        parser.add_argument("--output", metavar="FILE", help="Where to write it. By default it is printed.")

    def handle(self, *, name: str, format: Format, output: str | None, **_options: Any) -> None:  # noqa: A002 - the option's name
        try:
            text = dump(document_of(version_named(name)), format=format)
        except (VersionNotFoundError, DocumentError) as error:
            raise CommandError(str(error)) from error
        if output is None:
            self.stdout.write(text, ending="")
            return
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}.") from error
        self.stderr.write(f"Wrote {output}.")
