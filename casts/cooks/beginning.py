"""The beginning of a cook, with all of its pieces, and more pieces for one that is there."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from casts import engine
from casts.casting import check_references
from casts.doorbell import knock
from casts.engine import InvalidInputsError, sql
from casts.engine.retrying import in_one_transaction
from casts.models import Collection, Cook, CookStatus, OnPieceFailure, Piece, PieceStatus
from casts.repeats import digest_of, made_before
from spells.expressions import ExpressionError
from spells.problems import MAX_PROBLEMS, Problem, ProblemsError, join_path

from . import quotes
from .dealing import deal
from .recipes import Recipe
from .refusals import CookRefusedError

# Pieces in one cook, and rows in one statement.
MAX_PIECES = 10_000
ROWS_AT_ONCE = 500
# How often pieces are drawn for a cook that changes meanwhile.
TRIES = 3
# Of so many pieces of a trait tree the inputs are checked before anything is spent: the rest differ from them by traits alone.
# Those of a list are all checked, so many at a time.
CHECKED_PIECES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a cook is to go. `pieces` is how many; None means as many as the collection's target."""

    pieces: int | None = None
    max_parallel: int = 4
    budget_usd: Decimal | None = None
    on_failure: OnPieceFailure = OnPieceFailure.REPLACE
    max_attempts: int = 3
    failures_to_stop: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A cook, and whether it is new: a repeated request gets the first one's."""

    cook: Cook
    created: bool


