"""Reviews: pieces that were made are handed out to those who decide on them, each to one at a time, and decided once.

What holds between reviewers holds in single statements: an insert of a review that gives way to one that is there. Nobody who
holds a review locks a cook, so that a cook may be locked before reviews.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from django.db.models import Exists, OuterRef, QuerySet

from casts.clock import database_now
from casts.engine import sql
from casts.engine.retrying import in_one_transaction
from casts.models import AttemptStatus, Cook, Decision, Piece, PieceAttempt, PieceReview, ReviewAct, ReviewEvent
from spells.problems import Problem, ProblemsError

from . import verbs
from .selecting import Selection

MAX_HANDED_OUT = 50
LEASE_SECONDS = 300
MAX_LEASE_SECONDS = 3_600
MAX_REASON_CHARACTERS = 1_000
# Pieces that are decided on in one transaction.
DECIDED_AT_ONCE = 500
# Pieces that are rejected and cast again in one transaction, which holds up whoever looks at their cook.
MAX_REMADE = 500

_TRIES = 5

Again = Literal["same", "redraw"]


class ReviewRefusedError(Exception):
    """The piece is not in a state in which this can be decided on it. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a decision on many pieces did. `left` were decided before, or are in the hands of somebody else."""

    decided: int
    left: int


def hand_out(*, cook_id: int, reviewer_id: int, limit: int = 1, lease_seconds: float = LEASE_SECONDS) -> list[PieceReview]:
    """Give a reviewer up to `limit` pieces to look at, the lowest index first. Nobody else is given them until the lease ends.

    Those that the reviewer holds already are not among them.
    """
    leased: list[int] = []
    for _ in range(_TRIES):
        candidates, got = _lease(cook_id=cook_id, reviewer_id=reviewer_id, limit=limit - len(leased), lease_seconds=lease_seconds)
        leased += got
        if len(leased) >= limit or not candidates:
            break  # else another one was faster at some of them: there may be more
    return list(in_full().filter(attempt__in=leased).order_by("attempt__piece__index"))


def in_full() -> QuerySet[PieceReview]:
    """Return reviews with all that is shown of them. One query."""
    return PieceReview.objects.select_related("attempt__piece", "attempt__cast", "reviewer")


@in_one_transaction
def _lease(*, cook_id: int, reviewer_id: int, limit: int, lease_seconds: float) -> tuple[int, list[int]]:
    """Lease what is free. Returns how many there seemed to be, and which could be had."""
    free = sql.fetch(
        f"""
        SELECT attempt.id FROM casts_pieceattempt AS attempt
        JOIN casts_piece AS piece ON piece.id = attempt.piece_id
        LEFT JOIN casts_piecereview AS review ON review.attempt_id = attempt.id
        WHERE attempt.cook_id = %(cook)s AND attempt.status = 'made' AND (review.id IS NULL OR {_is_free("review")})
        ORDER BY piece."index" LIMIT %(limit)s {sql.on_postgresql("FOR NO KEY UPDATE OF attempt SKIP LOCKED")}
        """,  # noqa: S608 - put together from our own words
        {"cook": cook_id, "limit": limit},
    )
    leased = sql.fetch(
        f"""
        INSERT INTO casts_piecereview (attempt_id, decision, reason, reviewer_id, leased_until, decided_at)
        SELECT mine.id, '', '', %(reviewer)s, (SELECT {sql.now_plus("seconds")}), NULL
        FROM {sql.recordset("mine", {"id": "bigint"})} WHERE true ORDER BY mine.id
        ON CONFLICT (attempt_id) DO UPDATE SET reviewer_id = excluded.reviewer_id, leased_until = excluded.leased_until
        WHERE {_is_free("casts_piecereview")}
        RETURNING attempt_id
        """,  # noqa: S608 - likewise
        {"reviewer": reviewer_id, "seconds": float(lease_seconds), "rows": sql.rows_parameter({"id": id_} for (id_,) in free)},
    )
    return len(free), [id_ for (id_,) in leased]


def _is_free(review: str) -> str:
    """Return SQL that holds for a review on which nobody has decided, and that nobody has in hand."""
    return f"({review}.decision = '' AND ({review}.leased_until IS NULL OR {review}.leased_until <= (SELECT grimoire_now())))"


def decide(*, piece_id: int, decision: Decision, actor_id: int, reason: str = "", again: Again | None = None) -> PieceReview:
    """Accept or reject a piece as it was made. The same from the same person again changes nothing.

    With `again` a rejected piece is cast again, with the same traits or with other ones.

    Raises:
        ReviewRefusedError: it is not made, was decided otherwise, or is in the hands of somebody else.
        CookRefusedError, ProblemsError: it cannot be cast again; it is not rejected then.
    """

    def act(drawn: verbs.Redrawn | None) -> PieceReview:
        return _decide(piece_id=piece_id, decision=decision, actor_id=actor_id, reason=reason, again=again, drawn=drawn)

    if again != "redraw":
        return act(None)
    _made(piece_id)  # before anything is drawn for it
    return verbs.with_other_traits(act, piece_id=piece_id)


@in_one_transaction
def _decide(
    *, piece_id: int, decision: Decision, actor_id: int, reason: str, again: Again | None, drawn: verbs.Redrawn | None
) -> PieceReview:
    if again is not None:
        _lock_cook(piece_id)
    attempt = _made(piece_id)
    if not _write([attempt.pk], decision=decision, reason=reason, actor_id=actor_id):
        review = in_full().filter(attempt=attempt).first()
        if review is None:
            raise ReviewRefusedError("The piece is being made anew: there is nothing to decide on.")
        if (review.decision, review.reviewer_id, again) != (decision, actor_id, None):
            raise ReviewRefusedError(_why(review))
        return review
    _note([attempt], act=ReviewAct(decision), actor_id=actor_id, reason=reason)
    if again is not None:
        verbs.regenerate_as(piece_id=piece_id, actor_id=actor_id, now=database_now(), drawn=drawn)
    return in_full().get(attempt=attempt)


def decide_many(*, cook_id: int, chosen: Selection, decision: Decision, actor_id: int, reason: str = "") -> Decided:
    """Accept or reject all pieces of a cook that are chosen, were made and are open, and in nobody else's hands.

    In transactions of `DECIDED_AT_ONCE`, so that nobody waits for long. Whoever is interrupted asks again for the same.
    """
    made = PieceAttempt.objects.filter(cook=cook_id, status=AttemptStatus.MADE).only("piece_id", "traits")
    attempts = chosen.among(made)
    decided = sum(
        _decide_some(attempts[start : start + DECIDED_AT_ONCE], decision=decision, actor_id=actor_id, reason=reason)
        for start in range(0, len(attempts), DECIDED_AT_ONCE)
    )
    return Decided(decided=decided, left=len(attempts) - decided)


@in_one_transaction
def _decide_some(attempts: Sequence[PieceAttempt], *, decision: Decision, actor_id: int, reason: str) -> int:
    """Decide on those of these attempts that are open, and in nobody else's hands. Returns how many they were."""
    by_id = {attempt.pk: attempt for attempt in attempts}
    written = _write(list(by_id), decision=decision, reason=reason, actor_id=actor_id)
    _note([by_id[id_] for id_ in written], act=ReviewAct(decision), actor_id=actor_id, reason=reason)
    return len(written)


