"""Culling: leaving out accepted pieces until so many remain, so that rarities come closest to what was asked for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from casts.clock import database_now
from casts.engine.retrying import in_one_transaction
from casts.models import AttemptStatus, Cook, Decision, PieceReview, ReviewAct, ReviewEvent

from .traits import TraitTree, read_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An accepted piece that may be left out."""

    id: int
    index: int
    traits: Mapping[str, str]


@in_one_transaction
def cull(*, cook_id: int, target: int, actor_id: int) -> int:
    """Cull accepted pieces of a cook until no more than `target` are left. Returns how many were culled.

    Asking again changes nothing. `reviewing.undo` takes one back.
    """
    cook = Cook.objects.select_for_update(no_key=True).get(pk=cook_id)  # two at once would cull twice as many
    reviews = PieceReview.objects.filter(attempt__cook=cook, attempt__status=AttemptStatus.MADE, decision=Decision.ACCEPTED)
    accepted = {review.pk: review for review in reviews.select_related("attempt__piece")}
    candidates = [Candidate(id=pk, index=row.attempt.piece.index, traits=row.attempt.traits) for pk, row in accepted.items()]
    document = cook.collection.trait_tree
    chosen = surplus(candidates, target=target, tree=None if document is None else read_tree(document))
    # Locked in the order in which decisions on many lock them; without those that were undone this moment.
    still = PieceReview.objects.select_for_update(no_key=True).filter(pk__in=[each.id for each in chosen], decision=Decision.ACCEPTED)
    culled = list(still.order_by("attempt_id").values_list("pk", flat=True))
    now = database_now()
    PieceReview.objects.filter(pk__in=culled).update(decision=Decision.CULLED, reviewer=actor_id, decided_at=now)
    attempts = [accepted[pk].attempt for pk in culled]
    events = [ReviewEvent(piece_id=each.piece_id, attempt=each, act=ReviewAct.CULLED, actor_id=actor_id, at=now) for each in attempts]
    ReviewEvent.objects.bulk_create(events, batch_size=500)
    return len(events)


def surplus(candidates: Sequence[Candidate], *, target: int, tree: TraitTree | None) -> list[Candidate]:
    """Return those to leave out, so that `target` are left: always of those whose traits are the most above what was asked for.

    Of equals the last ones go. The same for the same pieces.
    """
    left = sorted(candidates, key=lambda candidate: candidate.index)
    asked = _asked(tree)
    gone: list[Candidate] = []
    while len(left) > target:
        counts = Counter(pair for candidate in left for pair in candidate.traits.items())
        excess = {pair: count / len(left) - asked[pair] for pair, count in counts.items() if pair in asked}
        by_excess = sorted(left, key=lambda candidate: (-_score(candidate, excess), -candidate.index))
        some = max(1, (len(left) - target) // 10)  # a few at a time: each that goes changes what the others are worth
        gone += by_excess[:some]
        left = by_excess[some:]
    return gone


def _asked(tree: TraitTree | None) -> dict[tuple[str, str], float]:
    categories = tree.categories if tree is not None else ()
    totals = {category.name: sum(trait.weight for trait in category.traits) for category in categories}
    return {(category.name, trait.value): trait.weight / totals[category.name] for category in categories for trait in category.traits}


def _score(candidate: Candidate, excess: Mapping[tuple[str, str], float]) -> float:
    return sum(excess.get(pair, 0.0) for pair in candidate.traits.items())
