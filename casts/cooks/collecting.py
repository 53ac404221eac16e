"""The making of a collection: all that its pieces are made of, checked before anything is written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from casts.casting import references, version_of_spell, version_of_tool
from casts.models import Collection, CollectionArtifact
from casts.models.collection import MAX_NAME_CHARACTERS
from casts.repeats import digest_of, made_before
from generations.artifacts import note_use, readable_by
from spells.expressions import ExpressionError
from spells.models import SpellVersion, Tool
from spells.problems import MAX_PROBLEMS, Problem, ProblemsError, shown
from spells.schemas import check_json

from .beginning import MAX_PIECES, ROWS_AT_ONCE
from .numbers import MAX_SEED
from .recipes import Recipe
from .traits import TraitTreeError, read_tree, tree_document

MAX_DESCRIPTION_CHARACTERS = 10_000
# Of the whole list, as JSON.
MAX_ITEMS_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a collection is to be. `spell` is a slug, or a slug and a number like `portrait@3`; or else `tool` is one.

    Either `trait_tree` or `items` is given. `inputs` are JSON with expressions; without any, each item is the inputs.
    `target_supply` is how many pieces there are to be; None: each item of the list, or one hundred.
    """

    name: str
    description: str = ""
    spell: str = ""
    tool: str = ""
    inputs: Mapping[str, Any]
    trait_tree: Any = None
    items: Sequence[Any] | None = None
    seed: int = 0
    target_supply: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A collection, and whether it is new: a repeated request gets the first one's."""

    collection: Collection
    created: bool


def keep(*, plan: Plan, owner: User, now: datetime, idempotency_key: str | None = None) -> Kept:
    """Make a collection of `owner`, or return the one that the same request made before.

    Raises:
        ProblemsError: something in it is to be mended; nothing was written.
        NotPublishedError, ToolDisabledError: it cannot be cast at present.
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    _check(plan)  # the digest writes it all out
    digest = digest_of(**_said(plan))
    earlier = made_before(Collection.objects.filter(owner=owner), key=idempotency_key, digest=digest)
    if earlier is not None:
        return Kept(collection=earlier, created=False)
    try:
        with transaction.atomic():
            collection = _collection_of(plan=plan, owner=owner, now=now)
            collection.idempotency_key, collection.request_digest = idempotency_key, digest
            write(collection, now=now)
    except IntegrityError:
        earlier = made_before(Collection.objects.filter(owner=owner), key=idempotency_key, digest=digest)
        if earlier is None:
            raise
        return Kept(collection=earlier, created=False)
    return Kept(collection=collection, created=True)


def write(collection: Collection, *, now: datetime) -> None:
    """Write a collection that was made from a plan, and keep the artefacts that it names. Part of a transaction."""
    collection.save(force_insert=True)
    made_of = {"inputs": collection.inputs, "items": collection.items}
    named = {id_ for _, id_ in references(made_of, path="")}
    if named:
        note_use(named, owner_id=collection.owner_id, now=now)  # before we look: what is marked is not pruned between
        theirs = sorted(readable_by(collection.owner_id, named))
        rows = [CollectionArtifact(collection=collection, artifact_id=id_) for id_ in theirs]
        CollectionArtifact.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)


def collection_of(*, plan: Plan, owner: User, now: datetime) -> Collection:
    """Return the unsaved collection of a plan. Raises as `keep` does."""
    _check(plan)
    return _collection_of(plan=plan, owner=owner, now=now)


def _collection_of(*, plan: Plan, owner: User, now: datetime) -> Collection:
    version = version_of(plan, owner=owner, now=now)
    tree = None
    if plan.items is None:
        try:
            tree = tree_document(read_tree(plan.trait_tree))
        except TraitTreeError as error:
            raise TraitTreeError([Problem(_below("trait_tree", each.path), each.message) for each in error.problems]) from error
    try:
        Recipe(inputs=plan.inputs, seed=plan.seed)
    except ExpressionError as error:
        raise ProblemsError([Problem(error.path, str(error))]) from error
    supply = plan.target_supply if plan.target_supply is not None else len(plan.items) if plan.items is not None else 100
    return Collection(
        owner=owner,
        name=plan.name.strip(),
        description=plan.description,
        version=version,
        inputs=dict(plan.inputs),
        trait_tree=tree,
        items=None if plan.items is None else list(plan.items),
        seed=plan.seed,
        target_supply=supply,
        created_at=now,
    )


def _check(plan: Plan) -> None:
    problems = list(_problems(plan))
    if problems:
        raise ProblemsError(problems[:MAX_PROBLEMS])


def _problems(plan: Plan) -> Iterator[Problem]:
    name = plan.name.strip()
    if not name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        yield Problem("name", f"is one line of 1 to {MAX_NAME_CHARACTERS} characters")
    if len(plan.description) > MAX_DESCRIPTION_CHARACTERS or "\0" in plan.description:
        yield Problem("description", f"is text of at most {MAX_DESCRIPTION_CHARACTERS:,} characters")
    if bool(plan.spell) == bool(plan.tool):
        yield Problem("spell", "either `spell` or `tool` says what is cast")
    if (plan.trait_tree is None) == (plan.items is None):
        yield Problem("trait_tree", "either `trait_tree` or `items` says what pieces differ in")
    if not 0 <= plan.seed <= MAX_SEED:
        yield Problem("seed", f"is from 0 to {MAX_SEED}")
    if plan.target_supply is not None and not 1 <= plan.target_supply <= MAX_PIECES:
        yield Problem("target_supply", f"is from 1 to {MAX_PIECES:,}")
    yield from check_json(plan.inputs, path="inputs")
    if plan.items is not None:
        if not 1 <= len(plan.items) <= MAX_PIECES:
            yield Problem("items", f"has from 1 to {MAX_PIECES:,} items")
        yield from check_json(list(plan.items), path="items", max_bytes=MAX_ITEMS_BYTES)


def _below(path: str, rest: str) -> str:
    return f"{path}.{rest}" if rest and not rest.startswith("[") else f"{path}{rest}"


def version_of(plan: Plan, *, owner: User, now: datetime) -> SpellVersion:
    """Return the version that a plan casts. Raises as `keep` does."""
    if not plan.tool:
        return version_of_spell(plan.spell, owner)
    try:
        return version_of_tool(plan.tool, now)
    except Tool.DoesNotExist as error:
        raise ProblemsError([Problem("tool", f"there is no tool {shown(plan.tool)}")]) from error


def _said(plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "description": plan.description,
        "spell": plan.spell,
        "tool": plan.tool,
        "inputs": dict(plan.inputs),
        "trait_tree": plan.trait_tree,
        "items": None if plan.items is None else list(plan.items),
        "seed": plan.seed,
        "target_supply": plan.target_supply,
    }
