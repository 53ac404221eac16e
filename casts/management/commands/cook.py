import dataclasses
import logging
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, transaction
from rich.console import Console

from casts.clock import database_now
from casts.cooks import collecting, previewing, verbs
from casts.cooks.beginning import MAX_PIECES, Wish, begin, extend
from casts.cooks.documents import MAX_DOCUMENT_BYTES, format_of, list_format_of, plan_of, read_items, read_plan
from casts.cooks.progress import progress_of
from casts.cooks.refusals import CookRefusedError
from casts.engine import NotPublishedError, ToolDisabledError
from casts.management import cooking
from casts.management.commands.cast import INTERRUPTED, caster, dollars, say
from casts.management.images import images_of, upload_all
from casts.management.teaching import TeachingCommand, whole_number
from casts.models import Collection, ConductorProcess, Cook, CookStatus, OnPieceFailure
from casts.models.cook import MAX_ATTEMPTS, MAX_PARALLEL
from spells.problems import ProblemsError

EXIT_CODES = {CookStatus.FINISHED: 0, CookStatus.PAUSED: 3, CookStatus.STOPPED: 4}
SOME_FAILED = 3
LISTED = 20
EXAMPLES = Path(collecting.__file__).parent / "examples"


class Command(TeachingCommand):
    help = "Cast one spell for each piece of a collection; look after cooks that are there."
    examples = """\
A collection is a file: a name, a spell or a tool, its inputs with expressions, and a trait tree or a list of items
(docs/cooks.md). `lanterns.yaml` comes with Grimoire. Somebody must conduct: `manage.py serve`.

Prints the id of the cook on standard output; all else goes to standard error.
exit code: 0 begun, or with --watch finished and each piece made; 1 refused; 3 paused, or some pieces failed;
4 stopped; 130 no longer watched (Ctrl-C: the cook goes on).

examples:
  manage.py cook begin lanterns.yaml --preview
  manage.py cook begin lanterns.yaml --pieces 100 --max-parallel 8 --watch
  manage.py cook begin retouched.yaml --images photos/
  manage.py cook begin posters.yaml --items guests.csv --budget 20 --on-failure stop
  manage.py cook status
  manage.py cook watch 3
  manage.py cook pause 3
  manage.py cook resume 3 --budget 40
  manage.py cook extend 3 --pieces 2000
  manage.py cook stop 3 --reason "Enough."
"""

    def add_arguments(self, parser: CommandParser) -> None:
        verbs_ = parser.add_subparsers(dest="verb", metavar="begin|status|watch|pause|resume|stop|extend", required=True)
        _add_begin(verbs_.add_parser("begin", help="Begin a cook of a collection."))
        status = verbs_.add_parser("status", help="Show how cooks stand.")
        status.add_argument("cook", metavar="COOK", type=int, nargs="?", help=f"Its id (default: the last {LISTED}).")
        for verb, told in (
            ("watch", "Watch one until it goes on no more."),
            ("pause", "Start nothing more."),
            ("stop", "End it for good."),
        ):
            of = verbs_.add_parser(verb, help=told)
            of.add_argument("cook", metavar="COOK", type=int, help="Its id.")
            if verb != "watch":
                of.add_argument("--reason", default="", help="Why. It is shown with the cook.")
        resume = verbs_.add_parser("resume", help="Go on with one that is paused.")
        resume.add_argument("cook", metavar="COOK", type=int, help="Its id.")
        resume.add_argument("--budget", type=dollars, metavar="USD", help="What it may cost in all, from now on.")
        more = verbs_.add_parser("extend", help="Have it make more.")
        more.add_argument("cook", metavar="COOK", type=int, help="Its id.")
        more.add_argument(
            "--pieces", type=whole_number(least=1, most=MAX_PIECES), required=True, metavar="N", help="How many pieces in all."
        )

    def handle(self, *, verb: str, **options: Any) -> None:
        logging.getLogger("django-q").setLevel(logging.WARNING)  # that the doorbell was rung is no news here
        try:
            getattr(self, f"_{verb}")(**options)
        except Cook.DoesNotExist as error:
            raise CommandError(f"There is no cook {options['cook']}. `manage.py cook status` lists them.") from error
        except ProblemsError as error:
            raise CommandError("\n".join(["It cannot be cooked:", *(f"  {problem}" for problem in error.problems)])) from error
        except (CookRefusedError, NotPublishedError, ToolDisabledError) as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database cannot be used: {error}") from error

    def _begin(
        self,
        *,
        file: str,
        items: str | None,
        images: str | None,
        username: str | None,
        preview: bool,
        watch: bool,
        pieces: int | None,
        max_parallel: int,
        budget: Decimal | None,
        on_failure: str,
        max_attempts: int,
        failures_to_stop: int,
        **_options: Any,
    ) -> None:
        owner = caster(username)
        data = read_plan(_read(file), format=format_of(file))
        if items is not None or images is not None:
            data = {**data, "items": [None]}  # what the list is to be, the spell or the folder says
        plan = plan_of(data)
        if items is not None:
            plan = _with_items(plan, items, owner=owner)
        if images is not None:
            plan = _with_images(plan, images, owner=owner)
        if preview:
            collection = collecting.collection_of(plan=plan, owner=owner, now=database_now())
            looked = previewing.preview(collection=collection, now=database_now(), pieces=pieces)
            cooking.show_preview(looked, console=Console(file=self.stdout._out))  # type: ignore[arg-type] # a stream, whatever the stubs say
            return
        wish = Wish(
            pieces=pieces,
            max_parallel=max_parallel,
            budget_usd=budget,
            on_failure=OnPieceFailure(on_failure),
            max_attempts=max_attempts,
            failures_to_stop=failures_to_stop,
        )
        now = database_now()
        collection = collecting.collection_of(plan=plan, owner=owner, now=now)
        cook = _begun(collection, wish)
        say(f"Cook {cook.pk} of {collection.name} began: {cook.wanted:,} pieces.")
        if not ConductorProcess.objects.alive().exists():
            say("No conductor is at work: a cluster takes it up within seconds, if one runs (manage.py serve).")
        if watch:
            self._watch(cook=cook.pk)
        self.stdout.write(str(cook.pk))

    def _status(self, *, cook: int | None, **_options: Any) -> None:
        cooks = Cook.objects.select_related("collection").order_by("-pk")
        rows = [cooks.get(pk=cook)] if cook is not None else list(cooks[:LISTED])
        for row in rows:
            name = cooking.printable_all(row.collection.name)
            self.stdout.write(f"{cooking.plain(row, progress_of(row, now=database_now()))} ({name})")
        if not rows:
            say("There is no cook yet. `manage.py cook begin` begins one.")

    def _watch(self, *, cook: int, **_options: Any) -> None:
        try:
            row, progress = cooking.watch(cook_id=cook, console=Console(stderr=True), pause=time.sleep)
        except KeyboardInterrupt:
            say("No longer watched: the cook goes on.")
            raise SystemExit(INTERRUPTED) from None
        say(cooking.plain(row, progress))
        self.stdout.write(str(row.pk))
        raise SystemExit(SOME_FAILED if progress.failed else EXIT_CODES[CookStatus(row.status)])

    def _pause(self, *, cook: int, reason: str, **_options: Any) -> None:
        self._tell(verbs.pause(cook_id=cook, now=database_now(), reason=reason))

    def _resume(self, *, cook: int, budget: Decimal | None, **_options: Any) -> None:
        self._tell(verbs.resume(cook_id=cook, now=database_now(), budget_usd=budget))

    def _stop(self, *, cook: int, reason: str, **_options: Any) -> None:
        self._tell(verbs.stop(cook_id=cook, now=database_now(), reason=reason))

    def _extend(self, *, cook: int, pieces: int, **_options: Any) -> None:
        self._tell(extend(cook_id=cook, pieces=pieces, now=database_now()))

    def _tell(self, cook: Cook) -> None:
        self.stdout.write(f"Cook {cook.pk} is {cook.status}.")


