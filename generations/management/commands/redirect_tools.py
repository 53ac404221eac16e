"""manage.py redirect_tools: tools of one address, moved to another."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from generations.redirecting import redirect_tools
from spells.management.teaching import TeachingFormatter
from spells.problems import ProblemsError

EXAMPLES = """
Changes each address in the config of a tool (`base_url`, and whatever else ends in `_url`) that is OLD or stands below
it. All else stays: model, prices, limits, and the name of the environment variable with the key.

examples:
  manage.py redirect_tools https://api.openai.com/v1 https://llm.example.org/v1           through a gateway of yours
  manage.py redirect_tools https://api.replicate.com http://127.0.0.1:8090/replicate      to the fake provider
  manage.py redirect_tools http://127.0.0.1:8090/replicate https://api.replicate.com      and back
"""


class Command(BaseCommand):
    help = "Move all tools of one base URL to another."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=TeachingFormatter, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("old", metavar="OLD", help="Where they are, or the beginning of it.")
        parser.add_argument("new", metavar="NEW", help="What takes its place.")
        parser.add_argument("--check", action="store_true", help="Only tell what would change.")

    def handle(self, *, old: str, new: str, check: bool, **_options: Any) -> None:
        try:
            redirections = redirect_tools(old=old, new=new, write=not check)
        except ProblemsError as error:
            raise CommandError("; ".join(problem.message for problem in error.problems)) from error
        for each in redirections:
            self.stdout.write(f"{each.slug} {each.setting}: {each.before} -> {each.after}")
        self.stdout.write(f"{len(redirections)} addresses {'to change' if check else 'changed'}.")
