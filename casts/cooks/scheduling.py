"""One look at a cook: its pieces follow their casts, and as many casts as it may have are kept going.

All of it follows from rows, under a lock on the cook's own: however often somebody looks, and whoever dies meanwhile, no
piece is cast twice at once, and none is forgotten. Nobody who holds a wakeup or a cast locks a cook, so that a cook may
be locked before them ([ADR 20](docs/adr/0020-cooks.md)).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Exists, Max, OuterRef, QuerySet

from casts import engine
from casts.casting import check_references
from casts.clock import database_now
from casts.doorbell import knock
from casts.engine import InvalidInputsError, NotPublishedError, ToolDisabledError
from casts.engine.retrying import in_one_transaction
from casts.models import (
    ENDED,
    LIVE,
    STANDING_ATTEMPTS,
    AttemptStatus,
    Cast,
    CastStatus,
    Collection,
    Cook,
    CookStatus,
    OnPieceFailure,
    Piece,
    PieceAttempt,
    PieceStatus,
    Priority,
)
from spells.expressions import ExpressionError

from .funds import Funds
from .recipes import Recipe
from .restoring import restore
from .telling import tell_owner

# Casts that are started in one transaction. What is left is started by the next look, which comes at once.
BATCH = 25
# When somebody looks although nobody has told that a cast ended: what was told may have been lost.
LOOK_AGAIN = timedelta(seconds=15)

STOPPED = "Its cook was stopped."
BUDGET_SPENT = "budget_spent"


@dataclass(slots=True)
class _Look:
    """What one look has found and changed. `live` are the attempts whose casts have not ended, whatever became of them before."""

    cook: Cook
    now: datetime
    live: list[PieceAttempt] = field(default_factory=list)
    ended: list[PieceAttempt] = field(default_factory=list)
    changed: dict[int, Piece] = field(default_factory=dict)
    gave_up: bool = False
    may_be_more: bool = False

    def pause(self, reason: str) -> None:
        if self.cook.status == CookStatus.RUNNING:
            self.cook.status, self.cook.reason = CookStatus.PAUSED, reason

    def fail(self, piece: Piece, error: dict[str, Any]) -> None:
        """Have a piece fail for good, unless somebody asks for it again."""
        self.gave_up = True
        piece.status, piece.error, piece.settled_at = PieceStatus.FAILED, error, self.now
        self.changed[piece.pk] = piece


def tend(*, cook_id: int) -> list[UUID]:
    """Look at a cook, whoever and whenever. Returns the casts that were asked to end, since it is being stopped."""
    unwanted = _tend(cook_id=cook_id)
    # Not under the lock on the cook: each is a transaction of its own, and what is left is found by the next look.
    for cast_id in unwanted:
        try:
            engine.cancel(cast_id=cast_id, actor_id=None, now=database_now(), reason=STOPPED)
        except engine.TransitionRefusedError:
            continue  # it has ended meanwhile
    return unwanted


@in_one_transaction
def _tend(*, cook_id: int) -> list[UUID]:
    cook = Cook.objects.select_for_update(no_key=True).get(pk=cook_id)
    look, before = _Look(cook=cook, now=database_now()), cook.status
    _follow(look)
    if cook.status == CookStatus.RUNNING:
        _fill(look)
    _conclude(look)
    if look.gave_up or cook.status == CookStatus.STOPPED:
        restore(cook=cook, now=look.now)
    cook.save(update_fields=["status", "reason", "failures_in_a_row", "finished_at", "due_at"])
    if before == CookStatus.RUNNING and cook.status in (CookStatus.PAUSED, CookStatus.FINISHED):
        tell_owner(cook, now=look.now)
    if look.may_be_more:
        knock()
    if cook.status != CookStatus.STOPPING:
        return []
    return [attempt.cast_id for attempt in look.live if attempt.cast.cancel_requested_at is None]


# What has become of casts


def _follow(look: _Look) -> None:
    """Take what became of the casts of live attempts, in the order in which they ended, into their pieces."""
    attempts = look.cook.piece_attempts.select_related("piece", "cast").defer("cast__inputs", "cast__outputs")
    for attempt in attempts.filter(status=AttemptStatus.LIVE).order_by("cast__finished_at", "pk"):
        if attempt.cast.status in ENDED:
            _end(look, attempt)
        else:
            look.live.append(attempt)
    _write(look)  # an attempt that has just failed leaves its piece to an earlier one
    for attempt in _succeeded_after_all(attempts):
        if attempt.piece_id not in look.changed and attempt.traits == attempt.piece.traits:
            _made(look, attempt)
    _write(look)
    # They failed, and somebody has retried their casts: those take room and money, and are cancelled, as any.
    look.live += attempts.filter(status=AttemptStatus.FAILED, cast__status__in=LIVE)


def _succeeded_after_all(attempts: QuerySet[PieceAttempt]) -> QuerySet[PieceAttempt]:
    """Return the failed attempts whose casts somebody has retried by hand, with success.

    Not of pieces that have another attempt, nor of those that somebody has had made anew since.
    """
    others = PieceAttempt.objects.filter(piece=OuterRef("piece"))
    standing = others.filter(status__in=STANDING_ATTEMPTS)
    made_anew = others.filter(status=AttemptStatus.SUPERSEDED, number__gt=OuterRef("number"))
    retried = attempts.filter(status=AttemptStatus.FAILED, cast__status=CastStatus.SUCCEEDED)
    return retried.exclude(Exists(standing)).exclude(Exists(made_anew)).order_by("pk")


def _end(look: _Look, attempt: PieceAttempt) -> None:
    cast, piece = attempt.cast, attempt.piece
    if cast.status == CastStatus.SUCCEEDED:
        _made(look, attempt)
        return
    attempt.status, attempt.ended_at = AttemptStatus.FAILED, look.now
    look.ended.append(attempt)
    if look.cook.status == CookStatus.STOPPING and cast.status == CastStatus.CANCELLED:
        _again(look, piece)
    elif cast.status == CastStatus.CANCELLED:  # by hand, so that nobody wants it again
        look.fail(piece, {"code": "cancelled", "message": cast.reason})
    elif (cast.error or {}).get("code") == BUDGET_SPENT:  # the budget of its cook: it is no fault of the piece
        _again(look, piece)
        look.pause(f"A cast was refused for want of money: {cast.error and cast.error.get('message')}")
    else:
        _failed(look, piece, cast)


def _made(look: _Look, attempt: PieceAttempt) -> None:
    attempt.status, attempt.ended_at = AttemptStatus.MADE, look.now
    look.ended.append(attempt)
    piece = attempt.piece
    piece.status, piece.error, piece.settled_at = PieceStatus.MADE, None, look.now
    look.changed[piece.pk] = piece
    look.cook.failures_in_a_row = 0


def _failed(look: _Look, piece: Piece, cast: Cast) -> None:
    cook = look.cook
    piece.failures += 1
    cook.failures_in_a_row += 1
    if cook.on_failure == OnPieceFailure.REPLACE and piece.failures < cook.max_attempts:
        _again(look, piece)
    else:
        look.fail(piece, cast.error or {"code": "failed", "message": "Its cast failed."})
    _stop_if_too_many(look, (cast.error or {}).get("message", ""))


def _stop_if_too_many(look: _Look, told: str) -> None:
    cook = look.cook
    if cook.on_failure == OnPieceFailure.STOP and cook.failures_in_a_row >= cook.failures_to_stop:
        look.pause(f"{cook.failures_in_a_row} casts in a row failed, the last one with: {told}")


def _again(look: _Look, piece: Piece) -> None:
    piece.status = PieceStatus.PENDING
    look.changed[piece.pk] = piece


def _write(look: _Look) -> None:
    """Write what became of attempts and pieces, attempts first: another may stand at their pieces from then on."""
    if look.ended:
        PieceAttempt.objects.bulk_update(look.ended, ["status", "ended_at"])
    if look.changed:
        Piece.objects.bulk_update(look.changed.values(), ["status", "failures", "error", "settled_at"])
    look.ended, look.changed = [], {}


# What is started


def _fill(look: _Look) -> None:
    """Start as many casts as there is room for."""
    cook = look.cook
    room = cook.max_parallel - len(look.live)
    if room <= 0:
        return
    collection = Collection.objects.select_related("owner").defer("items", "trait_tree").get(pk=cook.collection_id)
    owner, recipe = collection.owner, Recipe.of(collection)
    funds = Funds(cook=cook, at_work=[attempt.cast for attempt in look.live])
    pieces = _in_turn(cook, limit=min(room, BATCH))
    to_start = len(pieces) if len(pieces) < min(room, BATCH) else room
    starved = _starved(pieces) if cook.budget_usd is not None else frozenset()
    for piece in pieces:
        if cook.status != CookStatus.RUNNING:
            break  # what was refused has paused it
        if not funds.admit_another():
            if not look.live:
                look.pause(funds.told())
            break
        share = funds.share(among=1 if piece.pk in starved else to_start)
        to_start -= 1
        try:
            attempt = _started(look, piece, owner=owner, inputs=recipe.inputs_of(piece), max_cost=share)
        except (ExpressionError, InvalidInputsError) as error:
            _refused(look, piece, error)
        except (ToolDisabledError, NotPublishedError) as error:
            look.pause(str(error))
            break
        else:
            look.live.append(attempt)
            look.changed[piece.pk] = piece
            funds.set_aside(share)
    else:
        # those that were refused have left their room to others
        look.may_be_more = len(pieces) == min(room, BATCH) and len(look.live) < cook.max_parallel
    look.may_be_more &= cook.status == CookStatus.RUNNING
    _write_started(look)


def _starved(pieces: Sequence[Piece]) -> frozenset[int]:
    """Return those of these pieces of which a cast wanted more than its share: now they may have all that is left."""
    refused = PieceAttempt.objects.filter(piece__in=pieces, status=AttemptStatus.FAILED, cast__error__code=BUDGET_SPENT)
    return frozenset(refused.values_list("piece_id", flat=True))


def _refused(look: _Look, piece: Piece, error: ExpressionError | InvalidInputsError) -> None:
    """Have a piece fail whose inputs are not what its spell takes: another cast of it would be refused as well."""
    told = f"{error.path}: {error}" if isinstance(error, ExpressionError) else str(error)
    look.fail(piece, {"code": "bad_inputs", "message": told})
    look.cook.failures_in_a_row += 1
    _stop_if_too_many(look, told)


def _in_turn(cook: Cook, *, limit: int) -> Sequence[Piece]:
    """Return the pieces whose turn it is: those that have failed before come last, and none while an old cast of it is live again."""
    revived = PieceAttempt.objects.filter(piece=OuterRef("pk"), cast__status__in=LIVE)
    pending = cook.pieces.filter(status=PieceStatus.PENDING).exclude(Exists(revived))
    return list(pending.order_by("failures", "index")[:limit])


def _started(look: _Look, piece: Piece, *, owner: User, inputs: dict[str, Any], max_cost: Any) -> PieceAttempt:
    check_references(inputs, owner, look.now)
    cast = engine.start(
        version=look.cook.version,
        initiator_id=look.cook.initiator_id,
        inputs=inputs,
        now=look.now,
        max_cost_usd=max_cost,
        priority=Priority.BATCH,
    ).cast
    piece.status = PieceStatus.COOKING
    return PieceAttempt(piece=piece, cook=look.cook, version_id=look.cook.version_id, cast=cast, traits=piece.traits, created_at=look.now)


def _write_started(look: _Look) -> None:
    new = [attempt for attempt in look.live if attempt.pk is None]
    numbers = _last_numbers([attempt.piece_id for attempt in new])
    for attempt in new:
        attempt.number = numbers.get(attempt.piece_id, 0) + 1
    PieceAttempt.objects.bulk_create(new)
    _write(look)


def _last_numbers(piece_ids: Sequence[int]) -> dict[int, int]:
    return dict(PieceAttempt.objects.filter(piece__in=piece_ids).values_list("piece_id").annotate(Max("number")))


# When to look again


def _conclude(look: _Look) -> None:
    """End the cook if all is done, and say when somebody must look at it again."""
    cook, now = look.cook, look.now
    if cook.status == CookStatus.STOPPING and not look.live:
        cook.status, cook.finished_at = CookStatus.STOPPED, now
    elif cook.status == CookStatus.RUNNING and not look.live and not cook.pieces.filter(status=PieceStatus.PENDING).exists():
        cook.status, cook.finished_at = CookStatus.FINISHED, now
    if look.may_be_more:
        cook.due_at = now
    elif cook.status in (CookStatus.RUNNING, CookStatus.STOPPING) or look.live:
        cook.due_at = now + LOOK_AGAIN
    else:
        cook.due_at = None