def _add_begin(parser: Any) -> None:
    parser.add_argument("file", metavar="FILE", help="The collection, in YAML or JSON; a file of yours, or an example of ours.")
    lists = parser.add_mutually_exclusive_group()
    lists.add_argument("--items", metavar="LIST", help="A list that the pieces are of: .csv, or .jsonl with JSON on each line.")
    lists.add_argument("--images", metavar="FOLDER", help="Images that the pieces are of: each is uploaded, in the order of their names.")
    parser.add_argument("--as", dest="username", metavar="USER", help="Whose cook it is (default: the only superuser).")
    parser.add_argument("--preview", action="store_true", help="Show the first pieces, the rarity of traits and the cost; begin nothing.")
    parser.add_argument("--watch", action="store_true", help="Show how far it is until it goes on no more.")
    parser.add_argument("--pieces", type=whole_number(least=1, most=MAX_PIECES), metavar="N", help="How many (default: its target).")
    parser.add_argument(
        "--max-parallel", type=whole_number(least=1, most=MAX_PARALLEL), default=4, metavar="N", help="Casts at once (default: 4)."
    )
    parser.add_argument("--budget", type=dollars, metavar="USD", help="What the whole may cost; it pauses when that is spent.")
    parser.add_argument(
        "--on-failure",
        choices=OnPieceFailure.values,
        default=OnPieceFailure.REPLACE.value,
        help="What a failed cast does (default: replace).",
    )
    parser.add_argument(
        "--max-attempts",
        type=whole_number(least=1, most=MAX_ATTEMPTS),
        default=3,
        metavar="N",
        help="With replace: how often one piece is cast (default: 3).",
    )
    parser.add_argument(
        "--failures-to-stop",
        type=whole_number(least=1, most=1000),
        default=3,
        metavar="N",
        help="With stop: after how many failures in a row it pauses (default: 3).",
    )


def _begun(collection: Collection, wish: Wish) -> Cook:
    """Keep the collection and begin its cook, both or neither."""
    with transaction.atomic():
        collecting.write(collection, now=collection.created_at)
        return begin(collection=collection, wish=wish, now=collection.created_at).cook


def _with_items(plan: collecting.Plan, file: str, *, owner: Any) -> collecting.Plan:
    """Return a plan with the items of a file, read as its spell's inputs ask."""
    form = list_format_of(file)
    if form is None:
        raise CommandError(f"{file} is no list: its name ends with .csv or .jsonl.")
    version = collecting.version_of(plan, owner=owner, now=database_now())
    schema = version.input_schema if not plan.inputs else None
    return dataclasses.replace(plan, items=read_items(_read(file), format=form, schema=schema))


def _with_images(plan: collecting.Plan, folder: str, *, owner: Any) -> collecting.Plan:
    """Return a plan with the images of a folder, which are uploaded once all else was found to be in order."""
    now = database_now()
    files = images_of(folder)
    collecting.collection_of(plan=plan, owner=owner, now=now)
    return dataclasses.replace(plan, items=upload_all(files, owner_id=owner.pk, now=now))


def _read(file: str) -> bytes:
    """Return what is in a file, or in an example of ours of that name."""
    path = Path(file)
    if not path.exists() and path.name == file and (EXAMPLES / file).exists():
        path = EXAMPLES / file
    try:
        with path.open("rb") if file != "-" else sys.stdin.buffer as opened:
            data = opened.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise CommandError(f"{file} is larger than {MAX_DOCUMENT_BYTES:,} bytes.")
    return data
