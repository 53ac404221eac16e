"""A collection: what is to be made many times over, and from which traits or inputs."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from generations.models import Artifact
from spells.models import SpellVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

MAX_NAME_CHARACTERS = 200


class CollectionQuerySet(models.QuerySet["Collection"]):
    def visible_to(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the collections of `user`; the staff sees all."""
        return self if getattr(user, "is_staff", False) else self.filter(owner=user.pk)


class Collection(models.Model):
    """What each piece is made of: the version of a spell, base inputs, and either a trait tree or a list of items.

    `inputs` are those of a cast, with expressions that read `traits`, `prompts`, `item`, `index`, `number` and `seed`.
    Piece i of a seed has the same traits for ever, in each cook of the collection. Nothing of what it is made of changes once it
    is there. `reviewers` may decide on its pieces beside the owner.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="collections", db_index=False)
    name = models.CharField(max_length=MAX_NAME_CHARACTERS)
    description = models.TextField(blank=True)
    version = models.ForeignKey(SpellVersion, on_delete=models.PROTECT, related_name="collections")
    inputs = models.JSONField(default=dict, blank=True)
    trait_tree = models.JSONField(null=True, blank=True)
    items = models.JSONField(null=True, blank=True)
    seed = models.BigIntegerField(default=0)
    target_supply = models.PositiveIntegerField()
    artifacts: "models.ManyToManyField[Artifact, CollectionArtifact]" = models.ManyToManyField(
        Artifact, through="CollectionArtifact", related_name="+"
    )
    reviewers: "models.ManyToManyField[User, CollectionReviewer]" = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="CollectionReviewer", related_name="+"
    )
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001 - NULL: none was given, many may be without
    request_digest = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()

    objects = CollectionQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(name="collection_list_of_owner", fields=["owner", "-id"])]
        constraints = [
            # what composite foreign keys point at
            models.UniqueConstraint(name="collection_is_unique_with_its_version", fields=["id", "version"]),
            models.UniqueConstraint(name="collection_is_unique_with_its_owner", fields=["id", "owner"]),
            models.UniqueConstraint(
                name="collection_idempotency_key_is_unique_per_owner",
                fields=["owner", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(name="collection_idempotency_key_is_not_empty", condition=~Q(idempotency_key="")),
            models.CheckConstraint(name="collection_has_a_name", condition=~Q(name="")),
            models.CheckConstraint(
                name="collection_has_a_tree_or_items",
                condition=Q(trait_tree__isnull=False, items__isnull=True) | Q(trait_tree__isnull=True, items__isnull=False),
            ),
            models.CheckConstraint(name="collection_seed_is_not_negative", condition=Q(seed__gte=0)),
            models.CheckConstraint(name="collection_supplies_at_least_one", condition=Q(target_supply__gte=1)),
        ]

    def __str__(self) -> str:
        return self.name


class CollectionArtifact(models.Model):
    """An artefact that a collection names in its inputs or its list. It is kept as long as the collection is."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+", db_index=False)
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(name="collectionartifact_is_named_once", fields=["collection", "artifact"])]

    def __str__(self) -> str:
        return f"artefact {self.artifact_id} of collection {self.collection_id}"


class CollectionReviewer(models.Model):
    """Somebody who may decide on the pieces of a collection beside its owner."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(name="collectionreviewer_is_named_once", fields=["collection", "user"])]

    def __str__(self) -> str:
        return f"reviewer {self.user_id} of collection {self.collection_id}"
