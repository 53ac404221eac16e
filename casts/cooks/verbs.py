"""What people may do to a cook, and to a piece of it. Each verb locks the cook; a look at it does the rest."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from casts.doorbell import knock
from casts.engine import sql
from casts.engine.retrying import in_one_transaction
from casts.models import AttemptStatus, Cook, CookStatus, Piece, PieceAttempt, PieceStatus, ReviewAct, ReviewEvent
from spells.problems import Problem, ProblemsError

from . import dealing
from .refusals import CookRefusedError
from .telling import tell_owner
from .traits import TraitTree, read_tree

PAUSED = "Paused by hand."
STOPPED = "Stopped by hand."

# How often a piece is drawn anew while others of its cook are.
TRIES = 5

R = TypeVar("R")


class StaleDrawError(Exception):
    """The piece was drawn anew meanwhile, or another one has got the traits that were drawn for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrawn:
    """Other traits for a piece: the piece as it is to be, not saved. `before` is the number of the draw that it had."""

    piece: Piece
    before: int


@in_one_transaction
def pause(*, cook_id: int, now: datetime, reason: str = "", tell: bool = False) -> Cook:
    """Start no more casts; those at work may end. Asking again changes nothing. Raises CookRefusedError unless it runs.

    With `tell`, its owner is told of it: nobody paused it by hand.
    """
    cook = _locked(cook_id)
    if cook.status == CookStatus.PAUSED:
        return cook
    if cook.status != CookStatus.RUNNING:
        raise CookRefusedError("paused", cook.status)
    paused = _change(cook, now=now, status=CookStatus.PAUSED, reason=reason.strip() or PAUSED)
    if tell:
        tell_owner(paused, now=now)
    return paused


@in_one_transaction
def resume(*, cook_id: int, now: datetime, budget_usd: Decimal | None = None) -> Cook:
    """Go on with a paused cook, with another budget if one is given. Raises CookRefusedError unless it is paused."""
    cook = _locked(cook_id)
    if cook.status != CookStatus.PAUSED:
        raise CookRefusedError("resumed", cook.status)
    if budget_usd is not None:
        cook.budget_usd = budget_usd
    return _change(cook, now=now, status=CookStatus.RUNNING, reason="", failures_in_a_row=0)


@in_one_transaction
def stop(*, cook_id: int, now: datetime, reason: str = "") -> Cook:
    """End a cook for good: its casts are cancelled, and nothing starts. Asking again changes nothing.

    Raises CookRefusedError when it has finished.
    """
    cook = _locked(cook_id)
    if cook.status in (CookStatus.STOPPING, CookStatus.STOPPED):
        return cook
    if cook.status == CookStatus.FINISHED:
        raise CookRefusedError("stopped", cook.status)
    return _change(cook, now=now, status=CookStatus.STOPPING, reason=reason.strip() or STOPPED)


def regenerate(*, piece_id: int, actor_id: int, now: datetime, redraw: bool = False) -> Piece:
    """Have a piece that was made, or has failed, cast again: with the same traits, or with the next draw of its index.

    What was made before is kept as an attempt that is superseded, and the audit of reviews says by whom. A cook that had
    finished goes on.

    Raises:
        CookRefusedError: its cook was stopped, or the piece is at work.
        ProblemsError: it has no traits to draw, or no others can be drawn.
    """

    def act(drawn: Redrawn | None) -> Piece:
        return regenerate_as(piece_id=piece_id, actor_id=actor_id, now=now, drawn=drawn)

    return with_other_traits(act, piece_id=piece_id) if redraw else act(None)


def with_other_traits(act: Callable[[Redrawn], R], *, piece_id: int) -> R:
    """Draw other traits for a piece without a lock, for that may take a while, and act on them. Returns what `act` returns.

    Both again when `act` raises StaleDrawError.

    Raises:
        CookRefusedError: its cook was stopped, or the piece is at work.
        ProblemsError: it has no traits to draw, or no others can be drawn.
    """
    for _ in range(TRIES):
        try:
            return act(_redrawn(piece_id))
        except StaleDrawError:
            continue
    raise ProblemsError([Problem("redraw", "others were drawn all the while: nothing was changed. Try again.")])


