"""Which traits, or which item, each piece gets: the same for ever, and the same for no two pieces of a cook."""

import json
from collections.abc import Container, Iterable, Iterator, Sequence

from casts.models import Collection, Piece
from spells.problems import Problem, ProblemsError

from .drawing import Allowance, Draw, DrawError, capacity, check_supply, draw, draw_distinct
from .traits import TraitTree, read_tree

# How many further draws of a piece are looked at for other traits than it has.
MAX_REDRAWS = 200
# What all draws of one request may take together: ten seconds at the worst, and one for a single piece.
MAX_WORK_OF_A_DEAL = 20_000_000
MAX_WORK_OF_A_REDRAW = 2_000_000
# What the traits and prompts of all pieces of one request may be as JSON: each piece has its own in the database.
MAX_BYTES_OF_A_DEAL = 64 * 1024 * 1024


class SupplyError(ProblemsError):
    """The collection cannot supply as many pieces as were asked for."""

    def __init__(self, message: str) -> None:
        """Take what is wrong, and what to do."""
        super().__init__([Problem("pieces", message)])


def supply_of(collection: Collection) -> int | None:
    """Return how many pieces there can be at most; None for more than anybody asks for."""
    return len(collection.items) if collection.items is not None else capacity(read_tree(collection.trait_tree))


def deal(*, collection: Collection, first: int, count: int, taken: Iterable[str] = ()) -> list[Piece]:
    """Return `count` unsaved pieces from index `first` on, without a cook. `taken` are the hashes of those that are there.

    Raises SupplyError when there cannot be as many, drawing them takes too much work, or they say too much to be written at once.
    """
    if collection.items is not None:
        if first + count > len(collection.items):
            raise SupplyError(f"The list has {len(collection.items):,} items, and {first + count:,} pieces are asked for.")
        return [Piece(index=index, item=collection.items[index]) for index in range(first, first + count)]
    tree = read_tree(collection.trait_tree)
    try:
        check_supply(tree, pieces=first + count)
        return list(_drawn(tree=tree, seed=collection.seed, first=first, count=count, taken=set(taken)))
    except DrawError as error:
        raise SupplyError(str(error)) from error


def _drawn(*, tree: TraitTree, seed: int, first: int, count: int, taken: set[str]) -> Iterator[Piece]:
    allowance, size = Allowance(MAX_WORK_OF_A_DEAL), 0
    for index in range(first, first + count):
        drawn = draw_distinct(tree, seed=seed, index=index, taken=taken, allowance=allowance)
        size += len(json.dumps([drawn.traits, drawn.prompts]))
        if size > MAX_BYTES_OF_A_DEAL:
            raise SupplyError(
                f"{count:,} pieces have more than {MAX_BYTES_OF_A_DEAL:,} bytes of traits and prompts in all. "
                "Give the trait tree shorter prompts, or ask for fewer: a cook can be extended later."
            )
        taken.add(drawn.hash)
        piece = Piece(index=index)
        _put(drawn, piece)
        yield piece


def redraw(piece: Piece, *, tree: TraitTree, seed: int, taken: Container[str], max_work: int = MAX_WORK_OF_A_REDRAW) -> None:
    """Give a piece the next draw of its index that no piece has, in place. `taken` are the hashes of all, its own among them.

    Raises SupplyError when none of its next draws is free, or they take more than `max_work` together.
    """
    _put(_another(piece, tree=tree, seed=seed, taken=taken, allowance=Allowance(max_work)), piece)


def redraw_all(pieces: Sequence[Piece], *, tree: TraitTree, seed: int, taken: Iterable[str]) -> None:
    """Give each of these pieces the next draw of its index that no piece has, in place. `taken` are the hashes of all.

    Raises SupplyError when one has no such draw, all take too much work together, or they say too much to be written at once.
    """
    allowance, size, all_taken = Allowance(MAX_WORK_OF_A_DEAL), 0, set(taken)
    for piece in pieces:
        drawn = _another(piece, tree=tree, seed=seed, taken=all_taken, allowance=allowance)
        size += len(json.dumps([drawn.traits, drawn.prompts]))
        if size > MAX_BYTES_OF_A_DEAL:
            raise SupplyError(f"More than {MAX_BYTES_OF_A_DEAL:,} bytes of traits and prompts in all are too much at once: ask for fewer.")
        all_taken.add(drawn.hash)
        _put(drawn, piece)


def _another(piece: Piece, *, tree: TraitTree, seed: int, taken: Container[str], allowance: Allowance) -> Draw:
    try:
        for number in range(piece.redraw + 1, piece.redraw + 1 + MAX_REDRAWS):
            drawn = draw(tree, seed=seed, index=piece.index, redraw=number, allowance=allowance)
            if drawn.hash not in taken:
                return drawn
    except DrawError as error:
        raise SupplyError(str(error)) from error
    raise SupplyError(f"{MAX_REDRAWS} draws for piece {piece.index} gave only traits that pieces have already.")


def _put(drawn: Draw, piece: Piece) -> None:
    piece.traits, piece.prompts, piece.trait_hash, piece.redraw = drawn.traits, drawn.prompts, drawn.hash, drawn.redraw
