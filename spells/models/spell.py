"""A spell: the lasting name under which versions are published and cast."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from .tool import Tool

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

    from .version import SpellVersion


class Visibility(models.TextChoices):
    """Who may see and cast a spell besides its owner and the staff."""

    PRIVATE = "private", "private: its owner"
    LISTED = "listed", "listed: any signed-in user"
    PUBLIC = "public", "public: anybody"


# What any signed-in user may see and cast.
SEEN_BY_ALL = (Visibility.LISTED, Visibility.PUBLIC)


class SpellQuerySet(models.QuerySet["Spell"]):
    def written(self) -> Self:
        """Keep the spells that somebody wrote, without those by which a tool is run on its own."""
        return self.filter(tool__isnull=True)

    def visible_to(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the spells that `user` may see and cast."""
        if not user.is_authenticated:
            return self.filter(visibility=Visibility.PUBLIC)
        if getattr(user, "is_staff", False):
            return self
        return self.filter(Q(visibility__in=SEEN_BY_ALL) | Q(owner=user.pk))

    def owned_by(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        """Keep the spells that `user` may change."""
        return self if getattr(user, "is_staff", False) else self.filter(owner=user.pk)


class Spell(models.Model):
    """A named chain of tool steps. What it does is in its versions; a cast pins one."""

    slug = models.CharField(
        max_length=100,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9]+(-[a-z0-9]+)*$", "Use lower-case words joined by hyphens, like illustrated-story.")],
        help_text="What people type to cast it, like illustrated-story.",
    )
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="spells", null=True, blank=True)
    tool = models.OneToOneField(
        Tool,
        on_delete=models.PROTECT,
        related_name="own_spell",
        null=True,
        blank=True,
        help_text="Set on the spell of one step by which a tool is run on its own. It has no owner.",
    )
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PRIVATE)
    tags = models.JSONField(default=list, blank=True, help_text="A list of words.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = SpellQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="spell_owned_iff_not_of_a_tool",
                condition=Q(owner__isnull=False, tool__isnull=True) | Q(owner__isnull=True, tool__isnull=False),
            ),
            models.CheckConstraint(name="spell_visibility_is_known", condition=Q(visibility__in=Visibility.values)),
        ]

    def __str__(self) -> str:
        return self.slug

    def latest_version(self) -> "SpellVersion | None":
        """Return the published version with the highest number, or None. Queries."""
        return self.versions.published().order_by("-number").first()

    def draft(self) -> "SpellVersion | None":
        """Return the version that is still being written, or None. Queries."""
        return self.versions.drafts().first()
