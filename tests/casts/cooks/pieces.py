"""Pieces that were made, for tests of what is done with them."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User

from casts.models import AttemptStatus, Cook, CookStatus, PieceAttempt, PieceStatus
from tests.casts.factories import CastFactory, CollectionFactory, CookFactory, PieceAttemptFactory, PieceFactory
from tests.factories import UserFactory


def finished_cook(*, tree: Any = None, owner: User | None = None, **values: Any) -> Cook:
    """Return a cook that has ended, of a list or of a trait tree."""
    collection = CollectionFactory.create(trait_tree=tree, owner=owner or UserFactory.create())
    return CookFactory.create(collection=collection, status=CookStatus.FINISHED, **values)


def made_piece(cook: Cook, *, index: int = 0, traits: Mapping[str, str] | None = None, outputs: Any = None, **of_cast: Any) -> PieceAttempt:
    """Return the attempt by which a piece was made, with what its cast gave."""
    piece = PieceFactory.create(cook=cook, index=index, status=PieceStatus.MADE, traits=traits or {})
    cast = CastFactory.create(
        version=cook.version, initiator=cook.initiator, status="succeeded", outputs=outputs or {"text": f"piece {index}"}, **of_cast
    )
    return PieceAttemptFactory.create(piece=piece, cast=cast, status=AttemptStatus.MADE, traits=piece.traits)


def made_pieces(cook: Cook, count: int, **values: Any) -> list[PieceAttempt]:
    return [made_piece(cook, index=index, **values) for index in range(count)]
