from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from casts.cooks.drawing import capacity
from casts.cooks.interchange import from_csv, from_json, to_csv, to_json
from casts.cooks.traits import TraitTreeError
from casts.cooks.tree_schema import MAX_TEXT_BYTES
from casts.management.teaching import TeachingCommand


class Command(TeachingCommand):
    help = "Check a trait tree, and write it as JSON or CSV."
    examples = """\
A file whose name ends with .csv is read as CSV, any other as JSON. What is wrong is told with its place. What is written goes
to the standard output; how many pieces there can be is told beside it.

examples:
  manage.py trait_tree sailors.csv                  # as JSON, to be put into a collection
  manage.py trait_tree sailors.json --to csv        # for a spreadsheet
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path, help="A trait tree, as JSON or CSV.")
        parser.add_argument("--to", choices=["json", "csv"], default="json", help="What to write (default: json).")

    def handle(self, *, file: Path, to: str, **_options: Any) -> None:
        try:
            with file.open("rb") as opened:
                data = opened.read(MAX_TEXT_BYTES + 1)
            tree = from_csv(data) if file.suffix.lower() == ".csv" else from_json(data)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except TraitTreeError as error:
            raise CommandError(f"{file} is no trait tree:\n{error}") from error
        self.stdout.write(to_csv(tree) if to == "csv" else to_json(tree), ending="")
        most = capacity(tree)
        self.stderr.write("More pieces than anybody can ask for." if most is None else f"{most:,} pieces at most.")
