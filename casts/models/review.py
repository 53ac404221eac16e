"""What people decided on pieces that were made, and the history of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from .piece import Piece, PieceAttempt


class Decision(models.TextChoices):
    """What was decided on a piece as it was made."""

    ACCEPTED = "accepted", "accepted: it belongs to the collection"
    REJECTED = "rejected", "rejected: it does not"
    CULLED = "culled", "culled: accepted, and left out because there were too many"


class PieceReview(models.Model):
    """What was decided on one attempt at a piece, or who is looking at it. An attempt without a row waits for somebody.

    While it is open, `decision` is empty, and until `leased_until` no one but the `reviewer` is given it. Once it is decided, the
    reviewer is who decided. Another attempt at the piece is another review.
    """

    attempt = models.OneToOneField(PieceAttempt, on_delete=models.PROTECT, related_name="review")
    decision = models.CharField(max_length=10, choices=Decision, blank=True)
    reason = models.TextField(blank=True)
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="piecereview_decision_is_known", condition=Q(decision="") | Q(decision__in=Decision.values)),
            models.CheckConstraint(
                name="piecereview_decided_iff_at_a_time",
                condition=Q(decision="", decided_at__isnull=True) | (~Q(decision="") & Q(decided_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="piecereview_has_somebody_who_decided", condition=Q(decision="") | Q(reviewer__isnull=False, leased_until__isnull=True)
            ),
            models.CheckConstraint(
                name="piecereview_lease_has_a_holder", condition=Q(leased_until__isnull=True) | Q(reviewer__isnull=False)
            ),
            models.CheckConstraint(name="piecereview_rejected_for_a_reason", condition=~Q(decision=Decision.REJECTED) | ~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"review of {self.attempt_id}"


class ReviewAct(models.TextChoices):
    """What somebody did in a review."""

    ACCEPTED = "accepted", "accepted"
    REJECTED = "rejected", "rejected"
    CULLED = "culled", "culled"
    UNDONE = "undone", "undone: what was decided before does not hold"
    REGENERATED = "regenerated", "regenerated: another attempt was asked for"


class ReviewEvent(models.Model):
    """One act of somebody on a piece: the audit of reviews. Rows are only ever added."""

    piece = models.ForeignKey(Piece, on_delete=models.PROTECT, related_name="review_events", db_index=False)
    attempt = models.ForeignKey(PieceAttempt, on_delete=models.PROTECT, related_name="+")
    act = models.CharField(max_length=12, choices=ReviewAct)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(name="reviewevent_of_piece", fields=["piece", "id"])]
        constraints = [models.CheckConstraint(name="reviewevent_act_is_known", condition=Q(act__in=ReviewAct.values))]

    def __str__(self) -> str:
        return f"{self.act} {self.piece_id}"
