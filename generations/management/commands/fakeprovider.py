"""manage.py fakeprovider: a provider for tests and demonstrations."""

import socket
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from generations.fakeprovider import server
from generations.fakeprovider.appended import FileError
from generations.fakeprovider.fake import Fake
from generations.fakeprovider.settings import DEFAULT_KEY, Settings, Span
from spells.management.teaching import TeachingFormatter

MAX_PORT = 65_535
EXAMPLES = """
It speaks Replicate, fal, OpenAI, ComfyDeploy, RunPod and Lumen (of http.job), each below its own path, and invents what they would make.
Everything is on this machine, and costs nothing but the numbers in its log. docs/fakeprovider.md tells the rest: how
tools are pointed at it, how a request is told to fail, to hang or to be lost, and what it bills.

examples:
  manage.py fakeprovider --port 8090
  manage.py fakeprovider --latency 1..20 --fail 0.05 --lose-webhooks 0.2 --double-webhooks 0.1 --log billed.jsonl
  manage.py fakeprovider --pictures painted           handsome pictures, which take longer
"""


def share(text: str) -> float:
    """Read a share from 0 to 1."""
    try:
        number = float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no number.") from error
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"{text} is not between 0 and 1.")
    return number


def port_number(text: str) -> int:
    """Read the number of a port."""
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise ArgumentTypeError(f"{text!r} is no port: they are numbered 0-{MAX_PORT}.")
    return int(text)


def span(text: str) -> Span:
    """Read a span of seconds."""
    try:
        return Span.read(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


class Command(BaseCommand):
    help = "Serve a provider that is none: real dialects, real signatures, invented work, and a log of what it bills."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=TeachingFormatter, epilog=EXAMPLES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=port_number, default=8090, help="The port on this machine (default: 8090; 0: any that is free).")
        parser.add_argument("--fd", type=int, metavar="N", help="A socket that listens already, instead of a port.")
        parser.add_argument("--seed", type=int, default=1, help="Decides latencies, failures, webhooks and signing keys.")
        parser.add_argument(
            "--key", action="append", metavar="KEY", help=f"An API key that is accepted (default: {DEFAULT_KEY}). May be repeated."
        )
        parser.add_argument("--latency", type=span, default="1..5", metavar="S..S", help="Seconds that a job takes (default: 1..5).")
        parser.add_argument(
            "--answer-latency", type=span, default="0", metavar="S..S", help="Seconds that an answer takes that is no job (default: 0)."
        )
        parser.add_argument("--late-seconds", type=span, default="5..30", metavar="S..S", help="How late webhooks are that are late.")
        shares = {
            "fail": "jobs that fail; the same request fails once",
            "lose-webhooks": "jobs of whose end no webhook tells",
            "double-webhooks": "jobs whose last webhook comes twice",
            "late-webhooks": "jobs whose last webhook comes late",
            "reorder-webhooks": "jobs whose first webhooks come after the last",
        }
        for name, meaning in shares.items():
            parser.add_argument(f"--{name}", type=share, default=0.0, metavar="0..1", help=f"The share of {meaning}.")
        parser.add_argument("--fail-always", action="store_true", help="Let the same request fail each time.")
        parser.add_argument("--openai-webhook", default="", metavar="URL", help="Where the webhooks of OpenAI's responses go.")
        parser.add_argument("--gather", type=int, default=0, metavar="N", help="Let N jobs come together before the first begins.")
        parser.add_argument("--forget-after", type=float, default=3600.0, metavar="S", help="How long an ended job can be asked for.")
        parser.add_argument("--files-expire", type=float, default=3600.0, metavar="S", help="How long a file can be fetched.")
        parser.add_argument("--old-comfydeploy-words", action="store_true", help="Speak of processing and completed, as its older API.")
        parser.add_argument("--pictures", choices=["plain", "painted"], default="plain", help="Quick pictures, or handsome ones.")
        parser.add_argument("--log", type=Path, metavar="FILE", help="Append each billed call to this file, as a line of JSON.")
        parser.add_argument(
            "--jobs",
            type=Path,
            metavar="FILE",
            help="Keep the jobs in this file, and go on with them after a kill. Default: they are lost.",
        )
        parser.add_argument("--fsync", action="store_true", help="Write the log through to the disk.")

    def handle(self, *, port: int, fd: int | None, **options: Any) -> None:
        try:
            listener = server.listen(port) if fd is None else socket.socket(fileno=fd)
        except OSError as error:
            raise CommandError(f"{f'Port {port}' if fd is None else f'The file descriptor {fd}'} cannot be used: {error}") from error
        with listener:
            try:
                fake = Fake(_settings(**options))
            except (OSError, ValueError, FileError) as error:
                raise CommandError(str(error)) from error
            server.run(fake, listener, ready=lambda: self._announce(fake, port=listener.getsockname()[1]))

    def _announce(self, fake: Fake, *, port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        self.stdout.write(f"The fake provider serves at {url} ({', '.join(f'{url}/{name}' for name in fake.dialects)}).")
        self.stdout.write(f"Its webhooks are signed with {fake.settings.webhook_secret}")
        self.stdout.flush()


def _settings(**options: Any) -> Settings:
    named = (
        "seed",
        "latency",
        "answer_latency",
        "fail",
        "fail_always",
        "lose_webhooks",
        "double_webhooks",
        "late_webhooks",
        "reorder_webhooks",
        "log",
        "jobs",
    )
    return Settings(
        **{name: options[name] for name in (*named, "openai_webhook", "gather", "old_comfydeploy_words", "fsync")},
        late=options["late_seconds"],
        forget_seconds=options["forget_after"],
        file_seconds=options["files_expire"],
        keys=frozenset(options["key"] or [DEFAULT_KEY]),
        painted=options["pictures"] == "painted",
    )
