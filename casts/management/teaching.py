"""What all our commands share: help that teaches by examples, and arguments that are read strictly."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.core.checks import Tags
from django.core.checks.registry import registry
from django.core.management.base import BaseCommand, CommandParser

from spells.management.teaching import TeachingFormatter


class TeachingCommand(BaseCommand):
    """A command whose `--help` ends with examples."""

    examples = ""
    serves_pages = False

    def get_check_kwargs(self, options: dict[str, Any]) -> dict[Any, Any]:
        """Leave out the checks of pages for a command that serves none: they read the whole API and admin, longer than all else at a start."""
        asked = super().get_check_kwargs(options)
        return asked if asked or self.serves_pages else {"tags": registry.tags_available() - {Tags.urls, Tags.admin}}

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.setdefault("formatter_class", TeachingFormatter)
        kwargs.setdefault("epilog", self.examples)
        return super().create_parser(prog_name, subcommand, **kwargs)


def whole_number(*, least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers between two bounds, both included."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError as error:
            raise ArgumentTypeError(f"{text!r} is no whole number.") from error
        if not least <= number <= most:
            raise ArgumentTypeError(f"{number} is not between {least} and {most}.")
        return number

    return read


def seconds(text: str) -> float:
    """Read a duration of up to a day."""
    try:
        number = float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no number of seconds.") from error
    if not 0 <= number <= 86_400:  # noqa: PLR2004 - a day; also refuses what is not a number
        raise ArgumentTypeError(f"{text} is not between 0 and 86400 seconds.")
    return number
