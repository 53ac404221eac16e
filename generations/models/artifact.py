"""An artefact: bytes that a tool produced, kept by their content."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from .generation import Generation

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    def visible_to(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the artefacts that `user` owns; the staff sees all."""
        return self if getattr(user, "is_staff", False) else self.filter(owner=user.pk)


class Artifact(models.Model):
    """A name for stored bytes. Rows with the same SHA-256 share one file; `generations.artifacts` reads and writes it.

    `size` is in bytes, `sha256` in lower-case hex. `source_url` is where a provider had put the bytes, if it did.
    `used_at` is about when a cast was last given it, to the day; one that is in use outlives the cast that made it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="artifacts")
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="artifacts", null=True, blank=True)
    sha256 = models.CharField(max_length=64, db_index=True)
    mime_type = models.CharField(max_length=127)
    size = models.PositiveBigIntegerField()
    name = models.CharField(max_length=255, blank=True)
    source_url = models.TextField(blank=True)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="artifact_sha256_is_lower_case_hex", condition=Q(sha256__regex=r"^[0-9a-f]{64}$")),
            models.CheckConstraint(name="artifact_has_a_mime_type", condition=~Q(mime_type="")),
        ]

    def __str__(self) -> str:
        return str(self.pk)
