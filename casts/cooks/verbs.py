"""What people may do to a cook, and to a piece of it. Each verb locks the cook; a look at it does the rest."""

from datetime import datetime
from decimal import Decimal

from casts.doorbell import knock
from casts.engine.retrying import in_one_transaction
from casts.models import AttemptStatus, Cook, CookStatus, Piece, PieceStatus
from spells.problems import Problem, ProblemsError

from . import dealing
from .refusals import CookRefusedError
from .telling import tell_owner
from .traits import read_tree

PAUSED = "Paused by hand."
STOPPED = "Stopped by hand."


@in_one_transaction
def pause(*, cook_id: int, now: datetime, reason: str = "", tell: bool = False) -> Cook:
    """Start no more casts; those at work may end. Asking again changes nothing. Raises CookRefusedError unless it runs.

    With `tell`, its owner finds that in the inbox: nobody paused it by hand.
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


@in_one_transaction
def regenerate(*, piece_id: int, now: datetime, redraw: bool = False) -> Piece:
    """Have a piece that was made, or has failed, cast again: with the same traits, or with the next draw of its index.

    What was made before is kept as an attempt that is superseded. A cook that had finished goes on.

    Raises:
        CookRefusedError: its cook was stopped, or the piece is at work.
        ProblemsError: it has no traits to draw, or no others can be drawn.
    """
    cook = _locked(Piece.objects.values_list("cook_id", flat=True).get(pk=piece_id))
    piece = Piece.objects.get(pk=piece_id)
    if cook.status in (CookStatus.STOPPING, CookStatus.STOPPED):
        raise CookRefusedError("cooked on", cook.status)
    if piece.status not in (PieceStatus.MADE, PieceStatus.FAILED):
        raise CookRefusedError("cast again", piece.status, what="piece")
    if redraw:
        _redraw(piece, cook)
    piece.attempts.filter(status=AttemptStatus.MADE).update(status=AttemptStatus.SUPERSEDED)
    piece.status, piece.error, piece.settled_at, piece.failures = PieceStatus.PENDING, None, None, 0
    piece.save()
    if cook.status == CookStatus.FINISHED:
        _change(cook, now=now, status=CookStatus.RUNNING, reason="", finished_at=None)
    else:
        _change(cook, now=now)
    return piece


def _redraw(piece: Piece, cook: Cook) -> None:
    tree = cook.collection.trait_tree
    if tree is None:
        raise ProblemsError([Problem("redraw", "pieces of a list have no traits to draw anew")])
    taken = set(cook.pieces.exclude(trait_hash="").values_list("trait_hash", flat=True))
    dealing.redraw(piece, tree=read_tree(tree), seed=cook.collection.seed, taken=taken)


def _locked(cook_id: int) -> Cook:
    return Cook.objects.select_for_update(no_key=True).get(pk=cook_id)


def _change(cook: Cook, *, now: datetime, **values: object) -> Cook:
    """Write values, and have somebody look at the cook."""
    for name, value in {**values, "due_at": now}.items():
        setattr(cook, name, value)
    cook.save(update_fields=["budget_usd", "due_at", *values])
    knock()
    return cook