def _redrawn(piece_id: int) -> Redrawn:
    piece = Piece.objects.select_related("cook__collection").get(pk=piece_id)
    cook, before = piece.cook, piece.redraw
    _check_regeneration(piece, cook)
    dealing.redraw(piece, tree=_tree_of(cook), seed=cook.collection.seed, taken=_hashes(cook))
    return Redrawn(piece=piece, before=before)


@in_one_transaction
def regenerate_as(*, piece_id: int, actor_id: int, now: datetime, drawn: Redrawn | None) -> Piece:
    """Have a piece cast again, with the traits that were drawn for it, or with the same.

    Raises:
        CookRefusedError: its cook was stopped, or the piece is at work.
        StaleDrawError: what was drawn does not fit any more.
    """
    cook = _locked(Piece.objects.values_list("cook_id", flat=True).get(pk=piece_id))
    piece = Piece.objects.get(pk=piece_id)
    _check_regeneration(piece, cook)
    if drawn is not None:
        _put(drawn, piece, cook)
    for attempt in piece.attempts.filter(status=AttemptStatus.MADE):
        _supersede(attempt, actor_id=actor_id, now=now, reason="same" if drawn is None else "redraw")
    piece.status, piece.error, piece.settled_at, piece.failures = PieceStatus.PENDING, None, None, 0
    piece.save()
    _go_on(cook, now=now)
    return piece


def _supersede(attempt: PieceAttempt, *, actor_id: int, now: datetime, reason: str) -> None:
    attempt.status = AttemptStatus.SUPERSEDED
    attempt.save(update_fields=["status"])
    event = ReviewEvent(piece_id=attempt.piece_id, attempt=attempt, act=ReviewAct.REGENERATED, actor_id=actor_id, reason=reason, at=now)
    event.save(force_insert=True)


def redrawn_all(*, cook_id: int, piece_ids: Collection[int]) -> dict[int, Redrawn]:
    """Draw other traits for many pieces without a lock, for that may take a while. Returns them by piece.

    Raises ProblemsError when they have no traits to draw, or no others can be drawn for each of them.
    """
    cook = Cook.objects.select_related("collection").get(pk=cook_id)
    tree = _tree_of(cook)
    pieces = list(cook.pieces.filter(pk__in=piece_ids).order_by("index"))
    before = {piece.pk: piece.redraw for piece in pieces}
    dealing.redraw_all(pieces, tree=tree, seed=cook.collection.seed, taken=_hashes(cook))
    return {piece.pk: Redrawn(piece=piece, before=before[piece.pk]) for piece in pieces}


def regenerate_all(
    *, cook: Cook, attempts: Sequence[PieceAttempt], actor_id: int, now: datetime, drawn: Mapping[int, Redrawn] | None
) -> None:
    """Have the pieces of these attempts, which are made, cast again: all of them, with what was drawn for each or with the same traits.

    Part of a transaction that holds the lock on the cook. A few statements, however many pieces.

    Raises:
        CookRefusedError: the cook was stopped.
        StaleDrawError: what was drawn does not fit any more.
    """
    _check_goes_on(cook)
    pieces = list(cook.pieces.filter(pk__in=[attempt.piece_id for attempt in attempts]))
    if drawn is not None:
        _put_all(drawn, pieces, cook)
    PieceAttempt.objects.filter(pk__in=[attempt.pk for attempt in attempts]).update(status=AttemptStatus.SUPERSEDED)
    told = "same" if drawn is None else "redraw"
    events = [
        ReviewEvent(piece_id=each.piece_id, attempt=each, act=ReviewAct.REGENERATED, actor_id=actor_id, reason=told, at=now)
        for each in attempts
    ]
    sql.insert(events)
    if drawn is not None:
        _write_traits(pieces)
    Piece.objects.filter(pk__in=[piece.pk for piece in pieces]).update(status=PieceStatus.PENDING, error=None, settled_at=None, failures=0)
    _go_on(cook, now=now)


