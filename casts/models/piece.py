"""A piece of a cook, and the casts by which it was tried to make it."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import Exact

from spells.constraints import CompositeForeignKey
from spells.models import SpellVersion

from .cast import Cast
from .cook import Cook

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

# SHA-256, as hexadecimal digits.
HASH_CHARACTERS = 64


class PieceStatus(models.TextChoices):
    """Where a piece stands. It follows its cast."""

    PENDING = "pending", "pending: it waits for its turn"
    COOKING = "cooking", "cooking: its cast runs"
    MADE = "made", "made: its cast succeeded"
    FAILED = "failed", "failed: it is not cast again by itself"


SETTLED_PIECES = (PieceStatus.MADE, PieceStatus.FAILED)


class PieceQuerySet(models.QuerySet["Piece"]):
    def visible_to(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the pieces of cooks that `user` began; the staff sees all."""
        return self if getattr(user, "is_staff", False) else self.filter(cook__initiator=user.pk)

    def reviewable_by(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the pieces on which `user` may decide."""
        return self if getattr(user, "is_staff", False) else self.filter(cook__in=Cook.objects.reviewable_by(user))


class Piece(models.Model):
    """One piece. `index` counts from 0 in its cook; `traits` and `prompts` are by category, `item` is that of a list.

    `trait_hash` is of its traits, empty where there are none; `redraw` is the last draw of its index that it was given: its traits
    are that one, unless it has got back those of before. `failures` counts its casts that ended otherwise than well since
    somebody last asked for it. `error` is why it failed.
    """

    cook = models.ForeignKey(Cook, on_delete=models.PROTECT, related_name="pieces", db_index=False)
    index = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=PieceStatus, default=PieceStatus.PENDING)
    traits = models.JSONField(default=dict, blank=True)
    prompts = models.JSONField(default=dict, blank=True)
    item = models.JSONField(null=True, blank=True)
    trait_hash = models.CharField(max_length=HASH_CHARACTERS, blank=True)
    redraw = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    error = models.JSONField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    objects = PieceQuerySet.as_manager()

    class Meta:
        indexes = [
            # whose turn it is: those that have failed already come last
            models.Index(name="piece_in_turn", fields=["cook", "status", "failures", "index"]),
            models.Index(name="piece_settled", fields=["cook", "settled_at"], condition=Q(settled_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(name="piece_is_unique_with_its_cook", fields=["id", "cook"]),  # what a composite foreign key points at
            models.UniqueConstraint(name="piece_index_is_unique_per_cook", fields=["cook", "index"]),
            models.UniqueConstraint(name="piece_traits_are_unique_per_cook", fields=["cook", "trait_hash"], condition=~Q(trait_hash="")),
            models.CheckConstraint(name="piece_status_is_known", condition=Q(status__in=PieceStatus.values)),
            models.CheckConstraint(
                name="piece_trait_hash_is_whole", condition=Q(trait_hash="") | Q(Exact(Length("trait_hash"), HASH_CHARACTERS))
            ),
            models.CheckConstraint(
                name="piece_settled_iff_made_or_failed",
                condition=Q(status__in=SETTLED_PIECES, settled_at__isnull=False)
                | (~Q(status__in=SETTLED_PIECES) & Q(settled_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="piece_error_iff_failed",
                condition=Q(status=PieceStatus.FAILED, error__isnull=False) | (~Q(status=PieceStatus.FAILED) & Q(error__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        return f"piece {self.index} of cook {self.cook_id}"


class AttemptStatus(models.TextChoices):
    """What became of an attempt."""

    LIVE = "live", "live: its cast has not ended"
    MADE = "made", "made: what the piece shows"
    FAILED = "failed", "failed: its cast failed, or was cancelled"
    SUPERSEDED = "superseded", "superseded: it was made, and another was asked for"


# No more than one of these at a time is an attempt at one piece.
STANDING_ATTEMPTS = (AttemptStatus.LIVE, AttemptStatus.MADE)


class PieceAttempt(models.Model):
    """One cast by which a piece was to be made. It and its cast are written in one transaction.

    `number` counts from 1 for each piece. `traits` are the piece's as they were, for a later attempt may have others.
    """

    piece = models.ForeignKey(Piece, on_delete=models.PROTECT, related_name="attempts", db_index=False)
    cook = models.ForeignKey(Cook, on_delete=models.PROTECT, related_name="piece_attempts")
    version = models.ForeignKey(SpellVersion, on_delete=models.PROTECT, related_name="+", db_index=False)
    number = models.PositiveIntegerField()
    cast = models.OneToOneField(Cast, on_delete=models.PROTECT, related_name="piece_attempt")
    status = models.CharField(max_length=10, choices=AttemptStatus, default=AttemptStatus.LIVE)
    traits = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(name="pieceattempt_live", fields=["cook"], condition=Q(status=AttemptStatus.LIVE))]
        constraints = [
            CompositeForeignKey(name="pieceattempt_is_of_its_pieces_cook", fields=["piece", "cook"], to_fields=["id", "cook"]),
            CompositeForeignKey(name="pieceattempt_is_of_its_cooks_version", fields=["cook", "version"], to_fields=["id", "version"]),
            CompositeForeignKey(name="pieceattempt_is_of_its_casts_version", fields=["cast", "version"], to_fields=["id", "version"]),
            models.UniqueConstraint(name="pieceattempt_number_is_unique_per_piece", fields=["piece", "number"]),
            models.UniqueConstraint(
                name="pieceattempt_one_standing_per_piece", fields=["piece"], condition=Q(status__in=STANDING_ATTEMPTS)
            ),
            models.CheckConstraint(name="pieceattempt_status_is_known", condition=Q(status__in=AttemptStatus.values)),
            models.CheckConstraint(name="pieceattempt_numbers_begin_at_one", condition=Q(number__gte=1)),
            models.CheckConstraint(
                name="pieceattempt_ended_unless_live",
                condition=Q(status=AttemptStatus.LIVE, ended_at__isnull=True) | (~Q(status=AttemptStatus.LIVE) & Q(ended_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} at {self.piece_id}"
