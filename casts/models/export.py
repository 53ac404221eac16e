"""An export: pieces of a cook in an order, with names, to be taken home as one archive."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from .cook import Cook
from .piece import PieceAttempt

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

MAX_TEMPLATE_CHARACTERS = 500


class ExportStatus(models.TextChoices):
    """Where an export stands."""

    PREPARING = "preparing", "preparing: its files are being read"
    READY = "ready", "ready: it can be fetched"
    FAILED = "failed", "failed: a file is not what it was"


class ExportQuerySet(models.QuerySet["Export"]):
    def visible_to(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the exports of cooks that `user` began; the staff sees all."""
        return self if getattr(user, "is_staff", False) else self.filter(cook__initiator=user.pk)


class Export(models.Model):
    """So many pieces of a cook, in an order that never changes. An errand while it is prepared: `due_at`, `attempts`.

    `prepared` of its `total` files have been read. `tried_at` is the number of the attempt that last got on, so that one that does
    not get on is given up. `provenance_hash` is of all files in their order. `published_at` locks the order for the
    cook: it is set once, and for one export of a cook.
    """

    cook = models.ForeignKey(Cook, on_delete=models.PROTECT, related_name="exports", db_index=False)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=ExportStatus, default=ExportStatus.PREPARING)
    name_template = models.CharField(max_length=MAX_TEMPLATE_CHARACTERS)
    description = models.TextField(blank=True)
    base_uri = models.CharField(max_length=200, blank=True)
    shuffle_seed = models.BigIntegerField(null=True, blank=True)
    total = models.PositiveIntegerField()
    prepared = models.PositiveIntegerField(default=0)
    provenance_hash = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001 - NULL: none was given, many may be without
    request_digest = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    tried_at = models.PositiveIntegerField(default=0)

    objects = ExportQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(name="export_list_of_cook", fields=["cook", "-id"]),
            models.Index(name="export_due", fields=["due_at"], condition=Q(due_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                name="export_idempotency_key_is_unique_per_requester",
                fields=["requested_by", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(name="export_idempotency_key_is_not_empty", condition=~Q(idempotency_key="")),
            models.UniqueConstraint(name="export_one_published_per_cook", fields=["cook"], condition=Q(published_at__isnull=False)),
            models.CheckConstraint(name="export_status_is_known", condition=Q(status__in=ExportStatus.values)),
            models.CheckConstraint(
                name="export_is_due_iff_preparing",
                condition=Q(status=ExportStatus.PREPARING, due_at__isnull=False, finished_at__isnull=True)
                | (~Q(status=ExportStatus.PREPARING) & Q(due_at__isnull=True, finished_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="export_ready_iff_it_has_a_hash",
                condition=(Q(status=ExportStatus.READY) & ~Q(provenance_hash="") & Q(prepared=F("total")))
                | (~Q(status=ExportStatus.READY) & Q(provenance_hash="")),
            ),
            models.CheckConstraint(
                name="export_error_iff_failed",
                condition=(Q(status=ExportStatus.FAILED) & ~Q(error="")) | (~Q(status=ExportStatus.FAILED) & Q(error="")),
            ),
            models.CheckConstraint(
                name="export_published_when_ready", condition=Q(published_at__isnull=True) | Q(status=ExportStatus.READY)
            ),
            models.CheckConstraint(name="export_has_pieces", condition=Q(total__gte=1)),
        ]

    def __str__(self) -> str:
        return f"export {self.pk}"


class ExportItem(models.Model):
    """One piece of an export: its number there, from 1, its name, and its file. `crc32` is known once the file has been read."""

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="items", db_index=False)
    number = models.PositiveIntegerField()
    attempt = models.ForeignKey(PieceAttempt, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    mime_type = models.CharField(max_length=127)
    size = models.PositiveBigIntegerField()
    crc32 = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="exportitem_number_is_unique_per_export", fields=["export", "number"]),
            models.UniqueConstraint(name="exportitem_attempt_is_unique_per_export", fields=["export", "attempt"]),
            models.CheckConstraint(name="exportitem_numbers_begin_at_one", condition=Q(number__gte=1)),
            models.CheckConstraint(name="exportitem_crc32_is_one", condition=Q(crc32__isnull=True) | Q(crc32__gte=0, crc32__lte=2**32 - 1)),
        ]

    def __str__(self) -> str:
        return f"{self.number} of export {self.export_id}"