def _write_traits(pieces: Sequence[Piece]) -> None:
    """Write the traits of pieces as `bulk_update` would, in a tenth of its time: nobody else changes their cook meanwhile."""
    rows = [
        {"id": each.pk, "traits": each.traits, "prompts": each.prompts, "trait_hash": each.trait_hash, "redraw": each.redraw}
        for each in pieces
    ]
    sql.count(
        f"""
        UPDATE casts_piece SET traits = drawn.traits, prompts = drawn.prompts, trait_hash = drawn.trait_hash, redraw = drawn.redraw
        FROM {sql.recordset("drawn", {"id": "bigint", "traits": "jsonb", "prompts": "jsonb", "trait_hash": "text", "redraw": "integer"})}
        WHERE casts_piece.id = drawn.id
        """,  # noqa: S608 - put together from our own words
        {"rows": sql.rows_parameter(rows)},
    )


def _put_all(drawn: Mapping[int, Redrawn], pieces: Sequence[Piece], cook: Cook) -> None:
    """Give pieces what was drawn for them, as `_put` does for one."""
    if any(piece.redraw != drawn[piece.pk].before for piece in pieces):
        raise StaleDrawError
    if cook.pieces.filter(trait_hash__in=[drawn[piece.pk].piece.trait_hash for piece in pieces]).exists():
        raise StaleDrawError
    for piece in pieces:
        other = drawn[piece.pk].piece
        piece.traits, piece.prompts, piece.trait_hash, piece.redraw = other.traits, other.prompts, other.trait_hash, other.redraw


def _tree_of(cook: Cook) -> TraitTree:
    document = cook.collection.trait_tree
    if document is None:
        raise ProblemsError([Problem("redraw", "pieces of a list have no traits to draw anew")])
    return read_tree(document)


def _hashes(cook: Cook) -> set[str]:
    """Return the hashes of the traits that pieces of a cook have."""
    return set(cook.pieces.exclude(trait_hash="").values_list("trait_hash", flat=True))


def _check_goes_on(cook: Cook) -> None:
    if cook.status in (CookStatus.STOPPING, CookStatus.STOPPED):
        raise CookRefusedError("cooked on", cook.status)


def _go_on(cook: Cook, *, now: datetime) -> None:
    """Have somebody look at a cook that has more to do: one that had finished runs again."""
    if cook.status == CookStatus.FINISHED:
        _change(cook, now=now, status=CookStatus.RUNNING, reason="", finished_at=None)
    else:
        _change(cook, now=now)


def _check_regeneration(piece: Piece, cook: Cook) -> None:
    _check_goes_on(cook)
    if piece.status not in (PieceStatus.MADE, PieceStatus.FAILED):
        raise CookRefusedError("cast again", piece.status, what="piece")


def _put(drawn: Redrawn, piece: Piece, cook: Cook) -> None:
    """Give a piece what was drawn for it. Whoever gives traits to a piece of the cook holds the lock on it, as we do."""
    other = drawn.piece
    if piece.redraw != drawn.before or cook.pieces.filter(trait_hash=other.trait_hash).exists():
        raise StaleDrawError
    piece.traits, piece.prompts, piece.trait_hash, piece.redraw = other.traits, other.prompts, other.trait_hash, other.redraw


def _locked(cook_id: int) -> Cook:
    return Cook.objects.select_for_update(no_key=True).get(pk=cook_id)


def _change(cook: Cook, *, now: datetime, **values: object) -> Cook:
    """Write values, and have somebody look at the cook."""
    for name, value in {**values, "due_at": now}.items():
        setattr(cook, name, value)
    cook.save(update_fields=["budget_usd", "due_at", *values])
    knock()
    return cook