def reject_and_remake(*, cook_id: int, chosen: Selection, actor_id: int, reason: str, again: Again) -> Decided:
    """Reject all pieces of a cook that are chosen, were made and are open, and in nobody else's hands, and have them cast again.

    All of them or none: where one cannot be cast again, none is rejected.

    Raises:
        CookRefusedError: the cook was stopped.
        ProblemsError: they are too many at once, have no traits to draw, or no others can be drawn for each.
    """
    for _ in range(verbs.TRIES):
        drawn = None
        if again == "redraw":
            open_pieces = [attempt.piece_id for attempt in chosen.among(_open_attempts(cook_id))]
            _check_count(len(open_pieces))
            drawn = verbs.redrawn_all(cook_id=cook_id, piece_ids=open_pieces)
        try:
            return _reject_and_remake(cook_id=cook_id, chosen=chosen, actor_id=actor_id, reason=reason, drawn=drawn)
        except verbs.StaleDrawError:
            continue
    raise ProblemsError([Problem("again", "others were drawn all the while: nothing was changed. Try again.")])


@in_one_transaction
def _reject_and_remake(
    *, cook_id: int, chosen: Selection, actor_id: int, reason: str, drawn: Mapping[int, verbs.Redrawn] | None
) -> Decided:
    cook = Cook.objects.select_for_update(no_key=True).get(pk=cook_id)
    made = {attempt.pk: attempt for attempt in chosen.among(PieceAttempt.objects.filter(cook=cook_id, status=AttemptStatus.MADE))}
    still_open = {attempt.pk for attempt in chosen.among(_open_attempts(cook_id))}
    if drawn is not None:  # what was made meanwhile is not meant
        still_open = {pk for pk in still_open if made[pk].piece_id in drawn}
    _check_count(len(still_open))
    written = _write(list(still_open), decision=Decision.REJECTED, reason=reason, actor_id=actor_id)
    rejected = [made[id_] for id_ in written]
    _note(rejected, act=ReviewAct.REJECTED, actor_id=actor_id, reason=reason)
    if rejected:
        verbs.regenerate_all(cook=cook, attempts=rejected, actor_id=actor_id, now=database_now(), drawn=drawn)
    return Decided(decided=len(rejected), left=len(made) - len(rejected))


def _open_attempts(cook_id: int) -> QuerySet[PieceAttempt]:
    made = PieceAttempt.objects.filter(cook=cook_id, status=AttemptStatus.MADE)
    return made.exclude(Exists(PieceReview.objects.exclude(decision="").filter(attempt=OuterRef("pk"))))


