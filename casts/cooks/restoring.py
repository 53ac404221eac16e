"""Restoring: a piece that is not made anew after all shows again what was made of it before."""

from collections.abc import Mapping
from datetime import datetime

from django.db.models import Exists, OuterRef

from casts.models import STANDING_ATTEMPTS, AttemptStatus, Cook, CookStatus, Piece, PieceAttempt, PieceStatus

from .drawing import trait_hash
from .traits import Category, TraitTree, read_tree

# Rows in one statement.
_ROWS_AT_ONCE = 500


def restore(*, cook: Cook, now: datetime) -> None:
    """Have pieces show what was made of them last: those that failed for good, and in a cook that was stopped all that wait.

    A piece that was drawn anew gets its traits back, unless another one has them by now: then it stays as it is. The cook
    is locked.
    """
    given_up = [PieceStatus.FAILED, *([PieceStatus.PENDING] if cook.status == CookStatus.STOPPED else [])]
    standing = PieceAttempt.objects.filter(piece=OuterRef("piece"), status__in=STANDING_ATTEMPTS)
    superseded = cook.piece_attempts.filter(status=AttemptStatus.SUPERSEDED, piece__status__in=given_up).exclude(Exists(standing))
    last = {attempt.piece_id: attempt for attempt in superseded.select_related("piece").order_by("number")}
    _give_traits_back(cook, [attempt for attempt in last.values() if attempt.traits != attempt.piece.traits])
    restored = [attempt for attempt in last.values() if attempt.traits == attempt.piece.traits]
    for attempt in restored:
        attempt.status, piece = AttemptStatus.MADE, attempt.piece
        piece.status, piece.error, piece.settled_at = PieceStatus.MADE, None, now
    PieceAttempt.objects.bulk_update(restored, ["status"], batch_size=_ROWS_AT_ONCE)
    pieces = [attempt.piece for attempt in restored]
    Piece.objects.bulk_update(pieces, ["status", "error", "settled_at", "traits", "prompts", "trait_hash"], batch_size=_ROWS_AT_ONCE)


def _give_traits_back(cook: Cook, attempts: list[PieceAttempt]) -> None:
    """Give the pieces of attempts their traits of then, in place, as far as no piece has them."""
    if not attempts:
        return
    tree = read_tree(cook.collection.trait_tree)
    taken = set(cook.pieces.exclude(trait_hash="").values_list("trait_hash", flat=True))
    for attempt in attempts:
        piece, hash_of_then = attempt.piece, trait_hash(attempt.traits)
        if hash_of_then not in taken:
            taken.add(hash_of_then)
            piece.traits, piece.trait_hash, piece.prompts = attempt.traits, hash_of_then, _prompts_of(attempt.traits, tree)


def _prompts_of(traits: Mapping[str, str], tree: TraitTree) -> dict[str, str]:
    """Return the prompts of all categories, as they are drawn with these traits."""
    return {category.name: _prompt_of(traits[category.name], category) if category.name in traits else "" for category in tree.categories}


def _prompt_of(value: str, category: Category) -> str:
    return next((trait.prompt for trait in category.traits if trait.value == value), value)
