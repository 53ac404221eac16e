"""The reviewers of a collection: those who may decide on its pieces beside its owner, and change nothing else of it."""

from collections.abc import Sequence

from django.contrib.auth.models import User

from casts.engine.retrying import in_one_transaction
from casts.models import Collection, CollectionReviewer
from spells.problems import MAX_PROBLEMS, Problem, ProblemsError, join_path, shown

MAX_REVIEWERS = 100


@in_one_transaction
def name_reviewers(*, collection_id: int, usernames: Sequence[str]) -> None:
    """Let these users, and nobody else, review the pieces of a collection beside its owner. Asking again changes nothing.

    Decisions of who is no reviewer any more stand, and what is in their hands is given to others when the lease ends.
    Raises ProblemsError when there is no active user of a name.
    """
    Collection.objects.select_for_update(no_key=True).only("pk").get(pk=collection_id)  # so that of two lists one holds
    users = dict(User.objects.filter(username__in=usernames, is_active=True).values_list("username", "pk"))
    missing = [(place, name) for place, name in enumerate(usernames) if name not in users]
    if missing:
        told = [Problem(join_path("reviewers", place), f"there is no user {shown(name)}") for place, name in missing]
        raise ProblemsError(told[:MAX_PROBLEMS])
    CollectionReviewer.objects.filter(collection=collection_id).exclude(user__in=users.values()).delete()
    rows = [CollectionReviewer(collection_id=collection_id, user_id=pk) for pk in users.values()]
    CollectionReviewer.objects.bulk_create(rows, ignore_conflicts=True)


def reviewers_of(collection_id: int) -> list[str]:
    """Return the usernames of a collection's reviewers, in alphabetical order."""
    named = CollectionReviewer.objects.filter(collection=collection_id)
    return list(named.order_by("user__username").values_list("user__username", flat=True))