def _check_count(pieces: int) -> None:
    if pieces > MAX_REMADE:
        told = f"{pieces:,} pieces are meant: have at most {MAX_REMADE:,} made anew at once, as with `first` and `last`"
        raise ProblemsError([Problem("where", told)])


def _write(attempt_ids: Sequence[int], *, decision: Decision, reason: str, actor_id: int) -> list[int]:
    """Decide on attempts that are made, open, and free or the actor's own. Returns which were."""
    rows = sql.fetch(
        f"""
        INSERT INTO casts_piecereview (attempt_id, decision, reason, reviewer_id, leased_until, decided_at)
        SELECT attempt.id, %(decision)s, %(reason)s, %(actor)s, NULL, (SELECT grimoire_now())
        FROM casts_pieceattempt AS attempt JOIN {sql.recordset("mine", {"id": "bigint"})} ON mine.id = attempt.id
        WHERE attempt.status = 'made' ORDER BY attempt.id
        ON CONFLICT (attempt_id) DO UPDATE SET decision = excluded.decision, reason = excluded.reason,
            reviewer_id = excluded.reviewer_id, leased_until = NULL, decided_at = excluded.decided_at
        WHERE casts_piecereview.decision = '' AND (casts_piecereview.reviewer_id = %(actor)s OR {_is_free("casts_piecereview")})
        RETURNING attempt_id
        """,  # noqa: S608 - put together from our own words
        {
            "decision": str(decision),
            "reason": reason,
            "actor": actor_id,
            "rows": sql.rows_parameter({"id": id_} for id_ in attempt_ids),
        },
    )
    return [id_ for (id_,) in rows]


@in_one_transaction
def undo(*, piece_id: int, actor_id: int) -> PieceReview:
    """Take back what was decided on a piece as it stands: it is open again; one that was culled is accepted again.

    Raises ReviewRefusedError when nothing is decided on it.
    """
    attempt = _made(piece_id)
    review = PieceReview.objects.select_for_update(of=("self",)).filter(attempt=attempt).first()
    if review is None or not review.decision:
        raise ReviewRefusedError("Nothing is decided on the piece.")
    if review.decision == Decision.CULLED:
        _accept_as_before(review)
    else:
        review.decision, review.reviewer, review.decided_at, review.reason = "", None, None, ""
    review.save(update_fields=["decision", "reason", "reviewer", "decided_at"])
    _note([attempt], act=ReviewAct.UNDONE, actor_id=actor_id)
    return in_full().get(attempt=attempt)


def _accept_as_before(review: PieceReview) -> None:
    """Have a review say, in place, what it said before the piece was culled: who accepted it, when and why."""
    accepted = ReviewEvent.objects.filter(attempt=review.attempt_id, act=ReviewAct.ACCEPTED).latest("pk")
    review.decision = Decision.ACCEPTED
    review.reviewer_id, review.decided_at, review.reason = accepted.actor_id, accepted.at, accepted.reason


def give_back(*, piece_id: int, reviewer_id: int) -> None:
    """Let others have a piece that was handed out to this reviewer. Raises ReviewRefusedError unless it is in their hands."""
    held = PieceReview.objects.filter(attempt__piece=piece_id, attempt__status=AttemptStatus.MADE, decision="", reviewer=reviewer_id)
    if not PieceReview.objects.filter(pk__in=held.values("pk"), decision="", reviewer=reviewer_id).update(reviewer=None, leased_until=None):
        raise ReviewRefusedError("The piece is not in your hands.")


def _lock_cook(piece_id: int) -> None:
    """Lock the cook, as whoever has a piece cast again must, before anything of it is written."""
    Cook.objects.select_for_update(no_key=True).get(pieces=piece_id)


def _made(piece_id: int) -> PieceAttempt:
    attempt = PieceAttempt.objects.filter(piece=piece_id, status=AttemptStatus.MADE).first()
    if attempt is None:
        status = Piece.objects.values_list("status", flat=True).get(pk=piece_id)
        raise ReviewRefusedError(f"The piece is {status}: only what is made can be decided on.")
    return attempt


def _why(review: PieceReview) -> str:
    whose = review.reviewer.get_username() if review.reviewer is not None else "somebody"
    if review.decision:
        return f"The piece was {review.decision} by {whose} already; undo that first."
    return f"The piece is in the hands of {whose} until {review.leased_until:%Y-%m-%d %H:%M:%S} UTC."


def _note(attempts: Iterable[PieceAttempt], *, act: ReviewAct, actor_id: int, reason: str = "") -> None:
    at = database_now()
    sql.insert(
        [ReviewEvent(piece_id=attempt.piece_id, attempt=attempt, act=act, actor_id=actor_id, reason=reason, at=at) for attempt in attempts]
    )
