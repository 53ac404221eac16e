"""What clients ask for, by name: a cast of a spell, or of one tool on its own. Repeats get the cast that they had."""

import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from casts import engine
from casts.clock import database_now, moment_of
from casts.engine import InvalidInputsError, NotPublishedError, ToolDisabledError, rows, sql
from casts.metrics.counters import CASTS_STARTED
from casts.models import Cast
from casts.notifications.subscriptions import Callback, call_back
from casts.repeats import IdempotencyKeyReusedError, digest_of, made_before
from generations.artifacts import REFERENCE_KEY, note_use, readable_by
from spells import schemas
from spells.models import Spell, SpellVersion, Tool
from spells.models.spell import SEEN_BY_ALL
from spells.problems import MAX_PROBLEMS, Problem, ProblemsError, join_path, shown
from spells.tool_spells import version_for

_SPELL = re.compile(r"(?P<slug>[a-z0-9]+(?:-[a-z0-9]+)*)(?:@(?P<number>[1-9][0-9]{0,8}))?\Z")


class UnknownSpellError(ProblemsError):
    """No such spell or version is visible to whoever asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Castable:
    """A version that somebody may cast, as it was found `now`. `disabled` is the slug of a tool of it that is, if one is."""

    version: SpellVersion
    steps: int
    disabled: str | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A cast of so many steps, and whether it is new. What the same order made before is not looked into: it has 0."""

    cast: Cast
    created: bool
    steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for. `spell` is a slug, or a slug and a number like `illustrated-story@3`; or else `tool` is one."""

    spell: str = ""
    tool: str = ""
    inputs: Mapping[str, Any]
    max_cost_usd: Decimal | None = None
    callback: Callback | None = None

    def digest(self) -> str:
        """Return what tells this order from another: equal orders have equal digests, however they were written."""
        budget = None if self.max_cost_usd is None else f"{self.max_cost_usd.normalize():f}"
        said = {"spell": self.spell, "tool": self.tool, "inputs": self.inputs, "max_cost_usd": budget}
        if self.callback is not None:  # one without is what it was before there were any
            said["callback"] = self.callback.document()
        return digest_of(**said)


# What a client did wrong, and no fault of ours.
REFUSALS = (ProblemsError, Tool.DoesNotExist, InvalidInputsError, NotPublishedError, ToolDisabledError, IdempotencyKeyReusedError)


def place(*, order: Order, user: User, idempotency_key: str | None = None) -> Placed:
    """Start the cast that `user` ordered, or return the one that the same order started before under the same key.

    A repeat is answered whatever has become of the spell since. Nothing is written when the order is refused.

    Raises:
        UnknownSpellError, Tool.DoesNotExist: there is nothing of that name for this user.
        InvalidInputsError, NotPublishedError, ToolDisabledError, IdempotencyKeyReusedError: as `engine.start` does.
    """
    try:
        placed = _place(order=order, user=user, idempotency_key=idempotency_key)
    except Exception as error:
        CASTS_STARTED.labels("refused" if isinstance(error, REFUSALS) else "failed").inc()
        raise
    CASTS_STARTED.labels("created" if placed.created else "repeated").inc()
    return placed


def _place(*, order: Order, user: User, idempotency_key: str | None) -> Placed:
    digest = ""  # which nothing is compared with
    if idempotency_key is not None:
        digest = order.digest()
        earlier = made_before(Cast.objects.filter(initiator=user.pk), key=idempotency_key, digest=digest)
        if earlier is not None:
            return Placed(cast=earlier, created=False)
    if order.callback is not None:
        order.callback.check()
    with transaction.atomic() if _writes_more_than_the_cast(order) else nullcontext():
        found = _of_tool(order.tool) if order.tool else _of_spell(order.spell, user)
        check_references(order.inputs, user, found.now)
        engine.refuse_uncastable(found.version, disabled=found.disabled)
        started = engine.start(
            version=found.version,
            initiator_id=user.pk,
            inputs=order.inputs,
            now=found.now,
            idempotency_key=idempotency_key,
            request_digest=digest,
            max_cost_usd=order.max_cost_usd,
            is_castable=True,
        )
        if started.created and order.callback is not None:
            call_back(cast=started.cast, callback=order.callback, now=found.now)
    return Placed(cast=started.cast, created=started.created, steps=found.steps)


def _writes_more_than_the_cast(order: Order) -> bool:
    """Tell whether an order writes more than `engine.start` does, which is whole by itself: a version, a callback, a use of artefacts.

    Inputs beyond the bounds name none: they are refused before anything is written.
    """
    if order.tool or order.callback is not None:
        return True
    is_bounded = not schemas.check_json(order.inputs, path="inputs")
    return is_bounded and next(references(order.inputs, path="inputs"), None) is not None


def _of_tool(slug: str) -> Castable:
    now = database_now()
    version = version_of_tool(slug, now)
    return Castable(version=version, steps=1, disabled=engine.disabled_tool(version), now=now)


def version_of_spell(named: str, user: User) -> SpellVersion:
    """Return the version of that name. Raises UnknownSpellError, NotPublishedError."""
    return _of_spell(named, user).version


def _of_spell(named: str, user: User) -> Castable:
    match = _SPELL.match(named)
    if match is None:
        raise UnknownSpellError([Problem("spell", f"{shown(named)} is no name of a spell, like illustrated-story or illustrated-story@3")])
    number = None if match["number"] is None else int(match["number"])
    found = _version_to_cast(slug=match["slug"], number=number, user=user)
    if found is None or not (found.version.is_published or _is_owned(found.version.spell, user)):
        raise _no_version(slug=match["slug"], number=number, user=user)
    return found


def _version_to_cast(*, slug: str, number: int | None, user: User) -> Castable | None:
    """Return a version of a spell that `user` sees, without a number the latest that is published, with its spell. One query.

    As the ORM would by `visible_to`, `published` and `select_related`, which took a fifth of the time of a request.
    """
    seen = "true" if user.is_staff else f"(spell.visibility IN ({sql.words(SEEN_BY_ALL)}) OR spell.owner_id = %(user)s)"
    wanted = "version.published_at IS NOT NULL" if number is None else "version.number = %(number)s"
    found = sql.fetch(
        f"""
        SELECT {rows.columns(SpellVersion, "version")}, {rows.columns(Spell, "spell")},
            (SELECT COUNT(*) FROM spells_step AS counted WHERE counted.version_id = version.id),
            ({engine.disabled_tool_of("version.id")}),
            grimoire_now()
        FROM spells_spell AS spell JOIN spells_spellversion AS version ON version.spell_id = spell.id
        WHERE spell.slug = %(slug)s AND {seen} AND {wanted}
        ORDER BY version.number DESC LIMIT 1
        """,  # noqa: S608 - our own words; every value is a parameter
        {"slug": slug, "user": user.pk, "number": number},
    )
    for *row, steps, disabled, now in found:
        of_version, of_spell = rows.split(row, SpellVersion, Spell)
        version, spell = rows.read(SpellVersion, of_version), rows.read(Spell, of_spell)
        assert version is not None, "its key is not null"
        assert spell is not None, "its key is not null"
        version.spell = spell
        return Castable(version=version, steps=steps, disabled=disabled, now=moment_of(now))
    return None


def _no_version(*, slug: str, number: int | None, user: User) -> Exception:
    """Return what is wrong with a name under which there is no version for this user."""
    spell = Spell.objects.visible_to(user).filter(slug=slug).first()
    if spell is None:
        return UnknownSpellError([Problem("spell", f"there is no spell {shown(slug)} that you may cast")])
    if number is None and _is_owned(spell, user):
        return NotPublishedError(f"No version of {spell.slug} is published yet.")
    wanted = f"version {number}" if number is not None else "published version"
    return UnknownSpellError([Problem("spell", f"{spell.slug} has no {wanted}")])


def _is_owned(spell: Spell, user: User) -> bool:
    return Spell.objects.owned_by(user).filter(pk=spell.pk).exists()


def version_of_tool(slug: str, now: datetime) -> SpellVersion:
    tool = Tool.objects.get(slug=slug)
    if not tool.enabled:
        raise ToolDisabledError(f"The tool {slug} is disabled.")
    return version_for(tool=tool, now=now)


def check_references(inputs: Mapping[str, Any], user: User, now: datetime) -> None:
    """Refuse inputs with artefacts that `user` does not have. A stranger's looks like a missing one. Those named are in use from now on.

    Raises InvalidInputsError.
    """
    problems = schemas.check_json(inputs, path="inputs")  # bounds what is looked up
    if not problems:
        named = list(references(inputs, path="inputs"))
        note_use({id_ for _, id_ in named}, owner_id=user.pk, now=now)  # before we look: what is marked is not pruned between
        theirs = readable_by(user.pk, [id_ for _, id_ in named])
        problems = [Problem(path, f"you have no artefact {id_}") for path, id_ in named if id_ not in theirs][:MAX_PROBLEMS]
    if problems:
        raise InvalidInputsError(problems)


def references(value: Any, *, path: str) -> Iterator[tuple[str, UUID]]:
    """Yield each artefact that stands by reference in a JSON value, with its place below `path`."""
    stack: list[tuple[_Place, Any]] = [(None, value)]
    while stack:
        place, current = stack.pop()
        if isinstance(current, Mapping) and isinstance(current.get(REFERENCE_KEY), str):
            with suppress(ValueError):  # no id, so no reference: the spell's own schema judges it
                yield join_path(path, *_names(place)), UUID(current[REFERENCE_KEY])
        inside = current.items() if isinstance(current, Mapping) else enumerate(current) if isinstance(current, list) else ()
        stack.extend(((place, name), inner) for name, inner in inside if isinstance(inner, Mapping | list))


# Where something stands in a JSON value: the place of what holds it, and its name or number there. One for each member would
# otherwise be as long as the value is deep.
_Place = tuple["_Place", str | int] | None


def _names(place: "_Place") -> list[str | int]:
    """Return the names on the way to a place, the outermost first."""
    names = []
    while place is not None:
        place, name = place
        names.append(name)
    return names[::-1]