def begin(*, collection: Collection, wish: Wish, now: datetime, idempotency_key: str | None = None) -> Begun:
    """Begin a cook of a collection for its owner, or return the one that the same request began before.

    All pieces are drawn, and their inputs tried, before anything is written; then the cook and its pieces are written at
    once, and conductors do the rest.

    Raises:
        ProblemsError: there cannot be as many pieces, or their inputs do not fit the spell.
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    digest = digest_of(collection=collection.pk, **_said(wish))
    earlier = made_before(Cook.objects.filter(initiator=collection.owner_id), key=idempotency_key, digest=digest)
    if earlier is not None:
        return Begun(cook=earlier, created=False)
    wanted = wish.pieces if wish.pieces is not None else collection.target_supply
    check_number(wanted)
    pieces = deal(collection=collection, first=0, count=wanted)
    check_pieces(collection=collection, pieces=pieces, now=now)
    cook = Cook(
        collection=collection,
        version_id=collection.version_id,
        initiator_id=collection.owner_id,
        wanted=wanted,
        max_parallel=wish.max_parallel,
        budget_usd=wish.budget_usd,
        quote_usd=quotes.of_version(collection.version).total(pieces=wanted),
        on_failure=wish.on_failure,
        max_attempts=wish.max_attempts,
        failures_to_stop=wish.failures_to_stop,
        idempotency_key=idempotency_key,
        request_digest=digest,
        created_at=now,
        due_at=now,
    )
    written_out = _written_out(pieces)
    try:
        with transaction.atomic():
            cook.save(force_insert=True)
            _insert(cook_id=cook.pk, written_out=written_out)
            knock()
    except IntegrityError:
        earlier = made_before(Cook.objects.filter(initiator=collection.owner_id), key=idempotency_key, digest=digest)
        if earlier is None:
            raise
        return Begun(cook=earlier, created=False)
    return Begun(cook=cook, created=True)


def extend(*, cook_id: int, pieces: int, now: datetime) -> Cook:
    """Have a cook make more: `pieces` in all, so that asking again changes nothing. One that had finished goes on.

    They are drawn without a lock, and again if the cook was changed meanwhile.

    Raises:
        CookRefusedError: it was stopped.
        ProblemsError: there cannot be as many, or there are more already.
    """
    check_number(pieces)
    for tries_left in range(TRIES - 1, -1, -1):
        cook = Cook.objects.select_related("collection__owner", "version").get(pk=cook_id)
        _check_extension(cook, pieces=pieces)
        if pieces == cook.wanted:
            break
        taken = set(cook.pieces.exclude(trait_hash="").values_list("trait_hash", flat=True))
        more = deal(collection=cook.collection, first=cook.wanted, count=pieces - cook.wanted, taken=taken)
        check_pieces(collection=cook.collection, pieces=more, now=now)
        try:
            if _extend(cook_id=cook_id, before=cook.wanted, pieces=pieces, written_out=_written_out(more), now=now):
                break
        except IntegrityError:  # a piece was drawn anew meanwhile, and has the traits of one of these
            if not tries_left:
                raise
    return Cook.objects.get(pk=cook_id)


def _check_extension(cook: Cook, *, pieces: int) -> None:
    if cook.status in (CookStatus.STOPPING, CookStatus.STOPPED):
        raise CookRefusedError("extended", cook.status)
    if pieces < cook.wanted:
        raise ProblemsError([Problem("pieces", f"the cook has {cook.wanted:,} pieces already: ask for more")])


@in_one_transaction
def _extend(*, cook_id: int, before: int, pieces: int, written_out: Sequence[str], now: datetime) -> bool:
    """Write more pieces, so that there are `pieces`. Returns False when the cook does not have as many as when they were drawn."""
    cook = Cook.objects.select_for_update(no_key=True).get(pk=cook_id)
    if cook.wanted != before:
        return False
    _check_extension(cook, pieces=pieces)
    _insert(cook_id=cook_id, written_out=written_out)
    cook.wanted = pieces
    cook.quote_usd = quotes.of_version(cook.version).total(pieces=cook.wanted)
    if cook.status == CookStatus.FINISHED:
        cook.status, cook.finished_at = CookStatus.RUNNING, None
    if cook.status == CookStatus.RUNNING:
        cook.due_at = now
    cook.save(update_fields=["wanted", "quote_usd", "status", "finished_at", "due_at"])
    knock()
    return True


def check_pieces(*, collection: Collection, pieces: Sequence[Piece], now: datetime) -> None:
    """Try the inputs of pieces: of each item of a list, of the first ones of a trait tree.

    Raises:
        ProblemsError: they do not fit the spell. Each problem names its piece.
        ToolDisabledError, NotPublishedError: the version cannot be cast at present.
    """
    engine.check_castable(collection.version)
    checked = pieces if collection.items is not None else pieces[:CHECKED_PIECES]
    problems = list(islice(_problems(checked, recipe=_recipe(collection), collection=collection, now=now), MAX_PROBLEMS))
    if problems:
        raise ProblemsError(problems)


def _problems(pieces: Sequence[Piece], *, recipe: Recipe, collection: Collection, now: datetime) -> Iterator[Problem]:
    """Yield what is wrong with the inputs of pieces. Those of no more than `CHECKED_PIECES` are kept at a time: each may be large."""
    for start in range(0, len(pieces), CHECKED_PIECES):
        made: dict[int, dict[str, Any]] = {}
        for piece in pieces[start : start + CHECKED_PIECES]:
            place = join_path("pieces", piece.index)
            try:
                inputs = recipe.inputs_of(piece)
                engine.complete_inputs(version=collection.version, inputs=inputs)
                made[piece.index] = inputs
            except ExpressionError as error:
                yield Problem(f"{place}.{error.path}", str(error))
            except InvalidInputsError as error:
                for each in error.problems:
                    yield Problem(f"{place}.{each.path}", each.message)
        yield from _strange_references(made, owner=collection.owner, now=now)


def _strange_references(made: Mapping[int, Mapping[str, Any]], *, owner: User, now: datetime) -> Iterator[Problem]:
    """Yield what the inputs of pieces refer to and `owner` does not have. Few queries, unless there is such a thing."""
    if _has_all(made, owner=owner, now=now):
        return
    for number, inputs in made.items():
        try:
            check_references(inputs, owner, now)
        except InvalidInputsError as error:
            for each in error.problems:
                yield Problem(f"{join_path('pieces', number)}.{each.path}", each.message)


def _has_all(made: Mapping[int, Mapping[str, Any]], *, owner: User, now: datetime) -> bool:
    try:
        check_references({str(number): inputs for number, inputs in made.items()}, owner, now)
    except InvalidInputsError:
        return False
    return True


def _recipe(collection: Collection) -> Recipe:
    try:
        return Recipe.of(collection)
    except ExpressionError as error:
        raise ProblemsError([Problem(error.path, str(error))]) from error


def check_number(pieces: int) -> None:
    """Raise ProblemsError when a cook cannot have so many pieces, whatever it is of."""
    if not 1 <= pieces <= MAX_PIECES:
        raise ProblemsError([Problem("pieces", f"must be from 1 to {MAX_PIECES:,}")])


def _written_out(pieces: Sequence[Piece]) -> list[str]:
    """Return new pieces as parameters of `_insert`. Made before the transaction, which is short then."""
    rows = [
        {
            "place": piece.index,
            "traits": json.dumps(piece.traits),
            "prompts": json.dumps(piece.prompts),
            "item": None if piece.item is None else json.dumps(piece.item),
            "trait_hash": piece.trait_hash,
            "redraw": piece.redraw,
        }
        for piece in pieces
    ]
    return [sql.rows_parameter(rows[start : start + ROWS_AT_ONCE]) for start in range(0, len(rows), ROWS_AT_ONCE)]


def _insert(*, cook_id: int, written_out: Sequence[str]) -> None:
    """Insert new pieces as `bulk_create` would, in a fraction of its time: on SQLite nobody else writes meanwhile.

    JSON travels as text, since SQLite would take the quotes off an item that is one.
    """
    as_json = sql.on_postgresql("::jsonb")
    columns = {"place": "integer", "traits": "text", "prompts": "text", "item": "text", "trait_hash": "text", "redraw": "integer"}
    for rows in written_out:
        sql.count(
            f"""
            INSERT INTO casts_piece (cook_id, "index", status, traits, prompts, item, trait_hash, redraw, failures)
            SELECT %(cook)s, place, %(status)s, traits{as_json}, prompts{as_json}, item{as_json}, trait_hash, redraw, 0
            FROM {sql.recordset("new", columns)}
            """,  # noqa: S608 - put together from our own words
            {"cook": cook_id, "status": PieceStatus.PENDING.value, "rows": rows},
        )


def _said(wish: Wish) -> dict[str, object]:
    budget = None if wish.budget_usd is None else f"{wish.budget_usd.normalize():f}"
    return {
        "pieces": wish.pieces,
        "max_parallel": wish.max_parallel,
        "budget_usd": budget,
        "on_failure": str(wish.on_failure),
        "max_attempts": wish.max_attempts,
        "failures_to_stop": wish.failures_to_stop,
    }
