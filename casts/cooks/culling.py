"""Culling: leaving out accepted pieces until so many remain, so that rarities come closest to what was asked for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from django.db.models import QuerySet

from casts.clock import database_now
from casts.engine import sql
from casts.engine.retrying import in_one_transaction
from casts.models import AttemptStatus, Cook, Decision, PieceReview, ReviewAct, ReviewEvent

from .traits import TraitTree, read_tree

# Pieces that are culled in one transaction, which holds up whoever looks at their cook.
CULLED_AT_ONCE = 500
# How often those that were accepted meanwhile are looked at.
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An accepted piece that may be left out."""

    id: int
    index: int
    traits: Mapping[str, str]


def cull(*, cook_id: int, target: int, actor_id: int) -> int:
    """Cull accepted pieces of a cook until no more than `target` are left. Returns how many were culled.

    Which ones is found without a lock, for of ten thousand that takes seconds, and they are culled some at a time. What is
    accepted meanwhile is looked at once more. Asking again changes nothing. `reviewing.undo` takes one back.
    """
    document = Cook.objects.values_list("collection__trait_tree", flat=True).get(pk=cook_id)
    tree = None if document is None else read_tree(document)
    culled = 0
    for _ in range(TRIES):
        chosen = surplus(_candidates(cook_id), target=target, tree=tree)
        if not chosen:
            break
        for start in range(0, len(chosen), CULLED_AT_ONCE):
            some = [each.id for each in chosen[start : start + CULLED_AT_ONCE]]
            culled += _cull(some, cook_id=cook_id, target=target, actor_id=actor_id)
    return culled


def _accepted(cook_id: int) -> QuerySet[PieceReview]:
    return PieceReview.objects.filter(attempt__cook=cook_id, attempt__status=AttemptStatus.MADE, decision=Decision.ACCEPTED)


def _candidates(cook_id: int) -> list[Candidate]:
    rows = _accepted(cook_id).values_list("pk", "attempt__piece__index", "attempt__traits")
    return [Candidate(id=pk, index=index, traits=traits) for pk, index, traits in rows]


@in_one_transaction
def _cull(chosen: Sequence[int], *, cook_id: int, target: int, actor_id: int) -> int:
    """Cull those of the chosen reviews that are still accepted, the first ones first, as long as more than `target` are."""
    Cook.objects.select_for_update(no_key=True).only("pk").get(pk=cook_id)  # two at once would cull twice as many
    accepted = set(_accepted(cook_id).values_list("pk", flat=True))
    still = [pk for pk in chosen if pk in accepted][: max(len(accepted) - target, 0)]
    # Locked in the order in which decisions on many lock them; without those that were undone this moment.
    rows = PieceReview.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=still, decision=Decision.ACCEPTED)
    culled = list(rows.order_by("attempt_id").values_list("pk", "attempt_id", "attempt__piece_id"))
    now = database_now()
    PieceReview.objects.filter(pk__in=[pk for pk, _, _ in culled]).update(decision=Decision.CULLED, reviewer=actor_id, decided_at=now)
    sql.insert(
        [
            ReviewEvent(piece_id=piece_id, attempt_id=attempt_id, act=ReviewAct.CULLED, actor_id=actor_id, at=now)
            for _, attempt_id, piece_id in culled
        ]
    )
    return len(culled)


def surplus(candidates: Sequence[Candidate], *, target: int, tree: TraitTree | None) -> list[Candidate]:
    """Return those to leave out, so that `target` are left: always of those whose traits are the most above what was asked for.

    Of equals the last ones go. The same for the same pieces.
    """
    shares = _asked(tree)
    numbers = {pair: number for number, pair in enumerate(shares)}
    asked = list(shares.values())
    # Each with the numbers of its traits of which something is asked: they are counted over and over.
    left = [(each, [numbers[pair] for pair in each.traits.items() if pair in numbers]) for each in candidates]
    gone: list[Candidate] = []
    while len(left) > target:
        counts = Counter(chain.from_iterable(traits for _, traits in left))
        excess = [counts[number] / len(left) - share for number, share in enumerate(asked)]
        left.sort(key=lambda each: (-sum(map(excess.__getitem__, each[1])), -each[0].index))
        some = max(1, (len(left) - target) // 10)  # a few at a time: each that goes changes what the others are worth
        gone += [each for each, _ in left[:some]]
        del left[:some]
    return gone


def _asked(tree: TraitTree | None) -> dict[tuple[str, str], float]:
    categories = tree.categories if tree is not None else ()
    totals = {category.name: sum(trait.weight for trait in category.traits) for category in categories}
    return {(category.name, trait.value): trait.weight / totals[category.name] for category in categories for trait in category.traits}
